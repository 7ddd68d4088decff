"""``starloom generate``, ``models`` and ``evaluate``: spectra from trained models, and how good those are."""

from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starloom.cli import console, targets
from starloom.cli.assignments import Repeated, numbers
from starloom.cli.database import Medium

if TYPE_CHECKING:
    from starloom.database.store import Store
    from starloom.io import LabelTable
    from starloom.labels import Domain
    from starloom.networks.generator import Generator
    from starloom.networks.weights import Header

Number = float | None
OPTIONS = ("teff", "logg", "vsini", "mh", "vmic", "resolution", "alpha", "filling")  # others by --label
Alpha = Annotated[Number, typer.Option(help="[alpha/M] [dex] of models that have it; 0 unless given.")]
Filling = Annotated[
    Number, typer.Option(help="Emission in the Ca II cores, likewise; it fades from 7000 to 8000 K.")
]


class ErrorOf(StrEnum):
    """The choices of ``--error``."""

    EMULATOR = "emulator"
    PHYSICS = "physics"
    BOTH = "both"


ModelName = Annotated[str, typer.Option(help="Name of a packaged model, or a weights file.")]

Correction = Annotated[
    Path | None,
    typer.Option(help="File of `train observed`: a correction of the model's flux, with its error."),
]


def generate(
    teff: Annotated[Number, typer.Option(help="Effective temperature [K].")] = None,
    logg: Annotated[Number, typer.Option(help="Logarithm of the surface gravity [dex, cgs].")] = None,
    vsini: Annotated[Number, typer.Option(help="Projected rotation velocity [km/s].")] = None,
    mh: Annotated[Number, typer.Option(help="Metallicity [M/H] [dex].")] = None,
    vmic: Annotated[Number, typer.Option(help="Microturbulent velocity [km/s].")] = None,
    resolution: Annotated[Number, typer.Option(help="Resolving power.")] = None,
    alpha: Alpha = None,
    filling: Filling = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, any label of the model, e.g. Ca=0.2; repeatable.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", help="Table of labels (.csv, .ecsv, .fits, .vot), a row per star."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Spectrum to write (.fits, .ecsv, .csv); for a table a folder, .fits or .hdf5.",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Figure to draw (.png, .pdf, .svg).")] = None,
    model: Annotated[
        str, typer.Option(help="Name of a packaged model, or a weights file; default, or optical for a band.")
    ] = "",
    grid: Annotated[str, typer.Option(help="Wavelengths LOW:HIGH:STEP [A] instead of the model's.")] = "",
    medium: Annotated[Medium, typer.Option(help="Of the wavelengths.")] = Medium.AIR,
    band: Annotated[str, typer.Option(help="Wavelengths of an installed band, or of all of galah.")] = "",
    rv: Annotated[float, typer.Option(help="Radial velocity [km/s], positive away from us.")] = 0.0,
    clip: Annotated[bool, typer.Option("--clip", help="Clip labels outside the domain into it.")] = False,
    correction: Correction = None,
    error: Annotated[ErrorOf, typer.Option(help="Of the flux: of the emulator, its physics, or both.")] = (
        ErrorOf.EMULATOR
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Generate the spectrum of one star, or of every row of a table."""
    from starloom import bands
    from starloom.errors import ConfigError
    from starloom.networks.generator import Generator
    from starloom.networks.weights import model_for

    values = zip(OPTIONS, (teff, logg, vsini, mh, vmic, resolution, alpha, filling), strict=True)
    options = {name: value for name, value in values if value is not None}
    view = {"medium": medium.value, "radial_velocity": rv, "outside": "clip" if clip else "error"}
    view["error"] = error.value
    if grid and band:
        raise ConfigError("--grid and --band exclude each other")
    if grid:
        view["wavelength_aa"] = wavelengths(grid)
    if band:
        view["wavelength_aa"], view["medium"] = bands.window(band)
    if output is None and (table is not None or plot is None):
        raise ConfigError("nowhere to write to: give -o FILE" + ("" if table else " or --plot FILE"))
    if table is not None:
        if plot is not None:
            raise ConfigError("--plot draws one star: it does not go with --from")
        targets.check_targets([(output, targets.spectra)], overwrite, [table])
    else:
        targets.check_targets([(output, targets.spectrum), (plot, targets.figure)], overwrite)
    generator = Generator.load(model or model_for(band or None)).corrected(correction)
    given = labels_of(generator, options, label)
    if table is not None:
        _generate_table(generator, table, given, output, view)
        return
    check_complete(generator, given, " (or give a table: --from)")
    _generate_one(generator, given, output, plot, view)


def labels_of(generator: "Generator", options: dict[str, float], texts: Repeated) -> dict[str, float]:
    """Labels by name from the options and from ``--label``; each must be one of the model's."""
    from starloom.errors import ConfigError
    from starloom.networks.generator import models_with

    given = numbers("--label", texts)
    if twice := sorted(set(options) & set(given)):
        raise ConfigError(f"--{twice[0]} and --label {twice[0]}=... exclude each other")
    names = generator.domain.names
    if unknown := [name for name in {**options, **given} if name not in names]:
        told = f"model {generator.name} has no label {unknown[0]}: it has {', '.join(names)}"
        raise ConfigError(told + models_with(set(unknown)))
    return options | given


def check_complete(generator: "Generator", given: dict[str, float], hint: str = "") -> None:
    """Raise ConfigError, one line with the options, where labels of the model are not given."""
    from starloom.errors import ConfigError

    known = {**generator.domain.defaults(given), **given}
    if missing := [name for name in generator.domain.names if name not in known]:
        wanted = ", ".join(f"--{name}" if name in OPTIONS else f"--label {name}=VALUE" for name in missing)
        raise ConfigError(f"labels are missing: {wanted}{hint}")


def models(as_json: console.Json = False) -> None:
    """List the packaged models."""
    from starloom.networks import weights
    from starloom.networks.physics_error import physics_in
    from starloom.networks.stated_error import stated_in

    if as_json:
        for name in weights.names():
            console.print_json(_about_model(name))
        return
    if not weights.names():
        print("no model is packaged")
    for name in weights.names():
        path = weights.find(name)
        model = weights.load(path)
        size = path.stat().st_size / 1e6
        print(f"{name}: {model.header.family}, {model.size} parameters, {size:.1f} MB")
        if card := [line.lstrip("# ") for line in model.header.card.splitlines() if line.strip("# ")]:
            print(f"  {card[0]}")
        if stated := stated_in(model):
            sizes = stated.summary
            print(
                f"  flux error on {stated.spectra} held-out spectra, mean over cells: {sizes['mean']:.1e}, "
                f"68 % within {sizes['p68']:.1e}, 99 % within {sizes['p99']:.1e}"
            )
        if physics := physics_in(model):
            told = ", ".join(f"{name} {size:g}" for name, size in asdict(physics.sizes).items())
            print(f"  physics error in fits: {told} (lines and calcium in dex)")
        _print_header(model.header)


def _about_model(name: str) -> dict:
    """What a model is, knows and states about its errors, as JSON has it."""
    from starloom.networks import weights
    from starloom.networks.physics_error import physics_in
    from starloom.networks.stated_error import stated_in

    path = weights.find(name)
    model = weights.load(path)
    header, stated, physics = model.header, stated_in(model), physics_in(model)
    content = {"name": name, "file": str(path), "bytes": path.stat().st_size, "family": header.family}
    content |= {"parameters": model.size, "version": header.version, "card": header.card}
    content["labels"] = {label.name: [low, high] for label, low, high in header.domain.ranges}
    content["flux_error"] = stated and {"spectra": stated.spectra, **stated.summary}
    content["physics_error"] = physics and asdict(physics.sizes)
    content["band"] = header.band and header.band.name
    return content | {"points": header.points and asdict(header.points)}


def _print_header(header: "Header") -> None:
    """Labels with their ranges, band and points of a model."""
    print(f"  labels: {header.domain.extent}")
    if points := header.points:
        ends = f"{points.first_aa:g} to {points.last_aa:g} A ({points.medium})"
        print(f"  band {header.band.name if header.band else '-'}, {points.count} points, {ends}")


def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a packaged model, or a weights file.")],
    stores: Annotated[list[Path], typer.Argument(help="Folders of finished stores.", metavar="STORE...")],
    split: Annotated[str, typer.Option(help="Spectra of the store: test, validation or train.")] = "test",
    copies: Annotated[int, typer.Option(help="Broadenings of each spectrum; 0: as the recipe says.")] = 0,
    attach: Annotated[
        Path | None, typer.Option(help="Write the model to this file with these errors stated in it.")
    ] = None,
    ends: Annotated[
        Path | None,
        typer.Option(help="Write the model with what it states corrected at the ends of the domain."),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of the file: float16 or float32.")] = "float32",
    as_json: console.Json = False,
) -> None:
    """Compare a model with the spectra of stores at the model's points."""
    from itertools import chain

    from starloom.database.store import open_store
    from starloom.errors import ConfigError
    from starloom.evaluation import error_map
    from starloom.files import check_target
    from starloom.networks import stated_error, weights
    from starloom.networks.generator import Generator

    if attach and ends:
        raise ConfigError("--attach and --ends exclude each other: what is attached is corrected afterwards")
    if path := attach or ends:
        check_target(path)
    opened = [open_store(store) for store in stores]
    packed = weights.load(weights.find(model))
    generator = Generator.of(packed, model)
    statement = _statement(generator, correction=attach is None) if path else None

    def held_out() -> Iterator[tuple]:
        return chain.from_iterable(_held_out(generator, store, split, copies) for store in opened)

    with console.bar(_count(opened, split, copies), "spectra") as bar:
        errors = _errors(generator, _counted(held_out(), bar), statement)
    if not errors.spectra:
        raise ConfigError(f"{', '.join(map(str, stores))}: no spectrum is in the split {split!r}")
    covered = error_map.coverage(generator, held_out()) if generator.stated else None
    if statement:
        stated = statement.result()
        weights.save(path, stated_error.attached(packed, stated), precision)
    if as_json:
        console.print_json(_errors_content(errors, generator.domain, covered))
    else:
        _print_errors(errors, generator.domain)
        if covered:
            _print_coverage(covered)
    if statement:
        which = "" if attach is None else "these "
        console.told(as_json)(f"wrote {path}, which states the errors of {which}{stated.spectra} spectra")


def _statement(generator: "Generator", correction: bool):
    """What gathers the errors that a model is to state: all of them, or those at the ends of the domain."""
    from starloom.evaluation import error_map

    if correction:
        return error_map.EndCorrection.of(generator)
    return error_map.ErrorStatement(generator.domain, generator.header.points)


def _errors(generator: "Generator", spectra: Iterator[tuple], statement):
    """The errors of a model on spectra, which a statement, where there is one, sees too."""
    from starloom.evaluation.errors import FluxErrors, compare, label_cells

    errors = FluxErrors(generator.header.points.count, label_cells(generator.domain))
    # at all points, also where profiles reach beyond what is known: those of the store end there likewise
    compare(generator.model.flux, spectra, errors, *([statement] if statement else []))
    return errors


def _held_out(generator: "Generator", store: "Store", split: str, copies: int) -> Iterator[tuple]:
    """Labels, in the model's order, and flux, at the model's points, of a split of a store.

    What a model has beside the labels of stores, as the filling, is none in them; no spectrum is finer than
    the resolution of the model.
    """
    from dataclasses import replace

    from starloom.broadening import finish_of
    from starloom.database.batches import batches
    from starloom.errors import ConfigError
    from starloom.labels import BROADENING, EXACT

    names = generator.domain.names
    if {name for name in names if name not in EXACT or name in BROADENING} != set(store.domain.names):
        told = f"{', '.join(store.domain.names)}, the model's are {', '.join(names)}"
        raise ConfigError(f"{store.manifest.folder}: the store's labels are {told}")
    if "resolution" in names:  # a model may end before its stores
        store = store.up_to(float(generator.domain.high[generator.domain.index("resolution")]))
    finisher = finish_of(replace(store.band, points=generator.header.points))
    options = {"copies": copies or store.recipe.broadenings, "shuffle": False, "size": 256}
    for batch in batches(store, split, epoch=0, finisher=finisher, **options):
        given = dict(zip(store.domain.names, batch.labels.T, strict=True))
        yield generator.domain.array(**given), batch.flux


def wavelengths(text: str, option: str = "--grid"):
    """LOW:HIGH:STEP as wavelengths, both ends included."""
    import numpy as np

    from starloom.errors import ConfigError

    try:
        low, high, step = (float(word) for word in text.split(":"))
    except ValueError as error:
        raise ConfigError(f"{option} {text}: expected LOW:HIGH:STEP in Angstrom") from error
    if not (0 < low < high < np.inf and 0 < step < np.inf and (high - low) / step < 1e6):
        raise ConfigError(
            f"{option} {text}: needs 0 < LOW < HIGH and a STEP that makes fewer than 1e6 points"
        )
    return low + step * np.arange(round((high - low) / step + 1e-9, 6) // 1 + 1)


def _generate_one(
    generator: "Generator", values: dict, output: Path | None, plot: Path | None, view: dict
) -> None:
    import time

    start = time.perf_counter()
    with _clipping_noted():
        spectrum = generator.spectrum(generator.domain.array(**values), **view)
    seconds = time.perf_counter() - start
    if output is not None:
        spectrum.write(output, overwrite=True)
    if plot is not None:
        _draw(spectrum, generator, view["radial_velocity"], plot)
    if output is not None:
        print(f"wrote {output}: {spectrum.title}")
    if plot is not None:
        print(f"drew {plot}")
    print(f"model {generator.name}, {1e3 * seconds:.1f} ms; {_error_text(spectrum)}")


def _generate_table(generator: "Generator", path: Path, given: dict, output: Path, view: dict) -> None:
    import warnings

    from starloom import io
    from starloom.networks.generator import OutsideDomainWarning

    table = io.open_labels(path, generator.domain, given, complete=False)
    if table.unknown:
        names = ", ".join(table.unknown)
        console.log.warning(f"{path}: no labels of the model, only carried along: {names}")
    faults, clip = 0, view["outside"] == "clip"

    def portions() -> Iterator[io.Portion]:
        nonlocal faults
        with console.bar(table.count, "spectra") as progress:
            parts = table.parts()
            if clip:
                parts = _telling_clipped(parts, generator.domain, progress)
            for done in io.generate_each(parts, lambda labels: generator.spectra(labels, **view)):
                for row, reason in sorted(done.faults.items()):
                    console.log.warning(f"row {row}: {reason}")
                faults += len(done.faults)
                yield done
                progress.update(len(done.rows) + len(done.faults))

    named = None if output.suffix else table.identifier
    if not output.suffix and named is None and table.identifiers:
        why = f"not every row has its own name in {', '.join(table.identifiers)}"
        console.log.warning(f"{path}: files are numbered by row: {why}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutsideDomainWarning)  # it counts the rows of a portion
        if output.suffix:
            count = io.write_many(output, portions(), overwrite=True)
        else:
            count = io.write_each(output, portions(), overwrite=True, named=named)
    print(f"wrote {count} spectra of {table.count} rows to {output}" if count else "wrote nothing")
    if faults:
        raise typer.Exit(1)


def _telling_clipped(parts: "Iterator[LabelTable]", domain: "Domain", progress) -> "Iterator[LabelTable]":
    """The parts; each good row that will be clipped into the domain is told by its number in the table."""
    import numpy as np

    from starloom.errors import OutOfRangeError

    for part in parts:
        for row in part.rows:
            one = part.labels[row - part.first]
            try:
                domain.check(one)
            except OutOfRangeError as fault:
                if np.isfinite(one).all():  # what is not a number is refused all the same
                    console.log.warning(f"row {row}: clipped into the domain: {fault}")
        yield part


def _clipping_noted():
    """A context that prints warnings as lines of ours."""
    import warnings
    from contextlib import contextmanager

    @contextmanager
    def noted():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for message in dict.fromkeys(str(warning.message) for warning in caught):
            console.log.warning(message)

    return noted()


def _draw(spectrum, generator: "Generator", velocity: float, path: Path) -> None:
    from starloom.figures import save
    from starloom.spectrum.lines import name_lines

    axes = spectrum.plot()
    name_lines(axes, spectrum, generator.header.band, spectrum.labels.get("teff"), velocity)
    save(axes.figure, path)


def _error_text(spectrum) -> str:
    from starloom.networks.generator import ERRORS

    if spectrum.error is None:
        return "it states no errors"
    extent = f"{spectrum.error.min():.1e} to {spectrum.error.max():.1e} by wavelength"
    if spectrum.provenance["error"] != ERRORS["emulator"]:
        return f"error {extent}: {spectrum.provenance['error']}"
    return f"68 % of its flux errors near these labels are within {extent}"


def _count(stores: "list[Store]", split: str, copies: int) -> int | None:
    """How many spectra of the split there are, broadened ones; None for a split that is none."""
    parts = [(store.recipe.splits().get(split, ()), copies or store.recipe.broadenings) for store in stores]
    return sum(len(part) * times for part, times in parts) or None


def _counted(batches: Iterator[tuple], bar) -> Iterator[tuple]:
    """The batches, each told to a bar when it is done."""
    for labels, flux in batches:
        yield labels, flux
        bar.update(len(labels))


def _errors_content(errors, domain: "Domain", covered) -> dict:
    """The errors as JSON has them: of all spectra, of ranges of labels, the worst, and what is stated."""
    content = {"spectra": errors.spectra, "all": _sizes(errors.overall, 0)}
    for name in errors.cells:
        edges, found = errors.cells[name].edges[name], errors.by_cell(name)
        ends = pairwise(edges)
        cells = [{"low": a, "high": b, **_sizes(found, row)} for row, (a, b) in enumerate(ends)]
        content[name] = cells
    worst = dict(zip(domain.names, errors.worst_labels, strict=True))
    content["worst"] = {"mean": errors.worst_error, **worst}
    return content | {"within_stated": covered and {"all": covered.overall, "by_teff": covered.by_teff}}


def _sizes(found, group: int) -> dict[str, float]:
    """The sizes of a group of errors by name."""
    names = {"mean": "mean", "p50": "p50", "p95": "p95", "p99": "p99", "max": "largest"}
    return {"count": found.count[group]} | {n: getattr(found, own)[group] for n, own in names.items()}


def _print_errors(errors, domain: "Domain") -> None:
    from starloom.labels import number

    def line(name: str, found, group: int = 0) -> None:
        sizes = [values[group] for values in (found.mean, found.p50, found.p95, found.p99, found.largest)]
        told = "".join(f"{size:>10.1e}" for size in sizes) if found.count[group] else "  no spectrum"
        print(f"{name:<28}{told}")

    print(
        f"{f'{errors.spectra} spectra':<28}"
        + "".join(f"{n:>10}" for n in ["mean", "P50", "P95", "P99", "max"])
    )
    line("all", errors.overall)
    for label in (each for each in domain.labels if each.name in errors.cells):
        edges, found = errors.cells[label.name].edges[label.name], errors.by_cell(label.name)
        for group in range(len(edges) - 1):
            ends = f"{number(round(edges[group], 6))} to {number(round(edges[group + 1], 6))}"
            line(f"{label.name} {ends} {label.unit}", found, group)
    worst = ", ".join(f"{n} = {v:.6g}" for n, v in zip(domain.names, errors.worst_labels, strict=True))
    print(f"worst spectrum: mean {errors.worst_error:.1e} at {worst}")


def _print_coverage(found) -> None:
    from math import isnan

    from starloom.evaluation.error_map import SHARES

    for name, share in SHARES.items():
        bins = ", ".join("-" if isnan(value) else f"{value:.1%}" for value in found.by_teff[name])
        print(f"within the stated {name} ({share:.0%} is due): {found.overall[name]:.1%}; by Teff: {bins}")
