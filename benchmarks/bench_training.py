"""Samples a second of one training step of each network at full size, in batches of 512.

python benchmarks/bench_training.py [--steps 4]
"""

import argparse

import numpy as np

from starloom.labels import TABLE_1
from starloom.networks.batches import array_batches
from starloom.networks.emulator import CoefficientNetwork
from starloom.networks.training import Plan, mean_squared_error, reconstruction_error, train
from starloom.paper.networks import Autoencoder, Estimator, LabelNetwork, plain_basis

BATCH = 512
EPOCH = 164_000  # 80 % of the paper's 205 000 spectra


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4, help="training steps that are timed")
    steps = parser.parse_args().steps
    rng = np.random.default_rng(0)
    labels = TABLE_1.from_unit(rng.uniform(0, 1, (BATCH, 6)))
    flux = rng.uniform(0.5, 1, (BATCH, 4000)).astype(np.float32)
    few, many = rng.normal(size=(BATCH, 15)), rng.normal(size=(BATCH, 100))
    latents = rng.normal(size=(BATCH, 10))
    intrinsic = [TABLE_1.index(name) for name in TABLE_1.intrinsic.names]
    cases = {
        "autoencoder (table 2)": (
            Autoencoder().initial(0, plain_basis(4000)),
            reconstruction_error,
            (flux,),
            "adam",
        ),
        "label network (table 3)": (
            LabelNetwork().initial(TABLE_1, latents, 0),
            mean_squared_error,
            (labels, latents),
            "adamax",
        ),
        "estimator (table 4)": (
            Estimator().initial(TABLE_1, "teff", 0),
            mean_squared_error,
            (few, labels[:, :1]),
            "adamax",
        ),
        "emulator 4 x 512": (
            CoefficientNetwork((512,) * 4).initial(TABLE_1.intrinsic, 100, 0),
            mean_squared_error,
            (labels[:, intrinsic], many),
            "adam",
        ),
    }
    print(f"{'network':26} {'parameters':>11} {'samples/s':>10} {'s an epoch of 164 000':>22}")
    for name, (network, loss, arrays, optimiser) in cases.items():
        # an epoch is one step; the first, in which the step is compiled, is left out
        plan = Plan(epochs=steps + 1, patience=steps + 1, optimiser=optimiser)
        result = train(network, loss, array_batches(arrays, size=BATCH), None, plan)
        rate = max(row.rate for row in result.history[1:])
        print(f"{name:26} {network.size:11} {rate:10.0f} {EPOCH / rate:22.0f}")


if __name__ == "__main__":
    main()
