"""Install the wheels of a folder into an empty environment of each Python, and use what was installed.

    python packaging/try_wheels.py dist [PYTHON ...]

Without further words: every python3.11, 3.12, 3.13 and 3.14 that runs here. pip takes the dependencies from
where it takes them otherwise.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = ("python3.11", "python3.12", "python3.13", "python3.14")
STAR = shlex.split("--teff 5772 --logg 4.44 --vsini 2 --mh 0 --vmic 1 --resolution 11500")
COMMANDS = (
    ("--version",),
    ("models",),
    ("generate", *STAR, "-o", "sun.fits"),
    ("fit", "sun.fits", "-o", "sun_fit.fits"),
    ("generate", "--model", "paper", *STAR, "-o", "by_paper.csv"),
    ("generate", *STAR, "--band", "galah", "-o", "galah.fits"),
    ("explore", "--export", "page"),
)
# with JAX: a window of the optical
OPTICAL = ("--teff", "5777", "--logg", "4.44", "--mh", "0", "--vmic", "1", "--band", "optical")
WITH_JAX = (("synthesize", *OPTICAL, "--range", "5165:5190", "-o", "mg.fits"),)
NO_JAX = "import importlib.util, sys, starloom; sys.exit(importlib.util.find_spec('jax') is not None)"


def interpreters() -> list[str]:
    """Those of NAMES that run: some names are there, but of no use."""
    return [name for name in NAMES if _version(name)]


def _version(python: str) -> str:
    """Its version, or nothing where it does not run."""
    try:
        done = subprocess.run([python, "--version"], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def tried(python: str, wheels: list[Path], folder: Path) -> None:
    """Install and use the wheels; raises CalledProcessError where a command fails."""
    start = time.monotonic()
    # nothing of the checkout, nor of another environment, may help
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }

    def run(*words: str | Path) -> None:
        subprocess.run(
            [str(word) for word in words], cwd=folder, env=clean, check=True, stdout=subprocess.DEVNULL
        )

    run(python, "-m", "venv", folder / "environment")
    own = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    core = [each for each in wheels if each.name.startswith("starloom-")]
    others = [each for each in wheels if each not in core]
    install = (own / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, f"{core[0]}[fit]", *others)
    installed = time.monotonic()
    run(own / "python", "-c", NO_JAX)
    for words in COMMANDS:
        run(own / "starloom", *words)
    ended = time.monotonic()
    run(*install, f"{core[0]}[fit,synthesis]")
    added = time.monotonic()
    for words in WITH_JAX:
        run(own / "starloom", *words)
    told = (
        f"installed in {installed - start:.0f} s, {len(COMMANDS)} commands in {ended - installed:.0f} s",
        f"JAX in {added - ended:.0f} s, the optical in {time.monotonic() - added:.0f} s",
    )
    print(f"{_version(python)}: {'; '.join(told)}", flush=True)


def main(dist: str, *pythons: str) -> int:
    wheels = sorted(path.resolve() for path in Path(dist).glob("*.whl"))
    chosen = list(pythons) or interpreters()
    if not wheels or not chosen:
        print("there is no wheel, or no Python to try it with", file=sys.stderr)
        return 2
    for python in chosen:
        with tempfile.TemporaryDirectory() as folder:
            tried(python, wheels, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
