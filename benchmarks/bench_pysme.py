"""Time of PySME on a structure and line list; ``bench_synthesis.py --pysme`` runs it.

``python benchmarks/bench_pysme.py FILE`` in an environment with ``pysme-astro`` prints one line of JSON.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from pysme.abund import Abund
from pysme.atmosphere.atmosphere import Atmosphere
from pysme.linelist.linelist import LineList
from pysme.sme import SME_Structure
from pysme.synthesize import synthesize_spectrum


def prepared(data: dict) -> SME_Structure:
    """PySME's problem from the arrays that ``bench_synthesis`` wrote."""
    sme = SME_Structure()
    sme.teff, sme.logg, metallicity, sme.vmic = (float(value) for value in data["labels"])
    sme.abund = Abund(metallicity, "grevesse2007")
    columns = {name: data[name] for name in ("rhox", "temp", "xne", "xna", "rho")}
    kind = {"method": "embedded", "depth": "RHOX", "interp": "RHOX", "geom": "PP"}
    sme.atmo = Atmosphere(teff=sme.teff, logg=sme.logg, vturb=sme.vmic, **kind, **columns)
    sme.atmo.abund = sme.abund
    names = ("species", "wlcent", "excit", "gflog", "gamrad", "gamqst", "gamvw", "atom_number")
    lines = pd.DataFrame({name: data[name] for name in names})
    lines["ionization"] = [float(name[-1]) for name in lines["species"]]
    sme.linelist = LineList(lines, lineformat="short", medium="air")
    sme.wran, sme.wave = [[data["wave"][0], data["wave"][-1]]], [data["wave"]]
    sme.vrad_flag = sme.cscale_flag = "none"
    return sme


def main() -> None:
    """Compute the spectrum; print the time and the mean difference to starloom's spectrum."""
    with np.load(sys.argv[1]) as file:
        data = dict(file)
    sme = prepared(data)
    start = time.process_time()  # of the processor: on one core the same as by the clock of an idle machine
    theirs = np.asarray(synthesize_spectrum(sme).synth[0])
    seconds = time.process_time() - start
    difference = np.abs(theirs - np.interp(data["wave"], data["ours_aa"], data["ours"]))
    print(json.dumps({"seconds": seconds, "difference": float(difference.mean())}))


if __name__ == "__main__":
    main()
