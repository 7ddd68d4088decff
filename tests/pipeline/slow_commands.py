"""The command line with a stand-in for the synthesiser that takes its time; run as a script."""

import time

from starloom import interruption

SECONDS = 0.02  # a spectrum


def synthesize(teff, *others):
    """Flux 1, after a while."""
    import numpy as np

    from starloom.wavelength import SYNTHESIS_GRID_AA

    time.sleep(SECONDS * len(teff))
    return np.ones((len(teff), SYNTHESIS_GRID_AA.size))


def main():
    """Run the command line."""
    with interruption.heeded():
        from starloom import cli
        from starloom.database import build

        build.radiative_transfer, build.physics_version = synthesize, lambda: "stand-in 1"
        cli.main()


if __name__ == "__main__":
    main()
