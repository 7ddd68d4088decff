"""What a reproduction's networks are worth: the generator put together, and every measure of it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from starloom.database.batches import FixedSet
from starloom.evaluation.error_map import ErrorStatement
from starloom.evaluation.errors import Distribution, FluxErrors, compare, label_cells
from starloom.evaluation.metrics import ReconstructionSums
from starloom.files import replacing
from starloom.networks import stated_error, weights
from starloom.networks.batches import mapped
from starloom.networks.forward import Network
from starloom.networks.generator import Generator
from starloom.paper.networks import generator as connected
from starloom.paper.networks import packed_generator
from starloom.paper.recovery import differences, table_5
from starloom.paper.reproduction import ESTIMATOR, Reproduction
from starloom.paper.trainings import PORTION, portions

SPLITS = {"training": "train", "validation": "validation", "test": "test"}
BATCH_SIZES = (1, 64, 512)


def make_generator(reproduction: Reproduction) -> dict[str, Any]:
    """Connect label network and decoder, and write them as a weights file that states its errors."""
    folder = reproduction.folder / "generator"
    folder.mkdir(exist_ok=True)
    if reproduction.recipe.plans.joint:
        network = reproduction.network("joint")
    else:
        network = connected(reproduction.network("labels"), reproduction.network("autoencoder"))
    spectra = reproduction.spectra
    domain, band = spectra.domain, spectra.band
    digest = " ".join(store.recipe.digest for store in reproduction.every_store)
    model = packed_generator(network, domain, band, digest)
    # errors are those of the parameters as they are written
    path = folder / "paper.safetensors"
    weights.save(path, model, reproduction.recipe.precision)
    rounded = weights.load(path)
    errors, statement = _flux_errors(spectra), ErrorStatement(domain, band.points)
    compare(Generator.of(rounded, "paper").flux, _test_batches(spectra), errors, statement)
    overall = _row(errors.overall, 0)
    model = packed_generator(network, domain, band, digest, card(reproduction, overall))
    if statement.credible:
        model = stated_error.attached(model, statement.result())
    weights.save(path, model, reproduction.recipe.precision)
    return {"file": str(path), "bytes": path.stat().st_size, "parameters": network.size, "errors": overall}


def _flux_errors(spectra: FixedSet) -> FluxErrors:
    return FluxErrors(spectra.band.points.count, label_cells(spectra.domain))


def card(reproduction: Reproduction, errors: dict[str, float]) -> str:
    """The model card, in Markdown."""
    recipe, spectra = reproduction.recipe, reproduction.spectra
    points = spectra.band.points
    counts = {name: len(rows) for name, rows in spectra.splits.items()}
    whole = reproduction.result("spectra")["intrinsic"]
    more = "".join(f", for training and validation {store.recipe.name!r} too" for store in reproduction.more)
    auto, labels = reproduction.result("autoencoder"), reproduction.result("labels")
    joint = f", both as one {reproduction.result('joint')['epochs']} epochs" if recipe.plans.joint else ""
    return f"""# decoder(NN(labels)) as in Gebran (2024), trained on our own synthesis

{len(spectra.domain.names)} labels to {recipe.autoencoder.latent} latents to {points.count} points,
{points.first_aa} to {points.last_aa} A in {points.medium}.
Label network {_chain(recipe.labels.hidden)} ({recipe.labels.activation}, dropout
{recipe.labels.dropout:g}; table 3), decoder {_chain(reversed(recipe.autoencoder.hidden))}
({recipe.autoencoder.activation}, {recipe.autoencoder.latent_activation} latents; table 2).

Data: {counts["train"]} training, {counts["validation"]} validation and {counts["test"]} test
spectra, broadenings of {whole["train"]}, {whole["validation"]} and {whole["test"]} intrinsic ones (none
has a relative in another set); store {reproduction.opened.recipe.name!r}{more},
{reproduction.opened.manifest.physics}.
Training: recipe {recipe.name!r}; autoencoder {auto["epochs"]} epochs, label network
{labels["epochs"]} epochs{joint}; the best epoch's weights.
Error in normalised flux on the test spectra: mean {errors["mean"]:.1e}, P95 {errors["p95"]:.1e},
P99 {errors["p99"]:.1e}, largest {errors["largest"]:.2g}.
Made for comparison with the paper; the model "default" is the more accurate one.
"""


def _chain(sizes: Iterable[int]) -> str:
    return "-".join(str(size) for size in sizes)


def evaluate(reproduction: Reproduction) -> dict[str, Any]:
    """Every measure of the paper and of this package, from what is finished."""
    folder = reproduction.folder / "evaluation"
    folder.mkdir(exist_ok=True)
    spectra, basis = reproduction.spectra, reproduction.estimator_basis
    autoencoder = reproduction.network("autoencoder")
    encode, decode = basis.encoder(), basis.decoder()
    generator = Generator.load(reproduction.folder / "generator" / "paper.safetensors")
    names = [stage.removeprefix(ESTIMATOR) for stage in reproduction.finished_estimators]
    return {
        "spectra": {name: len(spectra.splits[split]) for name, split in SPLITS.items()},
        "autoencoder": _reconstructions(spectra, autoencoder),
        "components": _reconstructions(spectra, encode.then(decode)),
        "end_to_end": _end_to_end(spectra, generator, folder),
        "estimators": names,
        "missing": [label for label in reproduction.recipe.estimators if label not in names],
        "table_5": _table_5(reproduction, generator, names, folder) if names else [],
        "timing": _timing(generator, reproduction),
    }


def _reconstructions(spectra: FixedSet, network: Network) -> dict[str, Any]:
    found = {}
    for name, split in SPLITS.items():
        sums = ReconstructionSums()
        for flux in portions(spectra, spectra.splits[split]):
            sums.add(network(flux), flux)
        found[name] = asdict(sums.result())
    return found


def _end_to_end(spectra: FixedSet, generator: Generator, folder: Path) -> dict[str, Any]:
    """Labels to flux on the test spectra: by the paper's measures, by wavelength and by cell of labels."""
    errors, sums = _flux_errors(spectra), _Sums()
    compare(generator.flux, _test_batches(spectra), errors, sums)
    with replacing(folder / "by_wavelength.npz") as temporary:
        np.savez(temporary, **asdict(errors.by_wavelength))
    cells = {}
    for name, division in errors.cells.items():
        edges, found = division.edges[name], errors.by_cell(name)
        cells[name] = [
            {"low": float(edges[i]), "high": float(edges[i + 1]), **_row(found, i)}
            for i in range(division.count)
        ]
    return {
        "overall": _row(errors.overall, 0),
        "reconstruction": asdict(sums.result()),
        "cells": cells,
        "worst_mean": errors.worst_error,
        "worst_labels": dict(zip(spectra.domain.names, map(float, errors.worst_labels), strict=True)),
    }


class _Sums(ReconstructionSums):
    """``ReconstructionSums`` as an accumulator of ``errors.compare``."""

    def add(self, labels: np.ndarray, generated: np.ndarray, flux: np.ndarray) -> None:
        super().add(generated, flux)


def _table_5(
    reproduction: Reproduction, generator: Generator, names: list[str], folder: Path
) -> list[dict[str, Any]]:
    """Table 5 of the estimators that are finished; generated: the labels of the test spectra."""
    spectra, columns = reproduction.spectra, [reproduction.spectra.domain.index(name) for name in names]
    test = spectra.splits["test"]
    found = np.stack([np.load(reproduction.folder / (ESTIMATOR + n) / "found.npy") for n in names], axis=1)
    encode = reproduction.estimator_basis.encoder()
    generated = [encode(generator.flux(spectra.labels[rows])) for rows in _parts(test)]
    coefficients = np.concatenate(generated)
    again = [mapped(reproduction.network(ESTIMATOR + n), (coefficients,), PORTION)[:, 0] for n in names]
    sets = {
        name: differences(found[rows], spectra.labels[rows][:, columns], names)
        for name, rows in ((name, spectra.splits[split]) for name, split in SPLITS.items())
    }
    sets["generated"] = differences(np.stack(again, axis=1), spectra.labels[test][:, columns], names)
    with replacing(folder / "differences.npz") as temporary:
        np.savez(temporary, test=sets["test"], generated=sets["generated"])
    return [asdict(row) for row in table_5(sets, names)]


def _timing(generator: Generator, reproduction: Reproduction) -> dict[str, Any]:
    """Milliseconds a spectrum, by batch size (the median of repetitions); seconds of one synthesis."""
    spectra = reproduction.spectra
    labels = np.resize(spectra.labels[spectra.splits["test"]], (max(BATCH_SIZES), len(spectra.domain.names)))
    milliseconds = {}
    for size in BATCH_SIZES:
        times = [_seconds(lambda size=size: generator.flux(labels[:size])) for _ in range(9)]
        milliseconds[str(size)] = 1e3 * float(np.median(times)) / size
    times = {"milliseconds": milliseconds}
    if reproduction.recipe.synthesis:
        star = {name: labels[:1, spectra.domain.index(name)] for name in spectra.domain.intrinsic.names}
        reproduction.synthesize(spectra.band, **star)  # compiled here
        times["synthesis_seconds"] = _seconds(lambda: reproduction.synthesize(spectra.band, **star))
    return times


def _seconds(function) -> float:
    started = perf_counter()
    function()
    return perf_counter() - started


def _row(found: Distribution, group: int) -> dict[str, float]:
    return {name: float(values[group]) for name, values in asdict(found).items()}


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), PORTION):
        yield rows[start : start + PORTION]


def _test_batches(spectra: FixedSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for rows in _parts(spectra.splits["test"]):
        yield spectra.labels[rows], spectra.flux(rows)
