"""How a model answers to single elements: differences between stars and twins, against synthesis.

``python benchmarks/element_derivatives.py OUT [--model default] [--stars 40]``

Stars of the recipe ``stars-steps`` with another seed are synthesised into OUT (kept for the next time), seen
at R = 11 500 without rotation. By element: correlation and slope of the model's differences over the
synthesised ones, all pixels of all stars; and the bias of [X/M] that the model's flux error alone makes, all
else being known: its projection on the difference, median and 84 % of its size, in dex.
"""

import argparse
from pathlib import Path

import numpy as np

from starloom.broadening import finish_of
from starloom.database import build, recipe, workers
from starloom.database.store import open_store
from starloom.networks.generator import Generator

SEED, RESOLUTION = 7314, 11500.0
BELOW = (4000.0, 5000.0, 6000.0, 8000.0)  # K: upper ends of the bins


def held_out(folder: Path, stars: int, processes: int):
    """The store of stars and twins that no model was trained on."""
    content = recipe.to_mapping(recipe.load("stars-steps"))
    family = recipe.load("stars-steps").family
    wanted = recipe.from_mapping(
        {**content, "seed": SEED, "intrinsic": stars * family, "splits": {"train": 0, "validation": 0}}
    )
    physics = build.physics_version(wanted.load_band())
    engine = workers.processes(processes)
    build.build(wanted, folder, build.radiative_transfer, physics=physics, engine=engine)
    return open_store(folder)


def seen(store) -> np.ndarray:
    """Flux [spectrum, point] at the band's points."""
    rows = range(0, len(store.labels), 100)
    finish = finish_of(store.band)
    zero, resolution = np.zeros(100), np.full(100, RESOLUTION)
    parts = [store.flux(np.arange(i, min(i + 100, len(store.labels)))) for i in rows]
    return np.concatenate([finish(part, zero[: len(part)], resolution[: len(part)]) for part in parts])


def main() -> None:
    """Print a row for each element."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--stars", type=int, default=40)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    store = held_out(options.folder / f"steps-{options.stars}", options.stars, options.processes)
    generator, domain = Generator.load(options.model), store.domain
    labels = store.labels.copy()
    labels[:, domain.index("resolution")] = RESOLUTION
    by_name = dict(zip(domain.names, labels.T, strict=True))
    family = store.recipe.family
    shape = options.stars, family, -1
    made = generator.flux(generator.domain.array(**by_name)).reshape(shape)
    true = seen(store).reshape(shape)
    families = labels.reshape(shape)
    step = (families[:, 1:] - families[:, :1]).sum(axis=-1)[..., None]
    wanted, found = (flux[:, 1:] / step - flux[:, :1] / step for flux in (true, made))
    error = made[:, :1] - true[:, :1]
    bias = np.abs((error * wanted).sum(axis=-1) / (wanted**2).sum(axis=-1))
    teff = families[:, 0, domain.index("teff")]
    size = np.abs(made - true).mean()
    print(f"{options.model}: mean error {size:.2e} ({options.stars} stars and their twins)")
    columns = "".join(f"{'< ' + str(int(end)) + ' K':>12s}" for end in BELOW)
    print(f"      correlation   slope   response   bias: median     84 %{columns} (medians)")
    for place, name in enumerate(domain.spread):
        x, y, own = wanted[:, place].ravel(), found[:, place].ravel(), bias[:, place]
        bins = np.digitize(teff, BELOW)
        medians = [np.median(own[bins == b]) if (bins == b).any() else np.nan for b in range(len(BELOW))]
        line = f"{name:4s}{np.corrcoef(x, y)[0, 1]:12.4f} {(x @ y) / (x @ x):9.3f}"
        line += f" {np.sqrt((x**2).mean()):10.5f}"
        line += f" {np.median(own):13.4f} {np.percentile(own, 84):8.4f}"
        print(line + "".join(f"{median:12.4f}" for median in medians))


if __name__ == "__main__":
    main()
