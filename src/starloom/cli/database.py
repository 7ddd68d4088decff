"""``starloom database``: stores of spectra, made, checked, looked at, exported and imported."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import assignments, console
from starloom.cli.assignments import numbers, places

app = typer.Typer(no_args_is_help=True, help="Make, check, look at, export and import stores of spectra.")

StoreFolder = Annotated[Path, typer.Argument(help="Folder of the store.", metavar="STORE")]
Output = Annotated[Path, typer.Argument(help="What to write; must not exist.")]


RECIPES = (
    "alpha, benchmark, cool, edge, elements, ends, inside, optical, optical-cool, paper, standard, "
    "stars, stars-alpha, stars-benchmark, stars-cool, stars-coolest, stars-edge, stars-ends, stars-near, "
    "stars-solar, stars-solar-benchmark, stars-steps, tiny"
)


class Medium(StrEnum):
    """What wavelengths are measured in."""

    AIR = "air"
    VACUUM = "vacuum"


class Normalisation(StrEnum):
    """How flux is divided by its continuum."""

    NONE = "none"
    CONTINUUM = "continuum"
    ENVELOPE = "envelope"


class Number(StrEnum):
    """How observed flux is stored."""

    FLOAT32 = "float32"
    UINT16 = "uint16"


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help=f"A TOML file, or one of: {RECIPES}.")],
    store: StoreFolder,
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    dask: Annotated[str, typer.Option(help="Address of a dask scheduler, to use its cluster.")] = "",
    seed: Annotated[
        int | None, typer.Option(help="Other stars of the same kind: instead of the recipe's.")
    ] = None,
    intrinsic: Annotated[
        int | None, typer.Option(help="Number of stars that are synthesised: instead of the recipe's.")
    ] = None,
    between: assignments.Range = None,
    resolution: Annotated[
        float | None, typer.Option(help="Highest resolving power of the spectra: instead of the recipe's.")
    ] = None,
) -> None:
    """Make a store, or continue one; what is there and undamaged stays."""
    from dataclasses import replace

    from starloom.database import build as builder
    from starloom.database import recipe as recipes
    from starloom.database import workers as engines
    from starloom.errors import ConfigError

    if dask and workers != 1:
        raise ConfigError("--workers and --dask exclude each other")
    engine = engines.dask(dask) if dask else engines.processes(workers)
    changes = {"seed": seed, "intrinsic": intrinsic}
    wanted = recipes.load(recipe).over(assignments.air_range(between), resolution)
    wanted = replace(wanted, **{key: n for key, n in changes.items() if n is not None})
    builder.check_synthesis(wanted)  # before there is anything on disk
    manifest = builder.build(
        wanted,
        store,
        builder.radiative_transfer,
        physics=builder.physics_version(wanted.load_band()),
        engine=engine,
        progress=console.shows_bars(),
    )
    print(f"{store}: {manifest.spectra} spectra, {manifest.bytes_on_disk / 1e6:.1f} MB")


@app.command()
def status(store: StoreFolder) -> None:
    """Say what a store is made of and how far it is."""
    from starloom.database.store import read_manifest

    manifest = read_manifest(store)
    recipe = manifest.recipe
    print(f"recipe    {recipe.name} {recipe.digest[:12]}: {recipe.sampling}, seed {recipe.seed}")
    print(f"physics   {manifest.physics}")
    print(f"identity  {manifest.identity[:12]}")
    print(f"spectra   {manifest.spectra} of {recipe.intrinsic}, each seen {recipe.broadenings} times")
    print(f"chunks    {len(manifest.digests)} of {recipe.chunks}")
    print(f"on disk   {manifest.bytes_on_disk / 1e6:.1f} MB of {manifest.dtype}")
    print(f"splits    {', '.join(f'{name} {len(part)}' for name, part in recipe.splits().items())}")


@app.command()
def verify(store: StoreFolder) -> None:
    """Compare every file with its digest; the build command makes damaged ones again."""
    from starloom.database.store import read_manifest
    from starloom.errors import StoreError

    manifest = read_manifest(store)
    damage = manifest.damage(console.shows_bars())
    for reason in damage.values():
        print(reason)
    if damage:
        raise StoreError(
            f"{store}: {len(damage)} of {len(manifest.digests)} chunks are damaged: build it again"
        )
    missing = f", {len(manifest.missing)} are not made yet" if manifest.missing else ""
    print(f"{store}: {len(manifest.digests)} chunks are undamaged{missing}")


@app.command()
def repair(
    store: StoreFolder,
    recipe: Annotated[
        str | None, typer.Option(help="The store's, where the manifest's copy is damaged too.")
    ] = None,
) -> None:
    """Write a damaged manifest.json anew: from its copy, else from the chunks that are the recipe's."""
    from starloom.database import recipe as recipes
    from starloom.database.store import repaired
    from starloom.locks import locked

    with locked(store):
        manifest = repaired(store, recipes.load(recipe) if recipe else None)
    print(f"{store}: {len(manifest.digests)} of {manifest.recipe.chunks} chunks, {manifest.physics}")


@app.command()
def export(
    store: StoreFolder,
    output: Output,
    observed: Annotated[
        bool, typer.Option("--observed", help="The recipe's fixed set at the band's points.")
    ] = False,
) -> None:
    """Write a store to one HDF5 file."""
    from starloom.database.exchange import export_hdf5
    from starloom.database.store import open_store

    export_hdf5(open_store(store), output, observed, console.shows_bars())
    print(f"wrote {output}: {output.stat().st_size / 1e6:.1f} MB")


@app.command(name="fixed-set")
def fixed_set(
    store: StoreFolder,
    output: Output,
    dtype: Annotated[
        Number, typer.Option(help="uint16 has half the size, rounded to 1e-5.")
    ] = Number.FLOAT32,
) -> None:
    """Write the fixed set of observed spectra at the band's points, for training to read."""
    from starloom.database.batches import export_fixed_set
    from starloom.database.store import open_store

    fixed = export_fixed_set(open_store(store), output, dtype.value, progress=console.shows_bars())
    print(f"wrote {output}: {len(fixed.labels)} spectra, {fixed.stored.nbytes / 1e6:.1f} MB")


@app.command()
def show(
    store: StoreFolder,
    plot: Annotated[Path, typer.Option(help="The PNG to draw.")] = Path("store.png"),
    sample: Annotated[int, typer.Option(help="Spectra in the colour map.", min=1)] = 600,
) -> None:
    """Draw the paper's figure 1 from a store, and print how its spectra are spread."""
    from starloom.database.figure import figure_one, statistics
    from starloom.database.store import open_store

    opened = open_store(store)
    figure_one(opened, plot, sample)
    print(statistics(opened))
    print(f"drew {plot}")


@app.command(name="import")
def import_(
    files: Annotated[Path, typer.Argument(help="Folder of the spectra.")],
    table: Annotated[Path, typer.Argument(help="CSV, ECSV or FITS table: column file, and the labels.")],
    store: StoreFolder,
    layout: Annotated[
        str,
        typer.Option(help="Format: pollux, ambre, phoenix, synspec, ascii, fits-table, fits-image, ..."),
    ],
    medium: Annotated[
        Medium | None, typer.Option(help="Of the wavelengths, where the format leaves it open.")
    ] = None,
    normalise: Annotated[Normalisation | None, typer.Option(help="Instead of the format's own way.")] = None,
    columns: Annotated[str, typer.Option(help="wavelength,flux[,continuum]: numbers from 1, or names.")] = "",
    resolution: Annotated[float, typer.Option(help="Of the files' spectra.")] = float("inf"),
    given: Annotated[
        list[str] | None, typer.Option("--set", help="A label the table lacks, as vmic=2.")
    ] = None,
    fill_margin: Annotated[
        bool, typer.Option("--fill-margin", help="Continue the band to its margins with the end values.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    seed: Annotated[int, typer.Option(help="Of the splits and broadenings.")] = 1,
    recipe: Annotated[
        str, typer.Option(help="Which has the labels, and the ranges of v sin i and resolution.")
    ] = "paper",
    band: Annotated[str, typer.Option(help="Wavelength band, instead of the recipe's.")] = "",
) -> None:
    """Make a store from spectra of another grid, or observed ones, and a table of their labels."""
    from dataclasses import replace

    from starloom.database import importing
    from starloom.database import recipe as recipes
    from starloom.io import find_format

    wanted = recipes.load(recipe)
    how = importing.Import(
        find_format(layout),
        columns=places(columns),
        medium=medium and medium.value,
        normalise=normalise and normalise.value,
        resolution=resolution,
        given=numbers("--set", given),
        fill_margin=fill_margin,
        skip_bad=skip_bad,
        recipe=replace(wanted, band=band) if band else wanted,
    )
    done = importing.import_grid(
        files, table, store, how, name=layout, seed=seed, progress=console.shows_bars()
    )
    for reason in done.skipped:
        print(f"skipped {reason}")
    print(f"{store}: {done.manifest.spectra} spectra, {len(done.skipped)} files skipped")


@app.command(name="import-observed")
def import_observed(
    files: Annotated[Path, typer.Argument(help="Folder of the spectra.")],
    table: Annotated[
        Path, typer.Argument(help="Table (.csv, .ecsv, .fits): file, teff, teff_err, logg, logg_err, ...")
    ],
    output: Annotated[Path, typer.Argument(help="Library to write (.npz).", metavar="LIBRARY")],
    name: Annotated[str, typer.Option(help="Of the library.")] = "observed",
    source: Annotated[str, typer.Option(help="Whom to cite for it.")] = "",
    form: Annotated[str | None, typer.Option("--format", help="Of the files; else it is recognised.")] = None,
    medium: Annotated[
        Medium | None, typer.Option(help="Of the wavelengths, where a file leaves it open.")
    ] = None,
    frame: Annotated[str | None, typer.Option(help="rest, or a column velocity in the table.")] = None,
    unit: Annotated[str | None, typer.Option(help="Angstrom, nm or um, where a file leaves it open.")] = None,
    columns: Annotated[str, typer.Option(help="wavelength,flux[,error]: numbers from 1, or names.")] = "",
    resolution: Annotated[float | None, typer.Option(help="Of spectra that do not tell theirs.")] = None,
    snr: Annotated[
        float | None, typer.Option(help="Of spectra without errors; else from their pixels.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Make a library of observed stars, for `train observed`, from spectra and labels with errors."""
    from starloom.files import check_target
    from starloom.observed.importing import import_library
    from starloom.observed.library import SUFFIX

    check_target(output, (SUFFIX,), overwrite)
    reading = {"format": form, "medium": medium and medium.value, "frame": frame, "unit": unit}
    reading |= {"columns": places(columns), "resolution": resolution}
    made = import_library(files, table, name, snr=snr, skip_bad=skip_bad, source=source, **reading)
    made.write(output)
    ends = "{:.6g} to {:.6g}".format(*made.vacuum_aa[[0, -1]])
    told = f"{len(made)} stars, {made.vacuum_aa.size} pixels, {ends} A (vacuum), {', '.join(made.labels)}"
    print(f"{output}: {told}; {made.about['left_out']} left out")
