"""The command line with a stand-in for the synthesiser that takes its time; run as a script."""

import time

from starloom import interruption

SECONDS = 0.02  # a spectrum


def synthesize(band, *, teff, **others):
    """Flux 1, after a while."""
    import numpy as np

    time.sleep(SECONDS * len(teff))
    return np.ones((len(teff), len(band.chunks), band.chunks[0].points))


def main():
    """Run the command line."""
    with interruption.heeded():
        from starloom import cli
        from starloom.database import build

        build.radiative_transfer, build.physics_version = synthesize, lambda band: "stand-in 1"
        build.check_synthesis = lambda recipe: None  # needs JAX
        cli.main()


if __name__ == "__main__":
    main()
