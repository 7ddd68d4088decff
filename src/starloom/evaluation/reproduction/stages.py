"""The stages of a reproduction, in order: what is finished stays, what was interrupted goes on.

::

    DIR/recipe.json             the recipe with all its numbers
    DIR/STAGE.json              what a finished stage gave, and the digest of all it depends on
    DIR/store/                  intrinsic spectra, unless existing stores are given
    DIR/store-NAME/             those that add to them, where the recipe says so
    DIR/spectra/                broadened spectra, flux.npy uint16[spectrum, 4000] in units of 2e-5
    DIR/components/             principal components, and the coefficients of all spectra
    DIR/autoencoder/            checkpoint, history.csv, model.safetensors, latents.npy of all spectra
    DIR/labels/                 checkpoint, history.csv, model.safetensors
    DIR/joint/                  checkpoint, history.csv, model.safetensors: where the recipe has this training
    DIR/generator/              paper.safetensors: what `starloom generate --model` takes
    DIR/estimator-LABEL/        checkpoint, history.csv, model.safetensors, found.npy of all spectra
    DIR/evaluation/             by_wavelength.npz, differences.npz
    DIR/report/                 report.html, report.md, figures
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from starloom.database import build
from starloom.database import recipe as store_recipes
from starloom.database.batches import FixedSet, export_fixed_set, made_from, open_fixed_set
from starloom.database.store import Store, open_store
from starloom.errors import ConfigError, StoreError
from starloom.evaluation.reproduction import trainings
from starloom.evaluation.reproduction.recipe import Recipe
from starloom.evaluation.reproduction.trainings import PORTION, applied
from starloom.files import parsing, replacing
from starloom.interruption import outlook
from starloom.labels import NAMES
from starloom.locks import locked
from starloom.networks import weights
from starloom.networks.basis import Basis
from starloom.networks.batches import mapped
from starloom.networks.forward import Network
from starloom.networks.history import Epoch
from starloom.networks.paper import encoder, generator, packed_autoencoder, packed_estimators
from starloom.networks.training import Plan, Training

ESTIMATOR = "estimator-"
# stages whose work is not thrown away unasked
KEPT = ("spectra", "autoencoder", "labels", "joint", ESTIMATOR)
UPSTREAM: dict[str, tuple[str, ...]] = {
    "store": (),
    "spectra": ("store",),
    "components": ("spectra",),
    "autoencoder": ("components",),
    "labels": ("autoencoder",),
    "joint": ("labels",),
    "report": ("evaluation",),
}


@dataclass(frozen=True)
class Reproduction:
    """A recipe in a folder, where its stages find each other's results.

    ``stores`` are folders of existing stores (default: made in the folder by ``synthesize``);
    ``device`` and ``progress`` as in ``training.train``; ``say`` is told about each epoch and stage.
    """

    recipe: Recipe
    folder: Path
    stores: tuple[Path, ...] = ()
    synthesize: build.Synthesizer = build.radiative_transfer
    physics: str | None = None
    device: str | None = None
    progress: bool = False
    say: Callable[[str], None] = lambda text: None

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in order."""
        estimators = (ESTIMATOR + label for label in self.recipe.estimators)
        first = ("store", "spectra", "components", "autoencoder", "labels")
        joint = ("joint",) if self.recipe.plans.joint else ()
        return (*first, *joint, "generator", *estimators, "evaluation", "report")

    @cached_property
    def opened(self) -> Store:
        """The store, finished; ``StoreError`` where there is none of the recipe that ours names."""
        return self._opened(self.recipe.store)

    @cached_property
    def more(self) -> tuple[Store, ...]:
        """The stores that add to it, finished."""
        return tuple(self._opened(name) for name in self.recipe.more)

    def made(self, name: str) -> Path:
        """Where the store of a recipe is made, if none is given."""
        own = name == self.recipe.store
        return self.folder / ("store" if own else f"store-{store_recipes.load(name).name}")

    def _opened(self, name: str) -> Store:
        wanted = store_recipes.load(name)
        found = [open_store(path) for path in self.stores or (self.made(name),)]
        for store in found:
            if store.recipe.digest == wanted.digest:
                return store
        there = ", ".join(
            f"{store.manifest.folder}: made by recipe {store.recipe.name} {store.recipe.digest[:12]}"
            for store in found
        )
        raise StoreError(f"{there}, this reproduction needs {wanted.name} {wanted.digest[:12]}")

    @cached_property
    def spectra(self) -> FixedSet:
        """The broadened spectra of all splits."""
        return open_fixed_set(self.folder / "spectra")

    @cached_property
    def basis(self) -> Basis:
        """Principal components of the training spectra, ``recipe.components`` of them."""
        return read_basis(self.folder)

    @property
    def estimator_basis(self) -> Basis:
        """The components that the networks of table 4 see."""
        return self.basis.truncated(self.recipe.estimator.coefficients)

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients of all spectra, of unit variance over training: float32[spectrum, component]."""
        return np.load(self.folder / "components" / "coefficients.npy", mmap_mode="r")

    def network(self, stage: str) -> Network:
        """The trained network of a stage."""
        model = weights.load(self.folder / stage / "model.safetensors", labels=None)
        return model.networks["autoencoder" if stage == "autoencoder" else "network"]

    def result(self, stage: str) -> dict[str, Any] | None:
        """What a stage gave, or None where it has not finished with these settings."""
        path = self.folder / f"{stage}.json"
        if not path.exists():
            return None
        with parsing(path, ValueError, KeyError, TypeError):
            content = json.loads(path.read_text(encoding="utf-8"))
            return content if content["digest"] == self.digest(stage) else None

    def digest(self, stage: str) -> str:
        """What must agree for a stage's result to be used: its settings and those before it."""
        recipe, upstream = self.recipe, self.upstream(stage)
        settings: dict[str, Any] = {
            "store": self._store_identities,
            "spectra": asdict(recipe.copies),
            "components": recipe.components,
            "generator": recipe.precision,
        }
        kind = "estimator" if stage.startswith(ESTIMATOR) else stage
        if kind in ("autoencoder", "labels", "estimator"):
            plan = replace(getattr(recipe.plans, kind), checkpoint_minutes=0.0)
            settings[kind] = [asdict(getattr(recipe, kind)), asdict(plan), recipe.batch]
        if kind == "joint":
            settings[kind] = [asdict(replace(recipe.plans.joint, checkpoint_minutes=0.0)), recipe.batch]
        content = [stage, settings.get(kind), [self.digest(name) for name in upstream]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def upstream(self, stage: str) -> tuple[str, ...]:
        """The stages that a stage builds on: of the estimators, those that are finished."""
        if stage.startswith(ESTIMATOR):
            return ("components",)
        if stage == "generator":
            return ("joint",) if self.recipe.plans.joint else ("labels",)
        if stage == "evaluation":
            return ("generator", *self.finished_estimators)
        return UPSTREAM[stage]

    @property
    def finished_estimators(self) -> tuple[str, ...]:
        """Stages of the estimators that are finished."""
        names = (ESTIMATOR + label for label in self.recipe.estimators)
        return tuple(name for name in names if self.result(name) is not None)

    @cached_property
    def _store_identities(self) -> list[str]:
        return [store.manifest.identity for store in (self.opened, *self.more)]


def read_basis(folder: Path) -> Basis:
    """The principal components in a reproduction's folder."""
    with np.load(folder / "components" / "basis.npz") as arrays:
        return Basis(*(arrays[name] for name in ("mean", "components", "deviation")), float(arrays["total"]))


def packed_table_4(folder: Path) -> weights.Model:
    """The networks of table 4 that a reproduction's folder holds, as one model for ``paper.estimate``."""
    paths = {label: folder / f"{ESTIMATOR}{label}" / "model.safetensors" for label in NAMES}
    networks = {
        label: weights.load(path, labels=None).networks["network"]
        for label, path in paths.items()
        if path.exists()
    }
    if not networks:
        raise StoreError(f"{folder}: no network of table 4 is finished")
    coefficients = next(iter(networks.values())).inputs
    return packed_estimators(read_basis(folder).truncated(coefficients), networks)


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
    for name in () if reproduction.stores else (recipe.store, *recipe.more):
        wanted = store_recipes.load(name)
        if build.finished(wanted, reproduction.made(name)):  # by whatever physics
            continue
        build.build(
            wanted,
            reproduction.made(name),
            reproduction.synthesize,
            physics=reproduction.physics or build.physics_version(),
            progress=reproduction.progress,
        )
    stores = reproduction.opened, *reproduction.more
    return {
        "paths": [str(store.manifest.folder) for store in stores],
        "intrinsic": sum(store.recipe.intrinsic for store in stores),
        "recipes": [store.recipe.name for store in stores],
    }


def make_spectra(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Write the broadened spectra of each split."""
    folder, copies = reproduction.folder / "spectra", asdict(reproduction.recipe.copies)
    stores = reproduction.opened, *reproduction.more
    if not folder.exists():
        export_fixed_set(stores[0], folder, "uint16", copies, stores[1:])
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
    weights.save(folder / "model.safetensors", packed_autoencoder(training.network, recipe.name))
    latents = applied(encoder(training.network), spectra)
    save_array(folder / "latents.npy", latents)
    live = latents[spectra.splits["train"]].std(axis=0) > 0
    unit = basis.spread if recipe.autoencoder.components else basis.spread**2
    return {**summary(training), "loss_unit": unit, "live_latents": int(live.sum())}


def train_labels(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train table 3 on the latents."""
    latents = np.load(reproduction.folder / "autoencoder" / "latents.npy")
    options = _options(reproduction, stage)
    training = trainings.label_network(reproduction.recipe, reproduction.spectra, latents, **options)
    _save_network(reproduction.folder / stage, training.network)
    return summary(training)


def train_joint(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train the connected generator on from labels to flux."""
    recipe, spectra, basis = reproduction.recipe, reproduction.spectra, reproduction.basis
    network = generator(reproduction.network("labels"), reproduction.network("autoencoder"))
    known, options = (spectra, basis, reproduction.coefficients), _options(reproduction, stage)
    training = trainings.joint(recipe, *known, network, recipe.plans.joint, **options)
    _save_network(reproduction.folder / stage, training.network)
    return {**summary(training), "loss_unit": basis.spread}


def train_estimator(reproduction: Reproduction, stage: str) -> dict[str, Any]:
    """Train table 4 for one label, and write what it finds for all spectra."""
    label = stage.removeprefix(ESTIMATOR)
    number = reproduction.recipe.estimator.coefficients
    coefficients = trainings.first(reproduction.coefficients, number)
    options = _options(reproduction, stage)
    training = trainings.estimator(reproduction.recipe, label, reproduction.spectra, coefficients, **options)
    folder = reproduction.folder / stage
    _save_network(folder, training.network)
    save_array(folder / "found.npy", mapped(training.network, (coefficients,), PORTION)[:, 0])
    return summary(training)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array, whole or not at all."""
    with replacing(path) as temporary:
        np.save(temporary, array)


def summary(training: Training) -> dict[str, Any]:
    """What a training's result file says about it."""
    return {
        "epochs": len(training.history),
        "best_epoch": training.best_epoch,
        "best_loss": training.best_loss,
        "training_seconds": sum(row.seconds for row in training.history),
        "parameters": training.network.size,
    }


def _save_network(folder: Path, network: Network) -> None:
    header = weights.Header("network", weights.label_ranges())
    weights.save(folder / "model.safetensors", weights.Model(header, {"network": network}))


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


def _assess(name: str) -> Callable[[Reproduction, str], dict[str, Any]]:
    """A stage of the modules that build on this one."""

    def stage(reproduction: Reproduction, _: str) -> dict[str, Any]:
        from starloom.evaluation.reproduction import assessment, summary

        functions = {
            "generator": assessment.make_generator,
            "evaluation": assessment.evaluate,
            "report": summary.report,
        }
        return functions[name](reproduction)

    return stage


STAGES: dict[str, Callable[[Reproduction, str], dict[str, Any]]] = {
    "store": make_store,
    "spectra": make_spectra,
    "components": make_components,
    "autoencoder": train_autoencoder,
    "labels": train_labels,
    "joint": train_joint,
    "generator": _assess("generator"),
    "estimator": train_estimator,
    "evaluation": _assess("evaluation"),
    "report": _assess("report"),
}
