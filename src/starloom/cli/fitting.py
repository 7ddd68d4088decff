"""``starloom fit``: labels of one observed spectrum, or of a list of them."""

import sys
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starloom.cli import targets
from starloom.cli.assignments import Repeated, numbers, pair, pairs, places, words
from starloom.cli.database import Medium
from starloom.cli.generation import ModelName

if TYPE_CHECKING:
    from starloom.inference import Settings


class Frame(StrEnum):
    """Frames of a spectrum."""

    REST = "rest"
    BARYCENTRIC = "barycentric"
    HELIOCENTRIC = "heliocentric"
    TOPOCENTRIC = "topocentric"


# the command's options: what it is told of the spectrum, what is fitted, and what it writes
Star = Annotated[Path | None, typer.Argument(help="Observed spectrum: FITS, VOTable, ECSV, CSV, text.")]
Listed = Annotated[
    Path | None, typer.Option("--from", help="Text file with the path of a spectrum in each line.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Best model (.fits, .ecsv, .csv); with --from the table of results."),
]
Plot = Annotated[Path | None, typer.Option(help="Figure to draw (.png, .pdf, .svg).")]
Corner = Annotated[
    Path | None, typer.Option(help="Sample the posterior and draw its corner plot to this file.")
]
Resolution = Annotated[float | None, typer.Option(help="Resolving power, where the file lacks it.")]
FreeResolution = Annotated[bool, typer.Option("--free-resolution", help="Fit the resolution too.")]
Fixed = Annotated[
    Repeated, typer.Option(help="NAME=VALUE of a label of the model to hold, as logg=4.44; repeatable.")
]
Free = Annotated[
    Repeated,
    typer.Option(help="Elements to fit, as Ca,Si, or abundances: all that the model has; else at default."),
]
Abundances = Annotated[bool, typer.Option("--abundances", help="Elements as [X/H], [X/Fe] and A(X) as well.")]
Known = Annotated[Repeated, typer.Option(help="NAME=MEAN:SIGMA known beforehand; repeatable.")]
NoVmicPrior = Annotated[
    bool, typer.Option("--no-vmic-prior", help="Of cool dwarfs too the spectrum alone tells vmic.")
]
Order = Annotated[int, typer.Option(help="Order of the continuum's polynomial.")]
Velocities = Annotated[str, typer.Option(help="Velocities searched, LOW:HIGH [km/s].")]
Mask = Annotated[Repeated, typer.Option(help="LOW:HIGH [A] not to be used, as observed; repeatable.")]
Telluric = Annotated[
    bool, typer.Option("--telluric", help="Leave out where lines of the Earth's atmosphere may lie.")
]
Core = Annotated[
    float | None,
    typer.Option(
        help="Half width of the Ca II cores, which are not trusted [km/s]; 0: none. "
        "50, or 0 where the model has filling."
    ),
]
Floor = Annotated[float, typer.Option(help="Error to add in quadrature, in units of the flux.")]
NoPhysicsError = Annotated[
    bool, typer.Option("--no-physics-error", help="Take the model's line list and continuum for exact.")
]
NoiseCorrelation = Annotated[
    float | None,
    typer.Option(help="Gaussian that smoothed the pixels' noise [km/s]; 0: none; else as the file tells."),
]
Degrade = Annotated[
    float | None, typer.Option(help="Resolving power that a finer spectrum is brought to first.")
]
Pixel = Annotated[str, typer.Option(help="What pixels average the flux over: 0.37 [A], '9 km/s' or bins.")]
Snr = Annotated[float | None, typer.Option(help="Signal-to-noise ratio of a spectrum without errors.")]
OfMedium = Annotated[Medium | None, typer.Option(help="Of the wavelengths, where the file lacks it.")]
OfFrame = Annotated[Frame | None, typer.Option(help="Of the wavelengths, where the file lacks it.")]
Unit = Annotated[str | None, typer.Option(help="Of the wavelengths (Angstrom, nm, um).")]
Source = Annotated[str | None, typer.Option(help="One of many spectra in the file.")]
ColumnNames = Annotated[str, typer.Option(help="wavelength,flux[,error]: numbers from 1, or names.")]
Form = Annotated[
    str | None,
    typer.Option("--format", help="Of the file (gaia, table, ...), where its content does not tell it."),
]
Workers = Annotated[int, typer.Option(help="Processes that share a list.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def fit(
    star: Star = None,
    listed: Listed = None,
    output: Output = None,
    plot: Plot = None,
    resolution: Resolution = None,
    free_resolution: FreeResolution = False,
    fix: Fixed = None,
    free: Free = None,
    abundances: Abundances = False,
    prior: Known = None,
    no_vmic_prior: NoVmicPrior = False,
    continuum: Order = 1,
    velocities: Velocities = "-500:500",
    mask: Mask = None,
    telluric: Telluric = False,
    core: Core = None,
    floor: Floor = 0.0,
    no_physics_error: NoPhysicsError = False,
    noise_correlation: NoiseCorrelation = None,
    degrade: Degrade = None,
    pixel: Pixel = "",
    snr: Snr = None,
    medium: OfMedium = None,
    frame: OfFrame = None,
    unit: Unit = None,
    source: Source = None,
    columns: ColumnNames = "",
    form: Form = None,
    posterior: Corner = None,
    model: ModelName = "default",
    workers: Workers = 1,
    overwrite: Overwrite = False,
) -> None:
    """Fit labels, radial velocity and continuum to an observed spectrum, or to every one in a list."""
    given = {"medium": medium and medium.value, "frame": frame and frame.value, "unit": unit}
    given |= {"format": form, "columns": places(columns)}
    options = {"resolution": resolution, "free_resolution": free_resolution, "continuum": continuum}
    options |= {"telluric": telluric, "core_kms": core, "floor": floor, "degrade": degrade, "pixel": pixel}
    options |= {"physics_error": not no_physics_error, "typical_vmic": not no_vmic_prior, "snr": snr}
    options |= {"noise_correlation": noise_correlation, "free": tuple(words(free))}
    settings = _settings(fix, prior, velocities, mask, options)
    _check_one(star, listed)
    if listed is not None:
        _check_list(output, plot, posterior, source)
        _fit_list(listed, output, settings, model, given, workers, overwrite, abundances)
        return
    drawn = [(plot, targets.figure), (posterior, _check_posterior)]
    targets.check_targets([(output, targets.spectrum), *drawn], overwrite, [star])
    _fit_one(star, output, plot, posterior, settings, model, {**given, "source": source}, abundances)


def _settings(fix: Repeated, prior: Repeated, velocities: str, mask: Repeated, options: dict) -> "Settings":
    """Settings of what is spelled in words, and of further ``options`` as they are."""
    from starloom.inference import Settings

    return Settings(
        fixed=numbers("--fix", fix, "NAME=VALUE"),
        priors=pairs("--prior", prior, "NAME=MEAN:SIGMA"),
        velocities=pair("--velocities", velocities),
        windows=tuple(pair("--mask", text) for text in mask or ()),
        **options,
    )


def _check_one(star: Path | None, listed: Path | None) -> None:
    from starloom.errors import ConfigError

    if (star is None) == (listed is None):
        raise ConfigError("give the file of a spectrum, or --from with a list of them")


def _check_list(output, plot, posterior, source) -> None:
    from starloom.errors import ConfigError

    if output is None or plot is not None or posterior is not None or source is not None:
        raise ConfigError("--from needs -o FILE and goes with neither --plot, --posterior nor --source")


def _fit_one(star, output, plot, posterior, settings, model: str, given: dict, scales: bool) -> None:
    from starloom.inference import abundances, figure
    from starloom.inference import fit as fitted
    from starloom.inference.setup import Setup
    from starloom.io import read_observed
    from starloom.networks.generator import Generator

    generator = Generator.load(model)
    if scales:
        abundances.check(Setup(generator, settings).labels)
    spectrum = read_observed(star, **given)
    if settings.snr is not None and spectrum.error is not None:
        print(f"starloom: {star}: --snr is for spectra without errors; this one's are used", file=sys.stderr)
    result = fitted(spectrum, generator, settings)
    if output is not None:
        result.write(output, overwrite=True)
    if plot is not None:
        figure.draw(result, plot, generator.header.band)
    print(figure.text(result, scales))
    if output is not None:
        print(f"wrote {output}")
    if plot is not None:
        print(f"drew {plot}", flush=True)
    if posterior is not None:
        from starloom.inference import posterior as sampling

        drawn = sampling.sample(result, generator)
        sampling.corner(drawn, posterior)
        print(sampling.text(drawn))
        print(f"drew {posterior}")


def _check_posterior(path: Path) -> None:
    from starloom.inference.posterior import check

    check(path)


def _fit_list(
    listed, output, settings, model: str, given: dict, workers: int, overwrite: bool, scales: bool
) -> None:
    from tqdm import tqdm

    from starloom.inference.table import check_table, fit_files
    from starloom.io import read_list

    paths = read_list(listed)
    # a table that exists is continued
    targets.check_targets([(output, check_table)], True, [listed])
    with tqdm(total=len(paths), unit=" files", disable=None) as bar:
        fits, faults = fit_files(
            paths,
            output,
            settings,
            model=model,
            reading=given,
            workers=workers,
            scales=scales,
            progress=bar.update,
            overwrite=overwrite,
            spell=attrgetter("in_command"),
        )
    print(f"{output}: {fits} fits, {faults} without")
    if faults:
        print("starloom: the column fault says why", file=sys.stderr)
        raise typer.Exit(1)
