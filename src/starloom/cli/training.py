"""``starloom train``: networks from a store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from starloom.cli import assignments, console
from starloom.files import check_target

app = typer.Typer(help="Train networks on a store.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train networks on a store."""


@app.command("emulator")
def emulator(
    stores: Annotated[list[Path], typer.Argument(help="Folders of finished stores, one or more.")],
    model: Annotated[Path, typer.Argument(help="Weights file to write (.safetensors).")],
    recipe: Annotated[
        str, typer.Option(help="A TOML file, or one of: default, optical, stars, stars-more, tiny.")
    ] = "default",
    start: Annotated[str, typer.Option(help="Model of the same labels and recipe to train on from.")] = "",
    folder: Annotated[Path | None, typer.Option(help="Folder for checkpoints: train on from there.")] = None,
    precision: Annotated[str, typer.Option(help="Of the weights: float16 or float32.")] = "float32",
    workers: Annotated[int, typer.Option(help="Processes that train the chunks of a long band.")] = 1,
    between: assignments.Range = None,
    resolution: Annotated[
        float | None, typer.Option(help="Highest resolving power of the model: the stores' by default.")
    ] = None,
) -> None:
    """Train a network for intrinsic spectra, to which rotation and instrument are applied exactly."""
    from starloom.database.store import common, open_store
    from starloom.networks import weights
    from starloom.networks.emulation import EmulatorRecipe, fit_emulator
    from starloom.networks.emulator import packed, unpacked

    check_target(model)
    design = EmulatorRecipe.load(recipe)
    before = unpacked(weights.load(weights.find(start))) if start else None
    opened = [open_store(store) for store in stores]
    domain, band = common(opened, assignments.air_range(between), resolution)
    bars = console.shows_bars() and workers == 1
    what = domain, band
    fitted, trainings = fit_emulator(opened, design, folder, before, workers, what, progress=bars)
    loss = sum(each.best_loss for each in trainings) / len(trainings)
    names = " and ".join(f"{store.recipe.name!r}" for store in opened)
    further = f", from the model {weights.find(start).stem!r}" if start else ""
    card = (
        f"Emulator of intrinsic spectra trained{further} on the stores {names} "
        f"({opened[0].manifest.physics}); rms error {loss:.1e} in flux, mean over their validation spectra, "
        f"before rotation and at R = {band.finest_resolution:g}."
    )
    digest = " ".join(store.recipe.digest for store in opened)
    weights.save(model, packed(fitted, band, digest, card), precision)
    _print_end(model, trainings, f"mean rms flux error {loss:.2e}")


@app.command("start")
def start(
    model: Annotated[str, typer.Argument(help="Name of an installed model, or its weights file.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; else beside the model, where fits find it."),
    ] = None,
    spectra: Annotated[int, typer.Option(help="Generated spectra to train on.")] = 120_000,
    epochs: Annotated[int, typer.Option(help="How often each is seen.")] = 14,
) -> None:
    """Train the network that tells fits by a model where to begin: minutes, from generated spectra."""
    from dataclasses import replace

    from starloom.inference.learned.network import file_of, packed
    from starloom.inference.learned.training import StartRecipe, card, fit_start
    from starloom.networks import weights
    from starloom.networks.generator import Generator

    generator = Generator.load(model)
    path = output or file_of(model)
    check_target(path, (weights.SUFFIX,))
    design = StartRecipe(spectra=spectra)
    design = replace(design, plan=replace(design.plan, epochs=epochs, patience=epochs))
    network, training = fit_start(generator, design, progress=console.shows_bars())
    weights.save(path, packed(generator, network, card(generator, design)), "float16")
    _print_end(path, [training], f"mean logarithm of the density {-training.best_loss:.2f}")


@app.command("observed")
def observed(
    library: Annotated[Path, typer.Argument(help="File of `database import-observed`, or of data/miles.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Correction to write (.safetensors).")],
    model: Annotated[str, typer.Option("--on", help="Model that is corrected: name, or file.")] = "default",
    leave_out: Annotated[
        Path | None, typer.Option(help="Text file with a name in each line: stars that are not used.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Of labels and correction in turns.")] = 3,
    draws: Annotated[int, typer.Option(help="Patterns of what stays uncertain.")] = 32,
    continuum: Annotated[float, typer.Option(help="Angstrom for each order of a star's polynomial.")] = 200.0,
    fixed_scales: Annotated[
        bool, typer.Option("--fixed-scales", help="Do not look for scales that are more probable.")
    ] = False,
    response: Annotated[
        bool,
        typer.Option("--response", help="What is the same for all stars is the library's, not the model's."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Learn a correction of a model's flux from observed stars, whose labels have errors (minutes)."""
    from starloom.networks import flux_correction, weights
    from starloom.networks.generator import Generator
    from starloom.observed import Learning, ObservedLibrary, learned

    check_target(output, (weights.SUFFIX,), overwrite)
    generator, stars = Generator.load(model), ObservedLibrary.read(library)
    if leave_out is not None:
        stars = stars.without(_names_in(leave_out))
    learning = Learning(
        rounds=rounds,
        draws=draws,
        continuum_aa=continuum,
        search=not fixed_scales,
        response=response,
        seed=seed,
    )
    found = learned(generator, stars, learning, console.log.info)
    for name, why in found.left_out.items():
        console.log.info(f"{name} is left out: {why}")
    correction = found.correction
    flux_correction.save(output, correction, generator.domain, generator.header.band)
    size = output.stat().st_size / 1e6
    print(
        f"{output}: correction {correction.title} for {generator.name}, {size:.1f} MB; "
        f"{len(found.left_out)} stars left out; where no star is, it is 0 +- {correction.about['prior']:.1%}"
    )


def _names_in(path: Path) -> list[str]:
    """Names in the lines of a text file; ``#`` begins a comment."""
    from starloom.files import parsing

    with parsing(path, UnicodeDecodeError):
        lines = path.read_text(encoding="utf-8").splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


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
    return {"folder": folder, "device": device, "progress": console.shows_bars()}


def _print_end(model: Path, trainings: Sequence, error: str) -> None:
    epochs = ", ".join(f"{each.best_epoch + 1} of {len(each.history)}" for each in trainings)
    after = f" after {epochs} epochs" if any(len(each.history) > 1 for each in trainings) else ""
    print(f"{model}: {error} on the validation spectra{after}")
