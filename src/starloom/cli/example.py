"""``starloom example``: stars to try the other commands on."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli.generation import ModelName


def example(
    folder: Annotated[Path, typer.Argument(help="Folder for the files; made if needed.")] = Path("example"),
    model: ModelName = "default",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write example stars to fit: a star like the Sun, an A star with gaps, and a list of ten.

    They are made by the model, with noise, in formats of observed spectra; truth.csv has their labels.
    """
    import shlex

    from starloom import examples

    paths = examples.write(folder, model, overwrite)
    first, listed = (shlex.quote(str(folder / name)) for name in (examples.STARS[0].file, examples.LIST))
    print(f"wrote {len(paths)} files to {folder}: stars made by the model {model}, with noise")
    print(f"next: starloom fit {first} --plot fit.png   (or --from {listed} -o results.ecsv)")
