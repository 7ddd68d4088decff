"""``starloom forecast``: how well a spectrum can tell its labels."""

from typing import Annotated

import typer

from starloom.cli import console
from starloom.cli.assignments import Repeated, numbers, words
from starloom.cli.database import Medium
from starloom.cli.generation import (
    OPTIONS,
    Alpha,
    Correction,
    Filling,
    ModelName,
    Number,
    check_complete,
    labels_of,
    wavelengths,
)

USUAL_RESOLUTION = 11500.0


SignalToNoise = Annotated[float, typer.Option(help="Signal-to-noise ratio of a pixel in the continuum.")]
Teff = Annotated[Number, typer.Option(help="Effective temperature [K].")]
Logg = Annotated[Number, typer.Option(help="Logarithm of the surface gravity [dex, cgs].")]
Vsini = Annotated[Number, typer.Option(help="Projected rotation velocity [km/s].")]
Metals = Annotated[Number, typer.Option(help="Metallicity [M/H] [dex].")]
Vmic = Annotated[Number, typer.Option(help="Microturbulent velocity [km/s].")]
Resolution = Annotated[
    Number, typer.Option(help=f"Resolving power; {USUAL_RESOLUTION:g} where the model has it.")
]
OtherLabels = Annotated[
    Repeated, typer.Option(help="NAME=VALUE of any label of the model, as Ca=0.2; repeatable.")
]
Span = Annotated[
    str,
    typer.Option("--range", help="LOW:HIGH or LOW:HIGH:STEP [A] instead of Gaia's points; STEP is 0.1."),
]
OfMedium = Annotated[Medium, typer.Option(help="Of the wavelengths.")]
Order = Annotated[int, typer.Option(help="Order of the continuum's unknown polynomial; -1: it is known.")]
Fixed = Annotated[Repeated, typer.Option(help="Known label, or velocity; repeatable, or NAME,NAME.")]
Free = Annotated[
    Repeated, typer.Option(help="Elements that are not known, as Ca,Si, or abundances: all of the model.")
]
Prior = Annotated[Repeated, typer.Option(help="NAME=SIGMA known to a standard deviation; repeatable.")]
FreeResolution = Annotated[
    bool, typer.Option("--free-resolution", help="The resolution is not known either.")
]
NoiseCorrelation = Annotated[
    float | None,
    typer.Option(help="Gaussian that smoothed the pixels' noise [km/s]; 0: none. Gaia's points have theirs."),
]
NoPhysicsError = Annotated[
    bool, typer.Option("--no-physics-error", help="Take the model's line list and continuum for exact.")
]


def forecast(
    snr: SignalToNoise,
    teff: Teff = None,
    logg: Logg = None,
    vsini: Vsini = None,
    mh: Metals = None,
    vmic: Vmic = None,
    resolution: Resolution = None,
    alpha: Alpha = None,
    filling: Filling = None,
    label: OtherLabels = None,
    span: Span = "",
    medium: OfMedium = Medium.VACUUM,
    continuum: Order = 1,
    fix: Fixed = None,
    free: Free = None,
    prior: Prior = None,
    free_resolution: FreeResolution = False,
    noise_correlation: NoiseCorrelation = None,
    no_physics_error: NoPhysicsError = False,
    model: ModelName = "default",
    correction: Correction = None,
    as_json: console.Json = False,
) -> None:
    """Print the Cramer-Rao bound of each label of a model: no unbiased fit can be better.

    Gaussian errors, the same in all pixels; small enough for the flux to be linear in the labels. Velocity
    and continuum are not known unless said otherwise, the resolution is.
    """
    from starloom.errors import ConfigError
    from starloom.inference import forecast as forecasting
    from starloom.networks.generator import Generator

    values = zip(OPTIONS, (teff, logg, vsini, mh, vmic, resolution, alpha, filling), strict=True)
    given = {name: value for name, value in values if value is not None}
    fixed = _known(fix)
    if continuum < -1:
        raise ConfigError(f"--continuum {continuum}: expected -1 (it is known), or an order from 0 to 20")
    setting = forecasting.Setting(
        snr,
        _points(span, medium),
        medium.value,
        continuum=None if continuum == -1 else continuum,
        fixed=fixed if free_resolution else [*fixed, "resolution"],
        priors=numbers("--prior", prior, "NAME=SIGMA"),
        noise_correlation=noise_correlation,
        physics_error=not no_physics_error,
        free=tuple(words(free)),
    )
    generator = Generator.load(model).corrected(correction)
    labels = _labels(generator, given, label)
    found = forecasting.forecast(generator, generator.domain.array(**labels), setting)
    if as_json:
        console.print_json(_content(found, setting, generator))
        return
    print(_title(setting, generator))
    _print(found)


def _points(span: str, medium: Medium):
    """Wavelengths of a range; None for Gaia's, in its medium."""
    if not span and medium is Medium.VACUUM:
        return None
    span = span or "8460:8700"
    return wavelengths(span if span.count(":") == 2 else f"{span}:0.1", "--range")


def _labels(generator, given: dict, label: Repeated) -> dict:
    """All labels of the star."""
    labels = labels_of(generator, given, label)
    if "resolution" in generator.domain.names:
        labels.setdefault("resolution", USUAL_RESOLUTION)
    check_complete(generator, labels)
    return labels


def _content(found, setting, generator) -> dict:
    """The bounds as JSON has them, in columns as a table of fits names them; null: no bound."""
    first, last = setting.wavelength_aa[[0, -1]]
    content = {"model": generator.name}
    if generator.correction:
        content["correction"] = generator.correction.title
    content |= {"snr": setting.snr, "pixels": setting.wavelength_aa.size}
    content |= {"first_aa": first, "last_aa": last, "medium": setting.medium}
    for name, bound in found.bounds.items():
        value = found.labels.get(name, 0.0)
        content |= {name: value, f"{name}_bound": bound, f"{name}_remark": found.remark(name)}
    return content


def _title(setting, generator) -> str:
    """What the bounds are for."""
    known = "known continuum" if setting.continuum is None else f"continuum of order {setting.continuum}"
    ends = "{:.6g} to {:.6g}".format(*setting.wavelength_aa[[0, -1]])
    smoothed = setting.noise_correlation
    noise = f"pixels, noise smoothed by {smoothed:g} km/s" if smoothed else "independent pixels"
    pixels = f"{setting.wavelength_aa.size} {noise}"
    physics = ", physics error" if generator.physics and setting.physics_error else ""
    corrected = f", correction {generator.correction.digest}" if generator.correction else ""
    return f"S/N {setting.snr:g} in {pixels}, {ends} A ({setting.medium}), {known}{physics}{corrected}"


def _known(texts: Repeated) -> list[str]:
    """Names of what is known; a forecast has its values from the star."""
    from starloom.errors import ConfigError

    names = words(texts)
    if given := [name for name in names if "=" in name]:
        raise ConfigError(f"--fix {given[0]}: expected NAME alone, for the value is the star's")
    return names


def _print(found) -> None:
    import numpy as np

    from starloom.labels import number

    width = max(12, *(len(name) + 1 for name in found.domain.names))
    print(f"{'label':<{width}}{'value':>9}{'bound':>12} {'unit':<6}{'range':<16}remark")
    domain = found.domain
    offsets = domain.offsets(np.array(list(found.labels.values())))
    for label, low, high in found.domain.ranges:
        held = label.name in domain.spread and label.name not in found.names
        if held and offsets[domain.index(label.name)] == 0:
            continue
        value = number(found.labels[label.name])
        row = f"{label.name:<{width}}{value:>9}"
        print(_rest(row, found, label.name, label.unit, f"{number(low)} to {number(high)}"))
    print(_rest(f"{'velocity':<{width}}{'0':>9}", found, "velocity", "km/s", ""))


def _rest(row: str, found, name: str, unit: str, span: str) -> str:
    bound = "-" if name not in found.names else f"{found.bounds[name]:.3g}"
    return f"{row}{bound:>12} {unit:<6}{span:<16}{found.remark(name)}".rstrip()
