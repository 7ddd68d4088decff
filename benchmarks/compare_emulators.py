"""Competing emulators on one store: error on held-out stars, size, speed, and what the training cost.

Each candidate is trained on the training split of STORE (recipe ``standard``) and judged on all of BENCHMARK
(recipe ``benchmark``: uniform labels, another seed) at the paper's 4000 points. A result is written to
OUTPUT/NAME.json when it is there, and not made again. ``epochs`` are such that each candidate costs a few
minutes of one core; the shipped model is trained longer.

    python benchmarks/compare_emulators.py STORE BENCHMARK OUTPUT [--reproduction DIR] [--only NAME ...]

DIR is that of ``starloom reproduce``, for the paper's own networks; without it they are left out.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from starloom.broadening import finish_of
from starloom.database.batches import batches, open_fixed_set
from starloom.database.store import Store, open_store
from starloom.evaluation.errors import FluxErrors, compare
from starloom.networks import weights
from starloom.networks.basis import principal_components
from starloom.networks.batches import RowBatches
from starloom.networks.emulation import fit_coefficients
from starloom.networks.emulator import (
    CoefficientNetwork,
    assembled,
    mode_basis,
    whitened,
)
from starloom.networks.forward import Dropout, Network, dense_layers, linear
from starloom.networks.scaling import label_scaling
from starloom.networks.training import Plan, mean_squared_error, train
from starloom.paper.networks import decoder

COEFFICIENTS = 128
HIDDEN = (256, 256, 256)
MUON = Plan(
    epochs=150, patience=300, optimiser="muon", learning_rate=1.5e-2, schedule="cosine", warmup=2,
    final_fraction=1e-4,
)  # fmt: skip
ADAM = replace(MUON, optimiser="adam", learning_rate=3e-3)
LEARNING_CURVE = (1000, 2000, 5000, 10000, 16000)


@dataclass(frozen=True)
class Data:
    """The stores, and the reproduction's folder or None."""

    store: Store
    benchmark: Store
    reproduction: Path | None


@dataclass(frozen=True)
class Candidate:
    """A trained emulator: labels [n, 6] to flux [n, 4000], its parameters and its training spectra."""

    flux: Callable[[np.ndarray], np.ndarray]
    parameters: int
    spectra: int


@cache
def coefficients(data: Data):
    """Basis of the intrinsic training spectra, and the coefficients of all."""
    store = data.store

    def portions(indices):
        return (store.flux(indices[i : i + 1000]) for i in range(0, len(indices), 1000))

    (finish,) = finish_of(store.band).chunks
    basis = mode_basis(portions(store.splits["train"]), COEFFICIENTS, finish)
    return basis, whitened(portions(np.arange(len(store.labels))), basis, finish).astype(np.float32)


def exact_broadening(
    data: Data, design: CoefficientNetwork, plan: Plan, count: int | None = None
) -> Candidate:
    """A network for the intrinsic spectrum, rotation and instrument exactly: the family of ``default``."""
    basis, values = coefficients(data)
    rows = data.store.splits["train"][:count]
    domain = data.store.domain
    labels = data.store.labels[:, data.store.recipe.synthesised].astype(np.float32)
    validation = data.store.splits["validation"]
    known = design, domain.intrinsic
    fitted = fit_coefficients(*known, labels, values, basis.deviation, rows, validation, plan)
    emulator = assembled(domain, fitted.network, basis, *finish_of(data.store.band).chunks)
    return Candidate(emulator.flux, emulator.network.size, len(rows))


def learning_curve(data: Data, count: int) -> Candidate:
    """The same number of steps for any number of spectra."""
    epochs = MUON.epochs * LEARNING_CURVE[-1] // count
    plan = replace(MUON, epochs=epochs, patience=epochs)
    return exact_broadening(data, CoefficientNetwork(HIDDEN), plan, count)


def observed(data: Data):
    """The fixed set of broadened spectra that the paper's networks were trained on."""
    return open_fixed_set(data.reproduction / "spectra")


def plain_network(data: Data, last: Network, plan: Plan, epochs: int) -> Candidate:
    """All six labels through HIDDEN and then ``last``, trained on flux."""
    spectra = observed(data)
    entry = label_scaling(spectra.domain, reciprocal=True)
    layers = dense_layers((entry.outputs, *HIDDEN, last.inputs), "silu")
    network = entry.then(Network.initial(layers, 1, "he_normal")).then(last)
    return on_flux(spectra, network, replace(plan, epochs=epochs, patience=epochs))


def on_flux(spectra, network: Network, plan: Plan) -> Candidate:
    """Train labels -> flux on the fixed set."""
    labels = spectra.labels.astype(np.float32)

    def read(rows):
        return labels[rows], spectra.flux(rows)

    training = RowBatches(spectra.splits["train"], read, 512, plan.seed)
    validation = RowBatches(spectra.splits["validation"][::7], read, 512)
    fitted = train(network, mean_squared_error, training, validation, plan).network
    return Candidate(fitted, fitted.size, len(spectra.splits["train"]))


def pixels(data: Data) -> Candidate:
    """A plain network from six labels to 4000 pixels."""
    spectra = observed(data)
    sample = spectra.flux(spectra.splits["train"][::10])
    spread = float(sample.std(axis=0).mean())
    width = HIDDEN[-1]
    size = width, spectra.band.points.count
    start = np.random.default_rng(0).normal(size=size) * spread * np.sqrt(1 / width)
    last = linear(start, sample.mean(axis=0))
    trained = Network(tuple(replace(layer, trained=True) for layer in last.layers), last.parameters)
    return plain_network(data, trained, MUON, epochs=20)


def principal(data: Data) -> Candidate:
    """A network from six labels to principal components of observed spectra."""
    spectra = observed(data)
    rows = spectra.splits["train"][::4]
    basis = principal_components(
        (spectra.flux(rows[i : i + 1000]) for i in range(0, len(rows), 1000)), COEFFICIENTS
    )
    return plain_network(data, basis.decoder(), MUON, epochs=30)


def paper(data: Data) -> Candidate:
    """The paper's generator as trained by ``starloom reproduce``."""
    network = weights.load(data.reproduction / "generator" / "paper.safetensors").networks["generator"]
    return Candidate(network, network.size, len(observed(data).splits["train"]))


def paper_end_to_end(data: Data) -> Candidate:
    """The paper's generator without dropout, trained on from there on flux, both networks together."""
    first = weights.load(data.reproduction / "labels" / "model.safetensors").networks["network"]
    second = weights.load(data.reproduction / "autoencoder" / "model.safetensors")
    joined = first.then(decoder(second.networks["autoencoder"]))
    kept = [i for i, layer in enumerate(joined.layers) if not isinstance(layer, Dropout)]
    network = Network(tuple(joined.layers[i] for i in kept), tuple(joined.parameters[i] for i in kept))
    return on_flux(
        observed(data), network, replace(ADAM, epochs=3, patience=3, learning_rate=2e-4, warmup=0.2)
    )


CANDIDATES: dict[str, Callable[[Data], Candidate]] = {
    "exact": lambda data: exact_broadening(data, CoefficientNetwork(HIDDEN), MUON),
    "exact_adam": lambda data: exact_broadening(data, CoefficientNetwork(HIDDEN), ADAM),
    "exact_adam_teff": lambda data: exact_broadening(
        data, CoefficientNetwork(HIDDEN, reciprocal=False), ADAM
    ),
    "exact_residual": lambda data: exact_broadening(data, CoefficientNetwork(HIDDEN, residual=True), MUON),
    "principal": principal,
    "pixels": pixels,
    "paper": paper,
    "paper_end_to_end": paper_end_to_end,
    **{
        f"curve_{count}": lambda data, count=count: learning_curve(data, count)
        for count in LEARNING_CURVE[:-1]
    },
}
NEED_REPRODUCTION = ("principal", "pixels", "paper", "paper_end_to_end")


def judged(candidate: Candidate, data: Data) -> dict[str, float]:
    """Errors on the benchmark, and the processor time of one spectrum in a batch of 512."""
    errors = FluxErrors(data.benchmark.band.points.count, {})
    options = {"epoch": 0, "copies": 1, "shuffle": False, "size": 250}
    compare(candidate.flux, ((b.labels, b.flux) for b in batches(data.benchmark, "test", **options)), errors)
    labels = np.tile(data.benchmark.labels[:512].astype(np.float32), (1, 1))
    labels[:, data.benchmark.domain.index("resolution")] = 11500
    candidate.flux(labels)
    start = time.process_time()
    candidate.flux(labels)
    seconds = (time.process_time() - start) / len(labels)
    found = errors.overall
    sizes = {name: float(getattr(found, name)[0]) for name in ("mean", "p50", "p95", "p99", "largest")}
    return {**sizes, "worst_mean": errors.worst_error, "microseconds": 1e6 * seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("benchmark", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--reproduction", type=Path)
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES))
    options = parser.parse_args()
    data = Data(open_store(options.store), open_store(options.benchmark), options.reproduction)
    options.output.mkdir(parents=True, exist_ok=True)
    heads = ("mean", "P50", "P99", "weights", "us each", "spectra", "core min")
    print(f"{'':<18}" + "".join(f"{head:>10}" for head in heads))
    coefficients(data)  # made once for all
    for name in options.only:
        path = options.output / f"{name}.json"
        if not path.exists():
            if name in NEED_REPRODUCTION and data.reproduction is None:
                continue
            start = time.process_time()
            candidate = CANDIDATES[name](data)
            minutes = (time.process_time() - start) / 60
            result = {"parameters": candidate.parameters, "spectra": candidate.spectra, "minutes": minutes}
            path.write_text(json.dumps({**result, **judged(candidate, data)}, indent=1))
        r = json.loads(path.read_text())
        sizes = "".join(f"{r[key]:>10.1e}" for key in ("mean", "p50", "p99"))
        costs = f"{r['parameters']:>10}{r['microseconds']:>10.0f}{r['spectra']:>10}{r['minutes']:>10.1f}"
        print(f"{name:<18}{sizes}{costs}", flush=True)


if __name__ == "__main__":
    main()
