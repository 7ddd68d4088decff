"""Spectra of a library in a public package, and what the builds of libraries share."""

import argparse
import hashlib
import io
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import fetch

from starloom.observed import ObservedLibrary

PACKAGE, VERSION = "sdss-mangadap", "4.5.0"
FOLDER = "mangadap/data/spectral_templates"
VERIFICATION = Path(__file__).with_name("verification.txt")
POOREST = -2.3  # [Fe/H]: poorer stars are for verification


def members(folder: str, sha256: str) -> dict[str, bytes]:
    """Files of a folder of the package by name; ValueError where not all together have this SHA-256."""
    with zipfile.ZipFile(fetch(PACKAGE, VERSION)) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith(f"{FOLDER}/{folder}/"))
        content = {Path(name).name: archive.read(name) for name in names}
    sha = hashlib.sha256()
    for name, data in content.items():
        sha.update(name.encode() + hashlib.sha256(data).digest())
    if (found := sha.hexdigest()) != sha256:
        raise ValueError(f"{folder}: the files have together SHA-256 {found}, expected {sha256}")
    return content


def spectra(content: dict[str, bytes]) -> Iterator[tuple[str, fits.Header, np.ndarray, np.ndarray]]:
    """Name of the file, header, wavelength [A] and flux of each FITS file."""
    for name, data in content.items():
        if not name.endswith(".fits"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VerifyWarning)  # cards of another century
            with fits.open(io.BytesIO(data)) as opened:
                header, flux = opened[0].header.copy(), np.array(opened[0].data, dtype=float)
        place = np.arange(flux.size) + 1 - header["CRPIX1"]
        yield name, header, header["CRVAL1"] + header["CDELT1"] * place, flux


def miles_stars(content: dict[str, bytes]) -> dict[int, tuple[str, float, float, float]]:
    """Name, Teff [K], log g and [Fe/H] of each number of MILES; NaN where one is not told."""
    found = {}
    for line in content["paramsMILES_v9.1.txt"].decode("latin-1").splitlines()[3:]:
        if line[23:27].strip().isdigit():
            numbers = [_number(line[first:end]) for first, end in ((50, 57), (57, 65), (65, 74))]
            found[int(line[23:27])] = (" ".join(line[:23].replace(" Cl ", " ").split()), *numbers)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def adopted_errors(teff: np.ndarray) -> dict[str, np.ndarray]:
    """Standard deviations of the labels of MILES by kind of star; see README.md."""
    hot, cool = teff > 7500, teff < 4000
    return {
        "teff": np.where(hot, 0.03 * teff, np.where(cool, 120.0, 90.0)),
        "logg": np.where(hot, 0.25, np.where(cool, 0.3, 0.2)),
        "mh": np.where(hot, 0.25, np.where(cool, 0.2, 0.12)),
    }


def usual(teff: np.ndarray, logg: np.ndarray, mh: np.ndarray) -> tuple[dict, dict]:
    """What such stars have of labels that a library does not tell, and their scatter; see README.md."""
    alpha = np.clip(-0.4 * np.nan_to_num(mh), 0.0, 0.4)
    dwarf = np.clip(1.1 + 1.6e-4 * (teff - 5500), 0.7, 2.5)
    vmic = np.where(logg < 3.5, np.clip(2.2 - 0.35 * logg, 1.0, 3.0), dwarf)
    hot, turning = teff > 6500, np.clip((teff - 6500) / 20 + 15, 15, 90)
    labels = {"alpha": alpha, "vmic": vmic, "vsini": np.where(hot, turning, 5.0)}
    errors = {"alpha": np.full(teff.size, 0.12), "vmic": np.where(hot, 0.7, 0.4)}
    errors["vsini"] = np.where(hot, 0.9 * turning, 4.0)
    return labels, errors


def for_verification(names: list[str], mh: np.ndarray) -> np.ndarray:
    """Which stars are kept for verification: those of verification.txt, and all poorer than POOREST."""
    listed = {line.partition("#")[0].strip() for line in VERIFICATION.read_text().splitlines()} - {""}
    return np.array([name.split(" / ")[0] in listed for name in names]) | (mh < POOREST)


def main(build: Callable[[], ObservedLibrary], default: str) -> None:
    """Command line of a build: where the library is to be written, and which of its stars."""
    parser = argparse.ArgumentParser(description=f"Make {default} from {PACKAGE} {VERSION}.")
    parser.add_argument("output", nargs="?", type=Path, default=Path(default), help="file (.npz) to write")
    parser.add_argument("--all", action="store_true", help="with the stars that are for verification")
    given = parser.parse_args()
    made = build()
    if not given.all:
        kept = ~for_verification(list(made.names), made.labels["mh"])
        print(f"{(~kept).sum()} stars are for verification and left out")
        made = made.part(kept)
    made.write(given.output)
    ends = "{:.1f} to {:.1f}".format(*made.vacuum_aa[[0, -1]])
    print(f"{given.output}: {len(made)} stars, {made.vacuum_aa.size} pixels, {ends} A (vacuum)")
