"""Our style of figures, and what it leaves as it was."""

import os
import subprocess
import sys

import pytest

NOTEBOOK = """
import matplotlib
from matplotlib.backends.backend_agg import FigureCanvas, FigureManagerBase as FigureManager
matplotlib.interactive(True)
"""
PLOT = """
import matplotlib
import starloom
spectrum = starloom.generate(teff=5777, logg=4.44, vsini=2, mh=0, vmic=1, resolution=11500)
before = dict(matplotlib.rcParams)
spectrum.plot()
changed = {name for name, value in matplotlib.rcParams.items() if before[name] != value}
print(changed, matplotlib.is_interactive())
"""


def test_a_notebook_s_backend_stays_interactive(tmp_path):
    """It says so where it is chosen, at the first figure; and the user's settings stay."""
    pytest.importorskip("matplotlib")
    (tmp_path / "inline.py").write_text(NOTEBOOK)
    environment = os.environ | {"MPLBACKEND": "module://inline", "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", PLOT], env=environment, capture_output=True, text=True)
    assert run.stdout == "{'interactive'} True\n", run.stderr
