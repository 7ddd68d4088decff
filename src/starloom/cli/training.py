"""``starloom train``: networks from a store."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from starloom.files import check_target

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

    check_target(model)
    opened = [open_store(store) for store in stores]
    design = EmulatorRecipe.read(recipe or DEFAULT_RECIPE)
    fitted, training = fit_emulator(opened, design, folder=folder, progress=sys.stderr.isatty())
    loss, epochs = training.best_loss, len(training.history)
    names = " and ".join(f"{store.recipe.name!r}" for store in opened)
    card = (
        f"Emulator of intrinsic spectra trained on the stores {names} ({opened[0].manifest.physics}); rms "
        f"error {loss:.1e} in flux, mean over their validation spectra, before rotation and at R = 14500."
    )
    digest = " ".join(store.recipe.digest for store in opened)
    weights.save(model, packed(fitted, digest, card), precision)
    print(f"{model}: mean rms flux error {loss:.2e} after {training.best_epoch + 1} of {epochs} epochs")


Spectra = Annotated[Path, typer.Argument(help="Folder that `database fixed-set` wrote.", metavar="SPECTRA")]
Written = Annotated[Path, typer.Argument(help="Weights file to write (.safetensors).", metavar="MODEL")]
PaperRecipe = Annotated[
    str, typer.Option(help="Of `reproduce`: a TOML file, or paper, short, improved, tiny.")
]
Checkpoints = Annotated[Path | None, typer.Option(help="Folder for checkpoints: train on from there.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: plans.labels.epochs=25")]
Device = Annotated[str | None, typer.Option(help="cpu or gpu; by default what there is.")]


@app.command("autoencoder")
def autoencoder(
    spectra: Spectra,
    model: Written,
    recipe: PaperRecipe = "paper",
    folder: Checkpoints = None,
    change: Changes = None,
    device: Device = None,
) -> None:
    """Train the paper's autoencoder (table 2) on broadened spectra."""
    from starloom.database.batches import open_fixed_set
    from starloom.evaluation.reproduction import recipe as recipes
    from starloom.evaluation.reproduction import trainings
    from starloom.networks import paper, weights

    check_target(model)
    design, opened = recipes.load(recipe, change or ()), open_fixed_set(spectra)
    basis = trainings.components(design, opened)
    between = design.autoencoder.components > 0
    coefficients = trainings.applied(basis.encoder(), opened) if between else None
    training = trainings.autoencoder(design, opened, basis, coefficients, **_options(folder, device))
    weights.save(model, paper.packed_autoencoder(training.network, design.name))
    if between:
        error = f"mean rms flux error {training.best_loss * basis.spread:.2e}"
    else:
        error = f"mean squared flux error {training.best_loss * basis.spread**2:.2e}"
    _print_end(model, training, error)


@app.command("labels")
def labels(
    spectra: Spectra,
    autoencoder: Annotated[Path, typer.Argument(help="Weights file of the autoencoder.")],
    model: Written,
    recipe: PaperRecipe = "paper",
    folder: Checkpoints = None,
    change: Changes = None,
    device: Device = None,
) -> None:
    """Train the label network (table 3) and write decoder(NN(labels)), a model that generates spectra.

    Where the recipe has a plan for both as one (improved), they are trained on so, from labels to flux.
    """
    from starloom.database.batches import open_fixed_set
    from starloom.evaluation.reproduction import recipe as recipes
    from starloom.evaluation.reproduction import trainings
    from starloom.networks import paper, weights

    check_target(model)
    design, opened = recipes.load(recipe, change or ()), open_fixed_set(spectra)
    trained = weights.load(autoencoder, family="autoencoder").networks["autoencoder"]
    latents = trainings.applied(paper.encoder(trained), opened)
    training = trainings.label_network(design, opened, latents, **_options(folder, device))
    network = paper.generator(training.network, trained)
    error = f"mean squared error {training.best_loss:.2e} of the latents' variance"
    if plan := design.plans.joint:
        basis = trainings.components(design, opened)
        coefficients = trainings.applied(basis.encoder(), opened)
        options = _options(folder and folder / "joint", device)
        training = trainings.joint(design, opened, basis, coefficients, network, plan, **options)
        network, loss = training.network, training.best_loss * basis.spread
        error = f"mean rms flux error {loss:.2e}"
    weights.save(model, paper.packed_generator(network, design.name), design.precision)
    _print_end(model, training, error)


@app.command("estimator")
def estimator(
    spectra: Spectra,
    label: Annotated[str, typer.Argument(help="teff, logg, vsini, mh, vmic or resolution.")],
    model: Written,
    recipe: PaperRecipe = "paper",
    folder: Checkpoints = None,
    change: Changes = None,
    device: Device = None,
) -> None:
    """Train a network of table 4: principal components of a spectrum to one label."""
    from starloom.database.batches import open_fixed_set
    from starloom.errors import ConfigError
    from starloom.evaluation.reproduction import recipe as recipes
    from starloom.evaluation.reproduction import trainings
    from starloom.labels import DOMAIN, NAMES
    from starloom.networks import paper, weights

    if label not in NAMES:
        raise ConfigError(f"label = {label!r} is not one of {', '.join(NAMES)}")
    check_target(model)
    design, opened = recipes.load(recipe, change or ()), open_fixed_set(spectra)
    basis = trainings.components(design, opened).truncated(design.estimator.coefficients)
    coefficients = trainings.applied(basis.encoder(), opened)
    training = trainings.estimator(design, label, opened, coefficients, **_options(folder, device))
    weights.save(model, paper.packed_estimators(basis, {label: training.network}, design.name))
    half = (DOMAIN.high - DOMAIN.low)[NAMES.index(label)] / 2
    _print_end(model, training, f"rms error of {label} {training.best_loss**0.5 * half:.3g}")


def _options(folder: Path | None, device: str | None) -> dict:
    return {"folder": folder, "device": device, "progress": sys.stderr.isatty()}


def _print_end(model: Path, training, error: str) -> None:
    epochs = f"{training.best_epoch + 1} of {len(training.history)} epochs"
    print(f"{model}: {error} on the validation spectra after {epochs}")
