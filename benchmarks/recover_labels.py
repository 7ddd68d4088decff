"""Labels that the paper's networks of table 4 find in generated spectra, beside those in synthesised ones.

The paper's own test of a generator (its table 5), for any model: principal components and networks are those
of ``starloom reproduce`` in DIR, the spectra its test split, which neither they nor the model have seen.

    python benchmarks/recover_labels.py DIR [MODEL]
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from starloom import Generator
from starloom.database.batches import open_fixed_set
from starloom.evaluation.reproduction.stages import packed_table_4
from starloom.labels import NAMES
from starloom.networks.batches import mapped
from starloom.networks.paper import estimate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("model", nargs="?", default="default")
    options = parser.parse_args()
    spectra = open_fixed_set(options.folder / "spectra")
    rows = spectra.splits["test"]
    labels = spectra.labels[rows]
    generated = Generator.load(options.model).flux(labels)
    table_4 = packed_table_4(options.folder)
    found = [mapped(partial(estimate, table_4), (flux,)) for flux in (spectra.flux(rows), generated)]
    print(f"{len(rows)} spectra of the test split, model {options.model}: root mean square errors")
    print(f"{'label':<12}{'synthesised':>13}{'generated':>12}{'ratio':>8}")
    for place, name in enumerate(table_4.header.names):
        truth = labels[:, NAMES.index(name)]
        ours, theirs = (np.sqrt(np.mean((values[:, place] - truth) ** 2)) for values in found)
        print(f"{name:<12}{ours:>13.4g}{theirs:>12.4g}{theirs / ours:>8.3f}")


if __name__ == "__main__":
    main()
