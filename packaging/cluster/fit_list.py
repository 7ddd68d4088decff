"""Fit a list of files with workers that a queue starts (SLURM), by dask-jobqueue; or here, to try it.

python fit_list.py list.txt fits.fits --jobs 20 --cores 8 --memory 16GB --queue normal --hours 8
python fit_list.py list.txt fits.fits --local 2

What follows -- goes to starloom fit as it is.
"""

import sys

from build_store import parsed as of_cluster
from build_store import run


def main() -> int:
    words = sys.argv[1:]
    fitting = words[words.index("--") + 1 :] if "--" in words else []
    options = of_cluster(words[: len(words) - len(fitting) - ("--" in words)])
    return run(options, "fit", "--from", options.recipe, "-o", options.store, *fitting)


if __name__ == "__main__":  # workers import this file
    sys.exit(main())
