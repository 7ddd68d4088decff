"""``starloom forecast``: how well a spectrum can tell its labels."""

from typing import Annotated

import typer

from starloom.cli.assignments import Repeated, numbers
from starloom.cli.database import Medium
from starloom.cli.generation import OPTIONS, ModelName, Number, check_complete, labels_of, wavelengths

USUAL_RESOLUTION = 11500.0


def forecast(
    snr: Annotated[float, typer.Option(help="Signal-to-noise ratio of a pixel in the continuum.")],
    teff: Annotated[Number, typer.Option(help="Effective temperature [K].")] = None,
    logg: Annotated[Number, typer.Option(help="Logarithm of the surface gravity [dex, cgs].")] = None,
    vsini: Annotated[Number, typer.Option(help="Projected rotation velocity [km/s].")] = None,
    mh: Annotated[Number, typer.Option(help="Metallicity [M/H] [dex].")] = None,
    vmic: Annotated[Number, typer.Option(help="Microturbulent velocity [km/s].")] = None,
    resolution: Annotated[
        Number, typer.Option(help=f"Resolving power; {USUAL_RESOLUTION:g} where the model has it.")
    ] = None,
    label: Annotated[
        Repeated, typer.Option(help="NAME=VALUE of any label of the model, as alpha=0.2; repeatable.")
    ] = None,
    span: Annotated[
        str, typer.Option("--range", help="Wavelengths LOW:HIGH or LOW:HIGH:STEP [A]; STEP is 0.1.")
    ] = "8460:8700",
    medium: Annotated[Medium, typer.Option(help="Of the wavelengths.")] = Medium.VACUUM,
    continuum: Annotated[
        int, typer.Option(help="Order of the continuum's unknown polynomial; -1: it is known.")
    ] = 1,
    fix: Annotated[Repeated, typer.Option(help="Known label, or velocity; repeatable, or NAME,NAME.")] = None,
    prior: Annotated[
        Repeated, typer.Option(help="NAME=SIGMA known to a standard deviation; repeatable.")
    ] = None,
    free_resolution: Annotated[
        bool, typer.Option("--free-resolution", help="The resolution is not known either.")
    ] = False,
    model: ModelName = "default",
) -> None:
    """Print the Cramer-Rao bound of each label of a model: no unbiased fit can be better.

    Gaussian errors, independent from pixel to pixel, the same in all; small enough for the flux to be linear
    in the labels. The velocity and the continuum are not known unless said otherwise, the resolution is.
    """
    from starloom.errors import ConfigError
    from starloom.inference import forecast as forecasting
    from starloom.networks.generator import Generator

    values = zip(OPTIONS, (teff, logg, vsini, mh, vmic, resolution), strict=True)
    given = {name: value for name, value in values if value is not None}
    fixed = _known(fix)
    if continuum < -1:
        raise ConfigError(f"--continuum {continuum}: expected -1 (it is known), or an order from 0 to 20")
    setting = forecasting.Setting(
        snr,
        wavelengths(span if span.count(":") == 2 else f"{span}:0.1", "--range"),
        medium.value,
        continuum=None if continuum == -1 else continuum,
        fixed=fixed if free_resolution else [*fixed, "resolution"],
        priors=numbers("--prior", prior, "NAME=SIGMA"),
    )
    generator = Generator.load(model)
    labels = labels_of(generator, given, label)
    if "resolution" in generator.domain.names:
        labels.setdefault("resolution", USUAL_RESOLUTION)
    check_complete(generator, labels)
    found = forecasting.forecast(generator, generator.domain.array(**labels), setting)
    known = "known continuum" if continuum == -1 else f"continuum of order {continuum}"
    ends = "{:.6g} to {:.6g}".format(*setting.wavelength_aa[[0, -1]])
    pixels = f"{setting.wavelength_aa.size} independent pixels"
    print(f"S/N {snr:g} in {pixels}, {ends} A ({medium.value}), {known}")
    _print(found)


def _known(texts: Repeated) -> list[str]:
    """Names of what is known; a forecast has its values from the star."""
    from starloom.errors import ConfigError

    names = [name.strip() for text in texts or () for name in text.split(",")]
    if given := [name for name in names if "=" in name]:
        raise ConfigError(f"--fix {given[0]}: expected NAME alone, for the value is the star's")
    return names


def _print(found) -> None:
    from starloom.labels import number

    width = max(12, *(len(name) + 1 for name in found.domain.names))
    print(f"{'label':<{width}}{'value':>9}{'bound':>12} {'unit':<6}{'range':<16}remark")
    for label, low, high in found.domain.ranges:
        value = number(found.labels[label.name])
        row = f"{label.name:<{width}}{value:>9}"
        print(_rest(row, found, label.name, label.unit, f"{number(low)} to {number(high)}"))
    print(_rest(f"{'velocity':<{width}}{'0':>9}", found, "velocity", "km/s", ""))


def _rest(row: str, found, name: str, unit: str, span: str) -> str:
    bound = "-" if name not in found.names else f"{found.bounds[name]:.3g}"
    return f"{row}{bound:>12} {unit:<6}{span:<16}{found.remark(name)}".rstrip()
