"""Labels that the networks of table 4 find in generated spectra, beside those in synthesised ones.

The paper's own test of a generator (its table 5), for any model, packaged or a file: principal components and
networks are those of ``starloom reproduce`` in DIR, the spectra its test split, which neither they nor the
model have seen. Between them: synthesised spectra that went through the autoencoder of DIR.

    python benchmarks/recover_labels.py DIR [MODEL ...]
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from starloom import Generator
from starloom.database.batches import open_fixed_set
from starloom.errors import StoreError
from starloom.networks import weights
from starloom.paper.networks import estimate, packed_estimators
from starloom.paper.reproduction import ESTIMATOR, read_basis
from starloom.paper.trainings import portions


def packed_table_4(folder: Path) -> weights.Model:
    """The networks of table 4 that a reproduction's folder holds, as one model for ``estimate``."""
    paths = folder.glob(f"{ESTIMATOR}*/model.safetensors")
    found = {path.parent.name.removeprefix(ESTIMATOR): weights.load(path) for path in paths}
    if not found:
        raise StoreError(f"{folder}: no network of table 4 is finished")
    header = next(iter(found.values())).header
    networks = {name: found[name].networks["network"] for name in header.names if name in found}
    coefficients = next(iter(networks.values())).inputs
    basis = read_basis(folder).truncated(coefficients)
    return packed_estimators(basis, networks, header.domain, header.band)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("models", nargs="*", default=["default-2026-lte"], metavar="MODEL")
    options = parser.parse_args()
    spectra = open_fixed_set(options.folder / "spectra")
    rows = spectra.splits["test"]
    labels = spectra.labels[rows]
    table_4 = packed_table_4(options.folder)
    columns = [spectra.domain.index(name) for name in table_4.header.names]

    def errors(flux: Iterable[np.ndarray]) -> np.ndarray:
        found = np.concatenate([estimate(table_4, part) for part in flux])
        return np.sqrt(np.mean((found - labels[:, columns]) ** 2, axis=0))

    path = options.folder / "autoencoder" / "model.safetensors"
    autoencoder = weights.load(path).networks["autoencoder"]
    sources = {
        "synthesised": portions(spectra, rows),
        "autoencoder": (autoencoder(flux) for flux in portions(spectra, rows)),
        **{model: [Generator.load(model).flux(labels)] for model in options.models},
    }
    print(f"{len(rows)} spectra of the test split: root mean square errors, over those of synthesised ones")
    width = max(map(len, sources))
    print(" " * width + "".join(f"{name:>18}" for name in table_4.header.names))
    best = None
    for name, flux in sources.items():
        found = errors(flux)
        best = found if best is None else best
        cells = (f"{f'{e:.4g} {ratio:6.2f}':>18}" for e, ratio in zip(found, found / best, strict=True))
        print(name.ljust(width) + "".join(cells))


if __name__ == "__main__":
    main()
