"""``starloom train``: networks from a store."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train networks on a store.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train networks on a store."""


@app.command("emulator")
def emulator(
    stores: Annotated[list[Path], typer.Argument(help="Folders of finished stores, one or more.")],
    model: Annotated[Path, typer.Argument(help="Weights file to write (.safetensors).")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file, by default that of 'default'.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder for checkpoints: train on from there.")] = None,
    precision: Annotated[str, typer.Option(help="Of the weights: float16 or float32.")] = "float32",
) -> None:
    """Train a network for intrinsic spectra, to which rotation and instrument are applied exactly."""
    from starloom.database.store import open_store
    from starloom.networks import weights
    from starloom.networks.emulator import packed
    from starloom.networks.fitting import DEFAULT_RECIPE, EmulatorRecipe, fit_emulator

    opened = [open_store(store) for store in stores]
    design = EmulatorRecipe.read(recipe or DEFAULT_RECIPE)
    fitted, training = fit_emulator(opened, design, folder=folder, progress=True)
    loss, epochs = training.best_loss**0.5, len(training.history)
    names = " and ".join(f"{store.recipe.name!r}" for store in opened)
    card = (
        f"Emulator of intrinsic spectra trained on the stores {names} ({opened[0].manifest.physics}); rms "
        f"error {loss:.1e} in flux on their validation spectra, before rotation and at R = 14500."
    )
    digest = " ".join(store.recipe.digest for store in opened)
    weights.save(model, packed(fitted, digest, card), precision)
    print(f"{model}: rms flux error {loss:.2e} after {training.best_epoch + 1} of {epochs} epochs")
