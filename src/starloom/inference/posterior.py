"""The posterior of one star by the No-U-Turn sampler (Hoffman & Gelman 2014), as numpyro has it.

For where a covariance is not enough: at the ends of the domain, for bent or double degeneracies.

The likelihood is that of the fit: the same pixels and errors, the chi2 over its inflation and over what
pixels share of their noise, the continuum's coefficients integrated out (flat prior), and the amplitudes of
the physics error's patterns (0 +- 1, over the inflation). Errors of the model count pixel by pixel: what
neighbours share of them is in the fit's covariance alone, which is therefore wider where these errors come up
to the noise (model ``default``: from S/N 50 on). Labels have a uniform prior over the domain, corner included
(but not its highest [C/O]), times the Gaussian ones of the fit. JAX computes in float64 inside, the emulator
in float32.
"""

from dataclasses import dataclass
from os import PathLike

import numpy as np

from starloom import extras
from starloom.arrays import one_line
from starloom.constants import ALPHA_ELEMENTS
from starloom.errors import ConfigError
from starloom.figures import BLACK, ORANGE, pyplot, save, styled
from starloom.figures import check as check_figure
from starloom.inference.objective import chebyshev
from starloom.inference.pixel import ends_of
from starloom.inference.result import FitResult, rounded
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.generator import Generator
from starloom.wavelength import to_vacuum

LEVELS = (0.6827, 0.9545)  # shares of the draws within a curve
VELOCITY_REACH_KMS = 100.0  # around the fit


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws ``[draw, name]`` of the free parameters ``names``, and the fit that they belong to.

    ``divergences``: transitions that the sampler could not follow, which should be none;
    ``effective[name]``: how many independent draws the draws are worth.
    """

    result: FitResult
    names: tuple[str, ...]
    draws: np.ndarray
    divergences: int
    effective: np.ndarray

    __repr__ = one_line

    @property
    def intervals(self) -> np.ndarray:
        """16th, 50th and 84th percentile ``[name, 3]``."""
        return np.percentile(self.draws, [15.865, 50, 84.135], axis=0).T


def check(path: str | PathLike) -> None:
    """Raise what ``sample`` and ``corner`` would raise about this computer: before the fit."""
    check_figure(path)
    _numpyro()
    _corner()


def sample(
    result: FitResult,
    generator: Generator,
    draws: int = 1000,
    warmup: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> Posterior:
    """Draws from the posterior of a fit: half a minute. ConfigError where numpyro is absent.

    ``warmup`` steps come before the ``draws`` that are kept; ``progress`` shows a bar.
    """
    import jax

    _numpyro()
    from numpyro.diagnostics import effective_sample_size
    from numpyro.infer import MCMC, NUTS, init_to_value

    with jax.enable_x64(True):
        kernel = NUTS(
            _model(result, generator), dense_mass=True, init_strategy=init_to_value(values=_inner(result))
        )
        run = MCMC(kernel, num_warmup=warmup, num_samples=draws, progress_bar=progress)
        run.run(jax.random.key(seed), extra_fields=("diverging",))
        found = run.get_samples()
        table = np.stack([np.asarray(found[name]) for name in result.free], axis=1)
        divergences = int(run.get_extra_fields()["diverging"].sum())
    effective = np.array([float(effective_sample_size(column[None])) for column in table.T])
    return Posterior(result, result.free, table, divergences, effective)


def _model(result: FitResult, generator: Generator):
    """The numpyro model."""
    import jax.numpy as jnp
    import numpyro
    from numpyro import distributions

    spectrum, used = result.spectrum, result.used
    wavelength = spectrum.wavelength[result.pixels]
    vacuum = to_vacuum(wavelength, spectrum.medium)
    emulator = _seen(result, generator, vacuum)
    scale = float(np.median(result.model))
    weight = np.where(used, (scale / result.error) ** 2, 0.0) / (result.inflation * result.shared)
    data = np.where(used, spectrum.flux[result.pixels], 0.0) / scale
    basis = chebyshev(vacuum, len(result.continuum) - 1).astype(np.float64)
    priors = result.settings.get("priors", {})
    around = result.settings.get("priors_from_default", {})
    patterns = result.patterns.astype(np.float64) / scale
    known = np.append(np.zeros(len(basis)), np.full(len(patterns), 1 / result.inflation))
    ends, floored = _ends(result), _floored(result)

    def model():
        values = dict(zip(result.parameters, result.values, strict=True))
        for name in result.free:
            if name != floored and name not in around:
                values[name] = numpyro.sample(name, distributions.Uniform(*ends[name]))
        for name, (mean, deviation) in around.items():
            low, high = result.domain.spread[name]
            own = numpyro.sample(f"{name}_offset", distributions.Uniform(low, high))
            default = values["alpha"] if name in ALPHA_ELEMENTS and "alpha" in values else 0.0
            values[name] = numpyro.deterministic(name, default + own)
            numpyro.factor(f"prior_{name}", -0.5 * ((own - mean) / deviation) ** 2)
        if floored:
            low, high = ends[floored]
            teff, mh = (jnp.asarray(values[name]) for name in ("teff", "mh"))
            lowest = jnp.maximum(result.domain.floor(teff, mh), low)
            part = numpyro.sample("logg_part", distributions.Uniform(0.0, 1.0))
            values[floored] = numpyro.deterministic(floored, lowest + part * (high - lowest))
            numpyro.factor("corner", jnp.log(high - lowest))  # uniform over the domain
        for name, (mean, deviation) in priors.items():
            numpyro.factor(f"prior_{name}", -0.5 * ((values[name] - mean) / deviation) ** 2)
        labels = jnp.stack([jnp.asarray(values[name], float) for name in result.domain.names])
        flux = emulator.spectrum(labels, jnp.asarray(values["velocity"], float)).astype(float)
        linear = jnp.concatenate([basis * flux, patterns])
        normal = (linear * weight) @ linear.T + jnp.diag(known)
        right = linear @ (weight * data)
        best = right @ jnp.linalg.solve(normal, right)
        chi2 = (weight * data**2).sum() - best
        numpyro.factor("spectrum", -0.5 * chi2 - 0.5 * jnp.linalg.slogdet(normal)[1])

    return model


def _seen(result: FitResult, generator: Generator, vacuum_aa: np.ndarray) -> Emulator | BandEmulator:
    """The model at the fitted pixels, averaged over them where the fit did so."""
    finest = generator.model.chunks[0].finish.finest_resolution
    ends = ends_of(result.settings.get("pixel", ""), result.spectrum.wavelength)
    if ends is not None:
        ends = tuple(to_vacuum(end[result.pixels], result.spectrum.medium) for end in ends)
    model = generator.model
    if result.domain.names != generator.domain.names:
        model = generator.only(*result.domain.names).model
    return model.seen(vacuum_aa, finest, ends)


def _ends(result: FitResult) -> dict[str, tuple[float, float]]:
    ends = {label.name: (low, high) for label, low, high in result.domain.ranges}
    velocity = result.velocity
    return ends | {"velocity": (velocity - VELOCITY_REACH_KMS, velocity + VELOCITY_REACH_KMS)}


def _floored(result: FitResult) -> str:
    """The label whose lower end the others decide: a free log g, where the domain has a floor."""
    return "logg" if result.domain.floor is not None and "logg" in result.free else ""


def _inner(result: FitResult) -> dict[str, float]:
    """The fit's values, a little inside the domain, where the sampler starts."""
    inner, ends = {}, _ends(result)
    values = dict(zip(result.parameters, result.values.tolist(), strict=True))
    for name in result.free:
        low, high = ends[name]
        inner[name] = float(np.clip(values[name], low + 0.02 * (high - low), high - 0.02 * (high - low)))
    labels = np.array([(values | inner)[name] for name in result.domain.names])
    offsets = dict(zip(result.domain.names, result.domain.offsets(labels).tolist(), strict=True))
    for name in result.settings.get("priors_from_default", {}):
        low, high = result.domain.spread[name]
        del inner[name]
        inner[f"{name}_offset"] = float(np.clip(offsets[name], 0.98 * low, 0.98 * high))
    if floored := _floored(result):
        labels = np.array([(values | inner)[name] for name in result.domain.names])
        lowest, highest = float(result.domain.lowest_logg(labels)), ends[floored][1]
        part = (inner.pop(floored) - lowest) / (highest - lowest)
        inner["logg_part"] = float(np.clip(part, 0.02, 0.98))
    return inner


def _numpyro() -> None:
    """ConfigError where numpyro is not installed."""
    try:
        import numpyro  # noqa: F401
    except ImportError as error:
        raise ConfigError(extras.absent("numpyro")) from error


def text(posterior: Posterior) -> str:
    """Median and 68 % interval of each parameter as lines, next to the fit's."""
    lines = [f"{'':<10}{'posterior':>34}{'fit':>14}{'error':>10}{'draws':>8}"]
    for row, name in enumerate(posterior.names):
        low, middle, high = posterior.intervals[row]
        index = posterior.result.parameters.index(name)
        value, error = posterior.result.values[index], posterior.result.errors[name]
        numbers = "{} +{} -{}".format(*rounded(middle, high - middle, middle - low))
        shown, size = rounded(value, error)
        lines.append(f"{name:<10}{numbers:>34}{shown:>14}{size:>10}{posterior.effective[row]:>8.0f}")
    if posterior.divergences:
        lines.append(
            f"{posterior.divergences} of {len(posterior.draws)} transitions diverged: do not rely on it"
        )
    return "\n".join(lines)


@styled
def corner(posterior: Posterior, path: str | PathLike) -> None:
    """Draw each parameter and each pair; curves hold 68 and 95 % of the draws, crosses are the fit's values.

    In the titles the median and 68 % of the draws. By the package corner (Foreman-Mackey 2016, Journal of
    Open Source Software 1, 24).
    """
    names = posterior.names
    values = posterior.result.values[[posterior.result.parameters.index(name) for name in names]]
    figure = _corner().corner(
        posterior.draws,
        labels=[_symbol(posterior, number) for number in range(len(names))],
        truths=values if len(names) > 1 else None,  # of one alone it takes none
        truth_color=ORANGE,
        color=BLACK,
        levels=LEVELS,
        plot_datapoints=False,
        smooth=1.0,
        max_n_ticks=4,
        label_kwargs={"fontsize": "medium"},
    )
    if len(names) == 1:
        figure.axes[0].axvline(values[0], color=ORANGE)
    for number, axes in enumerate(figure.axes[:: len(names) + 1]):
        low, middle, high = posterior.intervals[number]
        shown, up, down = rounded(middle, high - middle, middle - low)
        axes.set_title(f"${shown}^{{+{up}}}_{{-{down}}}$", fontsize="medium")
    marks = [
        pyplot().Line2D([], [], color=BLACK, label="posterior (68 and 95 %)"),
        pyplot().Line2D([], [], color=ORANGE, marker="s", label="fit"),
    ]
    if len(names) > 1:  # of one alone it would hide the title
        figure.legend(handles=marks, loc="upper right")
    save(figure, path, dpi=130)


def _corner():
    """The package corner; ConfigError where it is not installed."""
    try:
        import corner
    except ImportError as error:
        raise ConfigError(extras.absent("corner")) from error
    return corner


def _symbol(posterior: Posterior, number: int) -> str:
    """Symbol and unit of a free parameter."""
    for label in posterior.result.domain.labels:
        if label.name == posterior.names[number]:
            return f"{label.symbol} [{label.unit}]".removesuffix(" []")
    return "velocity [km/s]"
