"""Whether a generator is as smooth along each label as the synthesiser that it has learned from.

A step is the largest change of flux at any of the paper's 4000 points when one label goes 1/1000 of its
range further. All 1000 steps of the generator are looked at for jumps: its largest step over the larger of
the two beside it, 1 + O(1/1000) for a smooth curve. At ``--places`` of them both spectra are synthesised as
well: by how much the generator's step is the larger of the two at most, and how far the two changes of flux
are apart at any point.

    python benchmarks/scan_generator.py [MODEL] [--places 24]
"""

import argparse

import numpy as np

from starloom import Generator, bands
from starloom.broadening import finish_of, keep
from starloom.labels import TABLE_1
from starloom.synthesis import synthesize_each

STEPS = 1000
INTRINSIC = [TABLE_1.names.index(name) for name in ("teff", "logg", "mh", "vmic")]
STARS = {
    "cool dwarf": (4000.0, 4.5, 5.0, 0.0, 1.5, 11500.0),
    "solar giant": (5200.0, 3.0, 5.0, 0.0, 2.0, 11500.0),
    "A star": (9000.0, 4.0, 30.0, 0.0, 2.0, 11500.0),
}


def scan(star: tuple[float, ...], index: int) -> np.ndarray:
    """Labels [1001, 6] along one label through its range, or as far as the domain goes."""
    labels = np.tile(star, (STEPS + 1, 1))
    labels[:, index] = np.linspace(TABLE_1.low[index], TABLE_1.high[index], STEPS + 1)
    return labels[TABLE_1.contains(labels)]


def synthesized(labels: np.ndarray) -> np.ndarray:
    """The same spectra by radiative transfer, [spectrum, 4000]."""
    kept = np.array(
        [
            keep(np.asarray(made.normalized), bands.load("rvs"))
            for made in synthesize_each(labels[:, INTRINSIC])
        ]
    )
    return finish_of(bands.load("rvs"))(
        kept, labels[:, TABLE_1.names.index("vsini")], labels[:, TABLE_1.names.index("resolution")]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="default-2026-lte")
    parser.add_argument("--places", type=int, default=24)
    options = parser.parse_args()
    generator = Generator.load(options.model)
    print(f"{'':<26}{'largest step':>14}{'over its neighbours':>21}{'over synthesised':>18}{'apart':>9}")
    for name, star in STARS.items():
        for label in TABLE_1.labels:
            labels = scan(star, TABLE_1.names.index(label.name))
            steps = np.abs(np.diff(generator.flux(labels).astype(float), axis=0)).max(axis=1)
            around = np.maximum(steps[:-2], steps[2:])
            jump = (steps[1:-1] / np.maximum(around, 1e-5)).max()  # 1e-5: rounding of float32
            places = np.linspace(0, len(labels) - 2, options.places).round().astype(int)
            ends = np.concatenate([labels[places], labels[places + 1]])
            ours, theirs = (
                np.diff(made(ends).reshape(2, -1, 4000), axis=0) for made in (generator.flux, synthesized)
            )
            larger = (np.abs(ours).max(axis=-1) - np.abs(theirs).max(axis=-1)).max()
            apart = np.abs(ours.astype(float) - theirs).max()
            print(
                f"{name:<14}{label.name:<12}{steps.max():>14.1e}{jump:>21.2f}{larger:>18.1e}{apart:>9.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
