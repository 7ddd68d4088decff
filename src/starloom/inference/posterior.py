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
from starloom.figures import check as check_figure
from starloom.figures import pyplot, save
from starloom.inference.objective import chebyshev
from starloom.inference.pixel import ends_of
from starloom.inference.result import FitResult, rounded
from starloom.networks.band_emulator import BandEmulator
from starloom.networks.emulator import Emulator
from starloom.networks.generator import Generator
from starloom.wavelength import to_vacuum

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


def sample(
    result: FitResult, generator: Generator, draws: int = 1000, warmup: int = 500, seed: int = 0
) -> Posterior:
    """Draws from the posterior of a fit: half a minute. ConfigError where numpyro is absent."""
    import jax

    _numpyro()
    from numpyro.diagnostics import effective_sample_size
    from numpyro.infer import MCMC, NUTS, init_to_value

    with jax.enable_x64(True):
        kernel = NUTS(
            _model(result, generator), dense_mass=True, init_strategy=init_to_value(values=_inner(result))
        )
        run = MCMC(kernel, num_warmup=warmup, num_samples=draws, progress_bar=False)
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


def corner(posterior: Posterior, path: str | PathLike) -> None:
    """Draw each parameter and each pair; red: the fit with its 68 % interval and one-sigma ellipse."""
    plt = pyplot()
    count = len(posterior.names)
    size = 1.7 * count + 0.8
    figure, axes = plt.subplots(count, count, figsize=(size, size), squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0.02, wspace=0.02)
    for row in range(count):
        for column in range(count):
            panel = axes[row, column]
            if column > row:
                panel.axis("off")
                continue
            _panel(panel, posterior, row, column)
            if row == count - 1:
                panel.set_xlabel(_symbol(posterior, column), fontsize="small")
                panel.tick_params(axis="x", rotation=45)
            else:
                panel.set_xticklabels([])
            if column == 0 and row > 0:
                panel.set_ylabel(_symbol(posterior, row), fontsize="small")
            elif column > 0 or row == 0:
                panel.set_yticklabels([])
            panel.tick_params(labelsize="x-small")
    figure.align_labels()
    marks = [
        plt.Line2D([], [], color="0.2", label="posterior (curve: 68 %)"),
        plt.Line2D([], [], color="#c8102e", label="fit (68 %)"),
    ]
    figure.legend(handles=marks, loc="outside upper right", frameon=False, fontsize="small")
    save(figure, path, dpi=130)


def _symbol(posterior: Posterior, number: int) -> str:
    """Symbol and unit of a free parameter."""
    for label in posterior.result.domain.labels:
        if label.name == posterior.names[number]:
            return f"{label.symbol} [{label.unit}]".removesuffix(" []")
    return "velocity [km/s]"


def _panel(panel, posterior: Posterior, row: int, column: int) -> None:
    result = posterior.result
    here, there = (result.parameters.index(posterior.names[i]) for i in (column, row))
    x, y = posterior.draws[:, column], posterior.draws[:, row]
    low, high = x.min(), x.max()
    if row == column:
        panel.hist(x, bins=30, histtype="stepfilled", color="0.7")
        panel.axvline(result.values[here], color="#c8102e", linewidth=1)
        panel.axvspan(*result.intervals[here], color="#c8102e", alpha=0.12, linewidth=0)
    else:
        panel.hist2d(x, y, bins=30, cmap="Greys")
        panel.contour(*_density(x, y), colors="0.2", linewidths=0.7)
        ellipse = _ellipse(result.covariance[np.ix_([here, there], [here, there])])
        panel.plot(
            result.values[here] + ellipse[0], result.values[there] + ellipse[1], color="#c8102e", linewidth=1
        )
        panel.set_ylim(y.min(), y.max())
    panel.set_xlim(low, high)


def _density(x: np.ndarray, y: np.ndarray):
    """Centres and smoothed counts of a histogram, and the level above which 68 % of the draws lie."""
    from scipy.ndimage import gaussian_filter

    counts, across, up = np.histogram2d(x, y, bins=30)
    smooth = gaussian_filter(counts, 1.2)
    ordered = np.sort(smooth.ravel())[::-1]
    level = ordered[np.searchsorted(np.cumsum(ordered), 0.6827 * ordered.sum())]
    return (across[1:] + across[:-1]) / 2, (up[1:] + up[:-1]) / 2, smooth.T, [level]


def _ellipse(covariance: np.ndarray) -> np.ndarray:
    """The outline ``[2, point]`` that holds 68 % of a normal distribution of two dimensions."""
    angle = np.linspace(0, 2 * np.pi, 100)
    root = np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance)))
    return np.sqrt(-2 * np.log(1 - 0.6827)) * root @ np.stack([np.cos(angle), np.sin(angle)])
