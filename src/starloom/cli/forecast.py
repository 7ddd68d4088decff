"""``starloom forecast``: how well a spectrum can tell its labels."""

from typing import Annotated

import typer

from starloom.cli.database import Medium
from starloom.cli.generation import ModelName, wavelengths

Repeated = list[str] | None


def forecast(
    teff: Annotated[float, typer.Option(help="Effective temperature [K].")],
    logg: Annotated[float, typer.Option(help="Logarithm of the surface gravity [dex, cgs].")],
    vsini: Annotated[float, typer.Option(help="Projected rotation velocity [km/s].")],
    mh: Annotated[float, typer.Option(help="Metallicity [M/H] [dex].")],
    vmic: Annotated[float, typer.Option(help="Microturbulent velocity [km/s].")],
    snr: Annotated[float, typer.Option(help="Signal-to-noise ratio of a pixel in the continuum.")],
    resolution: Annotated[float, typer.Option(help="Resolving power.")] = 11500.0,
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
    """Print the Cramer-Rao bound of each label: no unbiased fit can be better.

    Gaussian errors, independent from pixel to pixel, the same in all; small enough for the flux to be linear
    in the labels. The velocity and the continuum are not known unless said otherwise, the resolution is.
    """
    from starloom.inference import forecast as forecasting
    from starloom.labels import as_array
    from starloom.networks.generator import Generator

    fixed = [name.strip() for text in fix or () for name in text.split(",")]
    setting = forecasting.Setting(
        snr,
        wavelengths(span if span.count(":") == 2 else f"{span}:0.1", "--range"),
        medium.value,
        continuum=None if continuum == -1 else continuum,
        fixed=fixed if free_resolution else [*fixed, "resolution"],
        priors=_priors(prior or ()),
    )
    labels = as_array(teff=teff, logg=logg, vsini=vsini, mh=mh, vmic=vmic, resolution=resolution)
    found = forecasting.forecast(Generator.load(model), labels, setting)
    known = "known continuum" if continuum == -1 else f"continuum of order {continuum}"
    ends = "{:.6g} to {:.6g}".format(*setting.wavelength_aa[[0, -1]])
    pixels = f"{setting.wavelength_aa.size} independent pixels"
    print(f"S/N {snr:g} in {pixels}, {ends} A ({medium.value}), {known}")
    _print(found)


def _priors(texts) -> dict[str, float]:
    from starloom.errors import ConfigError

    priors = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            priors[name.strip()] = float(value)
        except ValueError as error:
            raise ConfigError(f"--prior {text}: expected NAME=SIGMA") from error
    return priors


def _print(found) -> None:
    from starloom.labels import LABELS, number

    print(f"{'label':<12}{'value':>9}{'bound':>12} {'unit':<6}{'range':<16}remark")
    for label in LABELS:
        span = f"{number(label.low)} to {number(label.high)}"
        value = number(found.labels[label.name])
        print(_row(found, label.name, value, label.unit, span))
    print(_row(found, "velocity", "0", "km/s", ""))


def _row(found, name: str, value: str, unit: str, span: str) -> str:
    bound = "-" if name not in found.names else f"{found.bounds[name]:.3g}"
    return f"{name:<12}{value:>9}{bound:>12} {unit:<6}{span:<16}{found.remark(name)}".rstrip()
