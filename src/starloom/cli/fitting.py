"""``starloom fit``: labels of one observed spectrum, or of many: files, folders, a list."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from starloom.cli import configuration, console, targets
from starloom.cli.assignments import Repeated, numbers, pair, pairs, places, words
from starloom.cli.database import Medium
from starloom.cli.generation import Correction, ModelName

if TYPE_CHECKING:
    from starloom.inference import Settings


class Frame(StrEnum):
    """Frames of a spectrum."""

    REST = "rest"
    BARYCENTRIC = "barycentric"
    HELIOCENTRIC = "heliocentric"
    TOPOCENTRIC = "topocentric"


# the command's options: what it is told of the spectrum, what is fitted, and what it writes
Stars = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Observed spectra: FITS, VOTable, ECSV, CSV, text; or folders of such files.",
        metavar="STAR",
    ),
]
Listed = Annotated[
    Path | None, typer.Option("--from", help="Text file with the path of a spectrum in each line.")
]
FromArchive = Annotated[
    bool,
    typer.Option("--gaia", help="The stars are Gaia DR3 source ids, and a list has one in each line."),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        help="Fit spectra of a star together: a column of the list (a table, with path) or a header key.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Best model of one star (.fits, .ecsv, .csv); of many the table of results."
    ),
]
Plot = Annotated[Path | None, typer.Option(help="Figure to draw (.png, .pdf, .svg).")]
Corner = Annotated[
    Path | None, typer.Option(help="Sample the posterior and draw its corner plot to this file.")
]
Resolution = Annotated[float | None, typer.Option(help="Resolving power, where the file lacks it.")]
ResolutionTable = Annotated[
    Path | None,
    typer.Option(help="Text file of wavelength [A, as observed] and resolving power in each line."),
]
LineSpread = Annotated[
    Path | None,
    typer.Option(help="Text file of the instrument's profile: velocity [km/s] and value in each line."),
]
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
NoTrust = Annotated[
    bool, typer.Option("--no-trust", help="Do not ask how far to trust labels, nor for two stars: faster.")
]
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
Dask = Annotated[str | None, typer.Option(help="Address of a dask cluster that shares a list instead.")]
FullSearch = Annotated[
    bool, typer.Option("--full-search", help="Begin with templates, not where the model's network points.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def fit(
    context: typer.Context,
    stars: Stars = None,
    listed: Listed = None,
    from_gaia: FromArchive = False,
    group_by: GroupBy = None,
    output: Output = None,
    plot: Plot = None,
    resolution: Resolution = None,
    resolution_table: ResolutionTable = None,
    line_spread: LineSpread = None,
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
    no_trust: NoTrust = False,
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
    correction: Correction = None,
    workers: Workers = 1,
    dask: Dask = None,
    full_search: FullSearch = False,
    overwrite: Overwrite = False,
    as_json: console.Json = False,
) -> None:
    """Fit labels, radial velocity and continuum to an observed spectrum, or to each of many."""
    given = {"medium": medium and medium.value, "frame": frame and frame.value, "unit": unit}
    given |= {"format": form, "columns": places(columns)}
    options = {"resolution": resolution, "free_resolution": free_resolution, "continuum": continuum}
    options |= {"telluric": telluric, "core_kms": core, "floor": floor, "degrade": degrade, "pixel": pixel}
    options |= {"physics_error": not no_physics_error, "typical_vmic": not no_vmic_prior, "snr": snr}
    options |= {"noise_correlation": noise_correlation, "free": tuple(words(free))}
    options |= {"learned_start": not full_search, "trust": not no_trust}
    options |= _instrument({"resolution_table": resolution_table, "line_spread": line_spread})
    settings = _settings(fix, prior, velocities, mask, options)
    if configuration.by_file(context, "abundances"):  # where there are any
        abundances = bool(free) and group_by is None
    if configuration.by_file(context, "workers") and (group_by or dask):
        workers = 1
    _check_workers(workers, dask)
    job = _Job(settings, model, given, abundances, as_json, correction)
    if group_by is not None:
        _check_groups(listed, from_gaia, job, workers, dask)
    many, missing = _are_many(stars or [], listed), []
    if many:
        _check_many(output, plot, posterior, source, as_json)
        if group_by is not None:
            _fit_groups(job, listed, group_by, output, overwrite)
            return
    else:
        _check_single(dask)
        drawn = [(plot, targets.figure), (posterior, _check_posterior)]
        targets.check_targets([(output, targets.spectrum), *drawn], overwrite, stars)
    if from_gaia:
        stars, missing = _fetched(stars or [], listed)
        listed = None
    if many:
        faults = _fit_many(job, _paths(stars, listed), output, (workers, dask), overwrite, listed)
        if faults or missing:
            raise typer.Exit(1)
        return
    _fit_one(job, stars[0], source, output, plot, posterior)


def _instrument(given: dict[str, Path | None]) -> dict[str, tuple]:
    """Options of tables in files."""
    from starloom.inference.instrument import read_pairs

    return {name: read_pairs(path) for name, path in given.items() if path is not None}


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


@dataclass(frozen=True)
class _Job:
    """What is asked of every fit: settings, model, how files are read, and how results are told."""

    settings: "Settings"
    model: str
    reading: dict[str, Any]
    abundances: bool
    as_json: bool
    correction: Path | None = None


def _are_many(named: list[Path], listed: Path | None) -> bool:
    """Whether a table is asked for: of a list, a folder or several files."""
    from starloom.errors import ConfigError

    if bool(named) == (listed is not None):
        told = "give the file of a spectrum, or --from with a list of them"
        raise ConfigError(f"{told} (or several files, or a folder)")
    return len(named) != 1 or named[0].is_dir()


def _paths(named: list[Path] | None, listed: Path | None) -> list[Path]:
    """The files that are named, folders taken for the spectra in them, or those of a list."""
    from starloom.io import read_list, spectra_in

    if listed is not None:
        return list(read_list(listed))
    return [path for one in named for path in (spectra_in(one) if one.is_dir() else [one])]


def _fetched(named: list[Path], listed: Path | None) -> tuple[list[Path], list[str]]:
    """Files of source ids, from the archive or the cache, and the sources that have none."""
    from starloom import gaia
    from starloom.errors import ArchiveError

    ids = gaia.source_ids(map(str, named)) if listed is None else gaia.ids_in(listed)
    with console.bar(len(set(ids)), "spectra fetched", leave=False) as bar:
        found = gaia.fetch(ids, progress=bar.update)
    missing = [source for source, path in found.items() if path is None]
    if len(missing) == len(found):
        raise ArchiveError(gaia.none_of(missing))
    if missing:
        console.log.warning(gaia.none_of(missing))
    return [path for path in found.values() if path is not None], missing


def _check_many(output, plot, posterior, source, as_json: bool) -> None:
    from starloom.errors import ConfigError

    if (output is None and not as_json) or plot is not None or posterior is not None or source is not None:
        told = "many spectra need -o FILE for a table, or --json"
        raise ConfigError(f"{told}, and go with neither --plot, --posterior nor --source")


def _check_workers(workers: int, dask: str | None) -> None:
    from starloom.errors import ConfigError
    from starloom.recipes import at_least

    at_least(1, workers=workers)
    if dask is not None and workers != 1:
        raise ConfigError("--workers and --dask exclude each other")


def _check_groups(listed: Path | None, from_gaia: bool, job: _Job, workers: int, dask: str | None) -> None:
    from starloom.errors import ConfigError

    if listed is None or from_gaia:
        raise ConfigError("--group-by needs --from with a list of spectra")
    if workers != 1 or dask is not None or job.as_json or job.abundances:
        raise ConfigError("--group-by goes with none of --workers, --dask, --json and --abundances")


def _fit_groups(job: _Job, listed: Path, key: str, output: Path, overwrite: bool) -> None:
    """Fit the spectra of each star together, into a table of stars and one of velocities."""
    from starloom.inference.epoch_table import fit_groups, groups_in, velocities_of

    groups = groups_in(listed, key, job.reading)
    files = sum(len(each) for each in groups.values())
    with console.bar(files, "files") as bar:
        options = {"model": job.model, "correction": job.correction, "reading": job.reading}
        told = {"progress": bar.update, "overwrite": overwrite}
        fits, faults, left = fit_groups(groups, output, key, job.settings, **options, **told)
    told = f", {left} spectra left out" if left else ""
    print(f"{output}: {fits} stars, {faults} without; {velocities_of(output)}: {files} files{told}")
    if faults or left:
        console.log.warning("the column fault says why")
        raise typer.Exit(1)


def _check_single(dask: str | None) -> None:
    from starloom.errors import ConfigError

    if dask is not None:
        raise ConfigError("--dask is for many spectra: a list, a folder or several files")


def _fit_one(job: _Job, star: Path, source: str | None, output, plot, posterior) -> None:
    from starloom.inference import abundances, figure
    from starloom.inference import fit as fitted
    from starloom.inference.setup import Setup
    from starloom.inference.table import row
    from starloom.io import read_observed
    from starloom.networks.generator import Generator

    generator = Generator.load(job.model).corrected(job.correction)
    setup = Setup(generator, job.settings)
    if job.abundances:
        abundances.check(setup.labels)
    with _hinting(star):
        spectrum = read_observed(star, **job.reading, source=source)
    _tell_notes(star, spectrum, job.settings)
    result = fitted(spectrum, generator, job.settings)
    if output is not None:
        result.write(output, overwrite=True)
    if plot is not None:
        figure.draw(result, plot, generator.header.band)
    tell = console.told(job.as_json)
    if job.as_json:
        console.print_json(row(result, str(star), setup, job.abundances))
    else:
        print(figure.text(result, job.abundances))
    if output is not None:
        tell(f"wrote {output}")
    if plot is not None:
        tell(f"drew {plot}")
    if posterior is not None:
        _sample(result, generator, posterior, tell)


@contextmanager
def _hinting(star: Path) -> Iterator[None]:
    """Where a file cannot be read that is a list of files, say how lists are given."""
    from starloom.errors import ConfigError, ParseError, StarloomError
    from starloom.io import read_list

    try:
        yield
    except ParseError as error:
        listed: tuple[Path, ...] = ()
        with suppress(StarloomError):
            listed = read_list(star)
        if not listed or not all(path.is_file() for path in listed):
            raise
        raise ConfigError(f"{star}: a list of files, which --from is for") from error


def _tell_notes(star: Path, spectrum, settings: "Settings") -> None:
    """What was seen in a file, and which option does nothing for it."""
    console.log.info(f"{star}: {spectrum!r}, {spectrum.provenance.get('product', 'a spectrum')}")
    for note in spectrum.provenance.get("notes", ()):
        console.log.info(f"{star}: {note}")
    if settings.snr is not None and spectrum.error is not None:
        console.log.warning(f"{star}: --snr is for spectra without errors; this one's are used")


def _sample(result, generator, path: Path, tell) -> None:
    """Draw the posterior's corner plot, and say what it holds."""
    from starloom.inference import posterior as sampling

    drawn = sampling.sample(result, generator, progress=console.shows_bars())
    sampling.corner(drawn, path)
    tell(sampling.text(drawn))
    tell(f"drew {path}")


def _check_posterior(path: Path) -> None:
    from starloom.inference.posterior import check

    check(path)


def _fit_many(
    job: _Job,
    paths: list[Path],
    output: Path | None,
    by: tuple[int, str | None],
    overwrite: bool,
    listed: Path | None,
) -> int:
    """Fit each of many files into a table, which JSON alone may do without; how many have no fit.

    ``by``: so many processes, or the cluster at an address.
    """
    from starloom.inference.table import check_table, fit_files

    with TemporaryDirectory() as folder:
        table = output or Path(folder) / "results.ecsv"
        # a table that exists is continued
        targets.check_targets([(table, check_table)], True, [listed])
        with console.bar(len(paths), "files") as bar:
            fits, faults = fit_files(
                paths,
                table,
                job.settings,
                model=job.model,
                correction=job.correction,
                reading=job.reading,
                workers=by[0],
                dask=by[1],
                tell=console.log.info,
                scales=job.abundances,
                progress=bar.update,
                overwrite=overwrite,
                spell=attrgetter("in_command"),
            )
        if job.as_json:
            _print_rows(table)
        if output is not None:
            console.told(job.as_json)(f"{output}: {fits} fits, {faults} without")
    if faults:
        console.log.warning("the column fault says why")
    return faults


def _print_rows(path: Path) -> None:
    """The rows of a table of results, each as a line of JSON."""
    from starloom.inference.table import rows_of

    for row in rows_of(path):
        console.print_json(row)
