"""A reproduction in its folder: a recipe, and what the stages left there for each other.

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
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from starloom.database import build
from starloom.database import recipe as store_recipes
from starloom.database.batches import FixedSet, open_fixed_set
from starloom.database.store import Store, open_store
from starloom.errors import StoreError
from starloom.files import parsing
from starloom.networks import weights
from starloom.networks.basis import Basis
from starloom.networks.forward import Network
from starloom.paper.recipe import PaperRecipe

ESTIMATOR = "estimator-"
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

    recipe: PaperRecipe
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

    @property
    def every_store(self) -> tuple[Store, ...]:
        """The store and those that add to it."""
        return self.opened, *self.more

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
        model = weights.load(self.folder / stage / "model.safetensors")
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
            points = {"points": self.opened.band.points.count} if kind == "autoencoder" else {}
            settings[kind] = [{**points, **asdict(getattr(recipe, kind))}, asdict(plan), recipe.batch]
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
        return [store.manifest.identity for store in self.every_store]


def read_basis(folder: Path) -> Basis:
    """The principal components in a reproduction's folder."""
    with np.load(folder / "components" / "basis.npz") as arrays:
        return Basis(*(arrays[name] for name in ("mean", "components", "deviation")), float(arrays["total"]))
