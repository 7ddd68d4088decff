"""The stages of a reproduction, in order: what is finished stays, what was interrupted goes on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from starloom.database import build
from starloom.database import recipe as store_recipes
from starloom.database.batches import export_fixed_set, made_from
from starloom.errors import ConfigError, StoreError
from starloom.files import replacing
from starloom.interruption import outlook
from starloom.locks import locked
from starloom.networks import weights
from starloom.networks.batches import mapped
from starloom.networks.forward import Network
from starloom.networks.history import Epoch
from starloom.networks.training import Plan, Training
from starloom.paper import assessment, summary, trainings
from starloom.paper.networks import encoder, generator, packed_autoencoder
from starloom.paper.reproduction import ESTIMATOR, Reproduction
from starloom.paper.trainings import PORTION, applied

# stages whose work is not thrown away unasked
KEPT = ("spectra", "autoencoder", "labels", "joint", ESTIMATOR)


def run(reproduction: Reproduction, until: str = "report", only: tuple[str, ...] = ()) -> list[str]:
    """Run the stages that are not finished, in order; names of those that ran.

    ``until``: the last stage to run; ``only``: run these alone, again if they are evaluation or report.
    "estimator" means all of them. Raises ``StoreError`` where the folder holds the trained networks of other
    settings, and where a stage is asked for whose inputs are not there.
    """
    folder, stages = reproduction.folder, reproduction.stages
    wanted = [stage for name in only for stage in _named(stages, name)]
    if not wanted:
        wanted = list(stages[: stages.index(_named(stages, until)[-1]) + 1])
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), outlook(lambda: "the same command continues"):
        return _run(reproduction, wanted, bool(only))


def _run(reproduction: Reproduction, wanted: list[str], chosen: bool) -> list[str]:
    _write(reproduction.folder / "recipe.json", asdict(reproduction.recipe))
    done = []
    for stage in wanted:
        again = stage == "store" or (chosen and not stage.startswith(KEPT))
        if not again and reproduction.result(stage) is not None:
            reproduction.say(f"{stage}: finished before")
            continue
        run_stage(reproduction, stage)
        done.append(stage)
    return done


def run_stage(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Run one stage and write its result."""
    folder = reproduction.folder
    function = STAGES["estimator" if stage.startswith(ESTIMATOR) else stage]
    started = perf_counter()
    if stage != "store":
        for name in reproduction.upstream(stage):
            if name != "store" and reproduction.result(name) is None:
                raise StoreError(f"{folder}: stage {stage} needs {name}, which is not finished")
        if stage.startswith(KEPT) and (folder / f"{stage}.json").exists():
            raise StoreError(
                f"{folder / stage}: made with other settings; to make it anew, move it and {stage}.json away"
            )
    reproduction.say(f"{stage}: begins")
    values = function(reproduction, stage)
    content = {"digest": reproduction.digest(stage), "seconds": perf_counter() - started, **values}
    _write(folder / f"{stage}.json", content)
    reproduction.say(f"{stage}: finished in {content['seconds']:.0f} s")
    return content


def _named(stages: tuple[str, ...], name: str) -> list[str]:
    found = [stage for stage in stages if stage == name or stage.startswith(f"{name}-")]
    if not found:
        raise ConfigError(f"stage {name!r} is not one of {', '.join(stages)}")
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def make_store(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Make or continue the stores, or check those that were given."""
    recipe = reproduction.recipe
    domain = store_recipes.load(recipe.store).domain
    for label in recipe.estimators:  # before hours of work
        domain.index(label)
    for name in () if reproduction.stores else (recipe.store, *recipe.more):
        wanted = store_recipes.load(name)
        if build.finished(wanted, reproduction.made(name)):  # by whatever physics
            continue
        if reproduction.synthesize is build.radiative_transfer:
            build.check_synthesis(wanted)
        build.build(
            wanted,
            reproduction.made(name),
            reproduction.synthesize,
            physics=reproduction.physics or build.physics_version(wanted.load_band()),
            progress=reproduction.progress,
        )
    stores = reproduction.every_store
    return {
        "paths": [str(store.manifest.folder) for store in stores],
        "intrinsic": sum(store.recipe.intrinsic for store in stores),
        "recipes": [store.recipe.name for store in stores],
    }


def make_spectra(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Write the broadened spectra of each split."""
    folder, copies = reproduction.folder / "spectra", asdict(reproduction.recipe.copies)
    stores = reproduction.every_store
    if not folder.exists():
        export_fixed_set(stores[0], folder, "uint16", copies, stores[1:], reproduction.progress)
    spectra = reproduction.spectra
    if spectra.made_from != made_from(stores, copies):
        raise StoreError(f"{folder}: made from other stores or copies; to make it anew, move it away")
    counts = {name: len(rows) for name, rows in spectra.splits.items()}
    intrinsic = {name: len(np.unique(spectra.intrinsic[rows])) for name, rows in spectra.splits.items()}
    return {"spectra": counts, "intrinsic": intrinsic}


def make_components(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Find the principal components of the training spectra, and the coefficients of all."""
    folder = reproduction.folder / stage
    folder.mkdir(exist_ok=True)
    spectra = reproduction.spectra
    basis = trainings.components(reproduction.recipe, spectra)
    arrays = {"mean": basis.mean, "components": basis.components, "deviation": basis.deviation}
    with replacing(folder / "basis.npz") as temporary:
        np.savez(temporary, total=basis.total_variance, **arrays)
    save_array(folder / "coefficients.npy", applied(basis.encoder(), spectra))
    return {"unexplained": float(basis.unexplained[reproduction.recipe.estimator.coefficients - 1])}


def train_autoencoder(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train table 2, and write the latents of all spectra."""
    recipe, spectra, basis = reproduction.recipe, reproduction.spectra, reproduction.basis
    known, options = (spectra, basis, reproduction.coefficients), _options(reproduction, stage)
    training = trainings.autoencoder(recipe, *known, **options)
    folder = reproduction.folder / stage
    model = packed_autoencoder(training.network, spectra.domain, spectra.band, recipe.name)
    weights.save(folder / "model.safetensors", model)
    latents = applied(encoder(training.network), spectra)
    save_array(folder / "latents.npy", latents)
    live = latents[spectra.splits["train"]].std(axis=0) > 0
    unit = basis.spread if recipe.autoencoder.components else basis.spread**2
    return {**outcome(training), "loss_unit": unit, "live_latents": int(live.sum())}


def train_labels(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train table 3 on the latents."""
    latents = np.load(reproduction.folder / "autoencoder" / "latents.npy")
    options = _options(reproduction, stage)
    training = trainings.label_network(reproduction.recipe, reproduction.spectra, latents, **options)
    _save_network(reproduction, stage, training.network)
    return outcome(training)


def train_joint(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train the connected generator on from labels to flux."""
    recipe, spectra, basis = reproduction.recipe, reproduction.spectra, reproduction.basis
    network = generator(reproduction.network("labels"), reproduction.network("autoencoder"))
    known, options = (spectra, basis, reproduction.coefficients), _options(reproduction, stage)
    training = trainings.joint(recipe, *known, network, recipe.plans.joint, **options)
    _save_network(reproduction, stage, training.network)
    return {**outcome(training), "loss_unit": basis.spread}


def train_estimator(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train table 4 for one label, and write what it finds for all spectra."""
    label = stage.removeprefix(ESTIMATOR)
    number = reproduction.recipe.estimator.coefficients
    coefficients = trainings.first(reproduction.coefficients, number)
    options = _options(reproduction, stage)
    training = trainings.estimator(reproduction.recipe, label, reproduction.spectra, coefficients, **options)
    folder = reproduction.folder / stage
    _save_network(reproduction, stage, training.network)
    save_array(folder / "found.npy", mapped(training.network, (coefficients,), PORTION)[:, 0])
    return outcome(training)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array, whole or not at all."""
    with replacing(path) as temporary:
        np.save(temporary, array)


def outcome(training: Training) -> dict[str, Any]:
    """What a training's result file says about it."""
    return {
        "epochs": len(training.history),
        "best_epoch": training.best_epoch,
        "best_loss": training.best_loss,
        "training_seconds": sum(row.seconds for row in training.history),
        "parameters": training.network.size,
    }


def _save_network(reproduction: Reproduction, stage: str, network: Network) -> None:
    spectra, recipe = reproduction.spectra, reproduction.recipe
    header = weights.Header("network", spectra.domain, spectra.band.points, spectra.band, recipe.name)
    path = reproduction.folder / stage / "model.safetensors"
    weights.save(path, weights.Model(header, {"network": network}))


def _options(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    plans = reproduction.recipe.plans
    plan: Plan = getattr(plans, "estimator" if stage.startswith(ESTIMATOR) else stage)

    def report(row: Epoch) -> None:
        reproduction.say(
            f"{stage}: epoch {row.epoch + 1} of {plan.epochs}, loss {row.training_loss:.3e}, "
            f"validation {row.validation_loss:.3e}, {row.seconds:.0f} s, {row.rate:.0f} samples/s"
        )

    return {
        "folder": reproduction.folder / stage,
        "device": reproduction.device,
        "progress": reproduction.progress,
        "report": report,
    }


STAGES: dict[str, Callable[[Reproduction, str], dict[str, Any]]] = {
    "store": make_store,
    "spectra": make_spectra,
    "components": make_components,
    "autoencoder": train_autoencoder,
    "labels": train_labels,
    "joint": train_joint,
    "generator": lambda reproduction, stage: assessment.make_generator(reproduction),
    "estimator": train_estimator,
    "evaluation": lambda reproduction, stage: assessment.evaluate(reproduction),
    "report": lambda reproduction, stage: summary.report(reproduction),
}
