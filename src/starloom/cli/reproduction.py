"""``starloom reproduce``: the paper, from a store to its tables and figures."""

from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import console


def reproduce(
    recipe: Annotated[
        str, typer.Argument(help="A TOML file, or one of: paper, short, improved, tiny; observed.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where everything goes; go on from there.", metavar="DIR")],
    store: Annotated[
        list[Path] | None, typer.Option(help="Existing store, instead of one made in DIR; may be repeated.")
    ] = None,
    until: Annotated[str, typer.Option(help="Last stage to run.")] = "report",
    only: Annotated[list[str] | None, typer.Option(help="Run this stage alone; may be repeated.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: plans.labels.epochs=25")
    ] = None,
    observed: Annotated[
        Path | None,
        typer.Option(help="Library of observed stars (.npz), for the recipe observed.", metavar="LIBRARY"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or gpu; by default what there is.")] = None,
) -> None:
    """Train and test the networks of Gebran (2024), and write the report. Run it again to go on.

    Stages: store, spectra, components, autoencoder, labels, joint (where the recipe has it), generator,
    estimator-LABEL (or all: estimator), evaluation, report. The last two work with the estimators that are
    finished. With --observed the networks are trained on observed stars alone and cross-validated by star,
    without stages; DIR/generator/observed.safetensors is the generator.
    """
    import time

    from starloom.errors import ConfigError
    from starloom.paper.recipe import load
    from starloom.paper.reproduction import Reproduction
    from starloom.paper.stages import run

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    if observed is not None:
        if store or only or until != "report":
            raise ConfigError("--observed has no stages: it takes no --store, --until or --only")
        _on_observed_stars(recipe, folder, observed, change or (), device, say)
        return
    if recipe == "observed":
        raise ConfigError("the recipe observed is for observed stars: give --observed LIBRARY.npz")
    design = load(recipe, change or ())
    options = {"stores": tuple(store or ()), "device": device, "progress": console.shows_bars(), "say": say}
    run(Reproduction(design, folder, **options), until, tuple(only or ()))
    print(f"{folder}: {'report/report.html' if until == 'report' and not only else 'done'}")


def _on_observed_stars(recipe: str, folder: Path, path: Path, change, device: str | None, say) -> None:
    """The networks on a library of observed stars."""
    from starloom.observed import ObservedLibrary
    from starloom.paper.observed import ObservedRecipe
    from starloom.paper.observed_summary import run

    design, library = ObservedRecipe.load(recipe, change), ObservedLibrary.read(path)
    run(design, library, folder, say, device)
    print(f"{folder}: report/report.html, generator/observed.safetensors")
