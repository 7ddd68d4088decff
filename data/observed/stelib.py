"""The library STELIB: 255 spectra in 3200-9900 A (air), a full width of about 3.1 A, labels of most."""

import re

import numpy as np
from stars import adopted_errors, main, members, miles_stars, spectra, usual

from starloom.observed import ObservedLibrary
from starloom.observed.library import library

MILES_SHA256 = "ace87bbef812dd3e4194f121e2d3b926120d36073d6981a6847f4380f9dc0027"
SHA256 = "5b71da6843ce61239ab04d89a13ec9cfea9d8486671add5a8126d30ef75aa3d8"
FWHM_AA, MIDDLE_AA = 3.1, 5500.0
RANGE_AA, STEP_AA = (3300.0, 9300.0), 1.0
OTHER = 1.5  # errors of labels of the headers over those of MILES
VELOCITY_KMS = 20.0  # what is left of velocities; see README.md


def build() -> ObservedLibrary:
    """Stars with a known Teff: labels of MILES by name, else those of the headers."""
    content = members("stelib", SHA256)
    known = {name: values for name, *values in miles_stars(members("miles", MILES_SHA256)).values()}
    grid, rows = np.arange(RANGE_AA[0], RANGE_AA[1], STEP_AA), {}
    for file, header, wavelength, flux in spectra(content):
        name = _designation(file)
        labels, factor = known.get(name), 1.0
        if labels is None or not np.isfinite(labels[0]):
            labels, factor = [_told(header.get(key)) for key in ("TEFF", "LOG_G", "FE_H")], OTHER
        if not np.isfinite(labels[0]) or name in rows:
            continue
        bad = ~(flux > 0)
        placed = np.interp(grid, wavelength, np.where(bad, np.nan, flux), left=np.nan, right=np.nan)
        rows[name] = (*labels, factor, placed)
    teff, logg, mh, factor, fluxes = (np.array(part) for part in zip(*rows.values(), strict=True))
    labels, errors = usual(teff, logg, mh)
    adopted = {name: size * factor for name, size in adopted_errors(teff).items()}
    return library(
        "STELIB",
        list(rows),
        grid,
        fluxes,
        {"teff": teff, "logg": logg, "mh": mh, **labels},
        {**adopted, **errors},
        MIDDLE_AA / FWHM_AA,
        mask=~np.isfinite(fluxes),
        medium="air",
        relative=grid / MIDDLE_AA,
        about={"source": "Le Borgne et al. (2003)", "velocity_kms": VELOCITY_KMS},
    )


def _designation(file: str) -> str:
    """The name of a star as MILES spells it."""
    name = file.removeprefix("STELIB_v3.2_").removesuffix(".fits")
    found = re.fullmatch(r"HD(\d+)", name)
    return f"HD{int(found[1]):06d}" if found else name


def _told(text) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return np.nan


if __name__ == "__main__":
    main(build, "stelib.npz")
