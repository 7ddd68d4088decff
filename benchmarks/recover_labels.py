"""Labels that the paper's networks of table 4 find in generated spectra, beside those in synthesised ones.

The paper's own test of a generator (its table 5), for any model: principal components and networks are those
of ``starloom reproduce`` in DIR, the spectra its test split, which neither they nor the model have seen.

    python benchmarks/recover_labels.py DIR [MODEL]
"""

import argparse
from pathlib import Path

import numpy as np

from starloom import Generator
from starloom.database.batches import open_fixed_set
from starloom.labels import LABELS, NAMES
from starloom.networks import weights
from starloom.networks.basis import Basis
from starloom.networks.batches import mapped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("model", nargs="?", default="default")
    options = parser.parse_args()
    spectra = open_fixed_set(options.folder / "spectra")
    rows = spectra.splits["test"]
    labels = spectra.labels[rows]
    with np.load(options.folder / "components" / "basis.npz") as arrays:
        basis = Basis(*(arrays[name] for name in ("mean", "components", "deviation")), float(arrays["total"]))
    generated = Generator.load(options.model).flux(labels)
    coefficients = [mapped(basis.encoder(), (flux,)) for flux in (spectra.flux(rows), generated)]
    print(f"{len(rows)} spectra of the test split, model {options.model}: root mean square errors")
    print(f"{'label':<12}{'synthesised':>13}{'generated':>12}{'ratio':>8}")
    for label in LABELS:
        path = options.folder / f"estimator-{label.name}" / "model.safetensors"
        if not path.exists():
            print(f"{label.name:<12}{'no network':>13}")
            continue
        network = weights.load(path, labels=None).networks["network"]
        truth = labels[:, NAMES.index(label.name)]
        ours, theirs = (np.sqrt(np.mean((mapped(network, (c,))[:, 0] - truth) ** 2)) for c in coefficients)
        print(f"{label.name:<12}{ours:>13.4g}{theirs:>12.4g}{theirs / ours:>8.3f}")


if __name__ == "__main__":
    main()
