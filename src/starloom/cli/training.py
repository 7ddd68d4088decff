"""``starloom train``: networks from a store."""

import sys
from collections.abc import Sequence
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
    recipe: Annotated[str, typer.Option(help="A TOML file, or one of: default, stars, tiny.")] = "default",
    folder: Annotated[Path | None, typer.Option(help="Folder for checkpoints: train on from there.")] = None,
    precision: Annotated[str, typer.Option(help="Of the weights: float16 or float32.")] = "float32",
) -> None:
    """Train a network for intrinsic spectra, to which rotation and instrument are applied exactly."""
    from starloom.database.store import open_store
    from starloom.networks import weights
    from starloom.networks.emulation import EmulatorRecipe, fit_emulator
    from starloom.networks.emulator import packed

    check_target(model)
    design = EmulatorRecipe.load(recipe)
    opened = [open_store(store) for store in stores]
    fitted, trainings = fit_emulator(opened, design, folder=folder, progress=sys.stderr.isatty())
    loss = sum(each.best_loss for each in trainings) / len(trainings)
    band = opened[0].band
    names = " and ".join(f"{store.recipe.name!r}" for store in opened)
    card = (
        f"Emulator of intrinsic spectra trained on the stores {names} ({opened[0].manifest.physics}); rms "
        f"error {loss:.1e} in flux, mean over their validation spectra, before rotation and at R = "
        f"{band.finest_resolution:g}."
    )
    digest = " ".join(store.recipe.digest for store in opened)
    weights.save(model, packed(fitted, band, digest, card), precision)
    _print_end(model, trainings, f"mean rms flux error {loss:.2e}")


Spectra = Annotated[Path, typer.Argument(help="Folder that `database fixed-set` wrote.", metavar="SPECTRA")]
Written = Annotated[Path, typer.Argument(help="Weights file to write (.safetensors).", metavar="MODEL")]
Design = Annotated[str, typer.Option(help="Of `reproduce`: a TOML file, or paper, short, improved, tiny.")]
Checkpoints = Annotated[Path | None, typer.Option(help="Folder for checkpoints: train on from there.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: plans.labels.epochs=25")]
Device = Annotated[str | None, typer.Option(help="cpu or gpu; by default what there is.")]


@app.command("autoencoder")
def autoencoder(
    spectra: Spectra,
    model: Written,
    recipe: Design = "paper",
    folder: Checkpoints = None,
    change: Changes = None,
    device: Device = None,
) -> None:
    """Train the paper's autoencoder (table 2) on broadened spectra."""
    from starloom.database.batches import open_fixed_set
    from starloom.networks import weights
    from starloom.paper import networks, trainings
    from starloom.paper.recipe import load

    check_target(model)
    design, opened = load(recipe, change or ()), open_fixed_set(spectra)
    basis = trainings.components(design, opened)
    between = design.autoencoder.components > 0
    coefficients = trainings.applied(basis.encoder(), opened) if between else None
    training = trainings.autoencoder(design, opened, basis, coefficients, **_options(folder, device))
    packed = networks.packed_autoencoder(training.network, opened.domain, opened.band, design.name)
    weights.save(model, packed)
    if between:
        error = f"mean rms flux error {training.best_loss * basis.spread:.2e}"
    else:
        error = f"mean squared flux error {training.best_loss * basis.spread**2:.2e}"
    _print_end(model, [training], error)


@app.command("labels")
def labels(
    spectra: Spectra,
    autoencoder: Annotated[Path, typer.Argument(help="Weights file of the autoencoder.")],
    model: Written,
    recipe: Design = "paper",
    folder: Checkpoints = None,
    change: Changes = None,
    device: Device = None,
) -> None:
    """Train the label network (table 3) and write decoder(NN(labels)), a model that generates spectra.

    Where the recipe has a plan for both as one (improved), they are trained on so, from labels to flux.
    """
    from starloom.database.batches import open_fixed_set
    from starloom.networks import weights
    from starloom.paper import networks, trainings
    from starloom.paper.recipe import load

    check_target(model)
    design, opened = load(recipe, change or ()), open_fixed_set(spectra)
    trained = weights.load(autoencoder, family="autoencoder").networks["autoencoder"]
    latents = trainings.applied(networks.encoder(trained), opened)
    training = trainings.label_network(design, opened, latents, **_options(folder, device))
    network = networks.generator(training.network, trained)
    error = f"mean squared error {training.best_loss:.2e} of the latents' variance"
    if plan := design.plans.joint:
        basis = trainings.components(design, opened)
        coefficients = trainings.applied(basis.encoder(), opened)
        options = _options(folder and folder / "joint", device)
        training = trainings.joint(design, opened, basis, coefficients, network, plan, **options)
        network, loss = training.network, training.best_loss * basis.spread
        error = f"mean rms flux error {loss:.2e}"
    packed = networks.packed_generator(network, opened.domain, opened.band, design.name)
    weights.save(model, packed, design.precision)
    _print_end(model, [training], error)


@app.command("estimator")
def estimator(
    spectra: Spectra,
    label: Annotated[str, typer.Argument(help="Which label of the spectra: teff, logg, ...")],
    model: Written,
    recipe: Design = "paper",
    folder: Checkpoints = None,
    change: Changes = None,
    device: Device = None,
) -> None:
    """Train a network of table 4: principal components of a spectrum to one label."""
    from starloom.database.batches import open_fixed_set
    from starloom.networks import weights
    from starloom.paper import networks, trainings
    from starloom.paper.recipe import load

    check_target(model)
    design, opened = load(recipe, change or ()), open_fixed_set(spectra)
    domain = opened.domain
    half = (domain.high - domain.low)[domain.index(label)] / 2
    basis = trainings.components(design, opened).truncated(design.estimator.coefficients)
    coefficients = trainings.applied(basis.encoder(), opened)
    training = trainings.estimator(design, label, opened, coefficients, **_options(folder, device))
    found = {label: training.network}
    weights.save(model, networks.packed_estimators(basis, found, domain, opened.band, design.name))
    _print_end(model, [training], f"rms error of {label} {training.best_loss**0.5 * half:.3g}")


def _options(folder: Path | None, device: str | None) -> dict:
    return {"folder": folder, "device": device, "progress": sys.stderr.isatty()}


def _print_end(model: Path, trainings: Sequence, error: str) -> None:
    epochs = ", ".join(f"{each.best_epoch + 1} of {len(each.history)}" for each in trainings)
    print(f"{model}: {error} on the validation spectra after {epochs} epochs")
