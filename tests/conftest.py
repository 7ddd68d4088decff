"""What several tests share: a repeatable hypothesis, plots without a screen, the command line, structures."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
import pytest
from hypothesis import settings

from starloom import cli, compilation

matplotlib.use("Agg")
os.environ["STARLOOM_CONFIG"] = ""  # no test reads a user's defaults
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# corners and middle of the domain of teff [K], logg, mh
PLACES = {
    "sun": (5777.0, 4.44, 0.0),
    "cool poor dwarf": (3600.0, 5.0, -1.5),
    "cool rich dwarf": (3600.0, 5.0, 1.5),
    "cool poor giant": (3600.0, 2.0, -1.5),
    "cool rich giant": (3600.0, 2.0, 1.5),
    "poor giant": (4750.0, 2.0, -1.5),
    "F star": (6500.0, 4.0, -0.5),
    "A star": (8500.0, 3.5, 0.0),
    "rich A star": (10000.0, 4.0, 1.0),
    "poor B giant": (12000.0, 2.5, -1.5),
    "hot rich dwarf": (15000.0, 5.0, 1.5),
    "hot poor dwarf": (15000.0, 5.0, -1.5),
}


def pytest_configure(config):
    """Have all processes of the tests share what JAX compiles, and none write into a user's cache folder."""
    if not hasattr(config, "workerinput"):
        folder = TemporaryDirectory(prefix="starloom-compiled-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
        config.add_cleanup(folder.cleanup)
    compilation.keep()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with other codes' spectra and real stars; skips where the checkout has none beside it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("no shared folder beside the repository")
    return folder


@pytest.fixture(scope="session")
def exit_code():
    """The command line, in this process: the exit code that it ends with."""

    def call(*words) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["starloom", *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return ended.value.code

    return call


@pytest.fixture
def command(exit_code, capsys):
    """The same; gives exit code, standard output and standard error."""

    def call(*words) -> tuple[int, str, str]:
        code = exit_code(*words)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def own_formats(monkeypatch):
    """A registry of formats that forgets what a test makes known."""
    from starloom.io import format as formats

    with monkeypatch.context() as patch:
        patch.setattr(formats, "registered", dict(formats.registered))
        yield
    formats.formats.cache_clear()


@pytest.fixture(scope="session")
def structures() -> dict:
    """An ``Atmosphere`` of 68 layers at every place, in float64."""
    import jax

    from starloom.atmosphere import interpolate

    with jax.enable_x64(True):
        return {name: interpolate(*labels) for name, labels in PLACES.items()}


@pytest.fixture(scope="session")
def states(structures) -> dict:
    """The ``State`` of the gas in each of the structures, as NumPy arrays in float64."""
    import jax

    from starloom.physics.abundances import per_hydrogen
    from starloom.physics.equilibrium import equation_of_state

    with jax.enable_x64(True):
        return {
            name: jax.tree.map(
                np.asarray,
                equation_of_state(star.temperature, star.gas_pressure, per_hydrogen(float(star.mh))),
            )
            for name, star in structures.items()
        }


@pytest.fixture(scope="session")
def hydrogen_gas():
    """Makes the ``State`` of neutral hydrogen, one atom per cm3, among electrons [layer] and nothing else."""
    from starloom.physics.equilibrium import MOLECULES, State

    def gas(electrons) -> State:
        layers = len(electrons)
        atoms = np.zeros((92, 4, layers))
        atoms[0, 0] = 1.0
        log_q = np.full((92, 4, layers), np.log(2.0))
        ones = np.ones(layers)
        return State(electrons, atoms, np.zeros((len(MOLECULES), layers)), 0 * ones, log_q, ones, 0 * ones)

    return gas
