"""``starloom reproduce``: the paper, from a store to its tables and figures."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import console


def reproduce(
    recipe: Annotated[str, typer.Argument(help="A TOML file, or one of: paper, short, improved, tiny.")],
    folder: Annotated[Path, typer.Argument(help="Where everything goes; go on from there.", metavar="DIR")],
    store: Annotated[
        list[Path] | None, typer.Option(help="Existing store, instead of one made in DIR; may be repeated.")
    ] = None,
    until: Annotated[str, typer.Option(help="Last stage to run.")] = "report",
    only: Annotated[list[str] | None, typer.Option(help="Run this stage alone; may be repeated.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: plans.labels.epochs=25")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or gpu; by default what there is.")] = None,
) -> None:
    """Train and test the networks of Gebran (2024), and write the report. Run it again to go on.

    Stages: store, spectra, components, autoencoder, labels, joint (where the recipe has it), generator,
    estimator-LABEL (or all: estimator), evaluation, report. The last two work with the estimators that are
    finished.
    """
    import time

    from starloom.paper.recipe import load
    from starloom.paper.reproduction import Reproduction
    from starloom.paper.stages import run

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    design = load(recipe, change or ())
    options = {"stores": tuple(store or ()), "device": device, "progress": console.shows_bars(), "say": say}
    run(Reproduction(design, folder, **options), until, tuple(only or ()))
    print(f"{folder}: {'report/report.html' if until == 'report' and not only else 'done'}")
