"""The library MILES: 984 stars in 3540-7409 A (air), full width 2.5 A, with labels of most."""

import numpy as np
from stars import adopted_errors, main, members, miles_stars, spectra, usual

from starloom.observed import ObservedLibrary
from starloom.observed.library import library

SHA256 = "ace87bbef812dd3e4194f121e2d3b926120d36073d6981a6847f4380f9dc0027"
FWHM_AA, MIDDLE_AA = 2.5, 5500.0
RANGE_AA = (3560.0, 7400.0)


def build() -> ObservedLibrary:
    """Stars with a known Teff, named by their designation and number."""
    content = members("miles", SHA256)
    stars, rows = miles_stars(content), []
    for name, _, wavelength, flux in spectra(content):
        number = int(name.removeprefix("MILES_res2.50_star_m").removesuffix("V.fits"))
        if number in stars and np.isfinite(stars[number][1]):
            rows.append((f"{stars[number][0]} / {number:04d}", *stars[number][1:], wavelength, flux))
    names, teff, logg, mh, wavelengths, fluxes = zip(*rows, strict=True)
    wavelength, flux = wavelengths[0], np.array(fluxes)
    known = {"teff": np.array(teff), "logg": np.array(logg), "mh": np.array(mh)}
    labels, errors = usual(known["teff"], known["logg"], known["mh"])
    inside = (wavelength >= RANGE_AA[0]) & (wavelength <= RANGE_AA[1])
    wavelength, flux = wavelength[inside], flux[:, inside]
    return library(
        "MILES",
        names,
        wavelength,
        flux,
        {**known, **labels},
        {**adopted_errors(known["teff"]), **errors},
        MIDDLE_AA / FWHM_AA,
        mask=flux <= 0,
        medium="air",
        relative=wavelength / MIDDLE_AA,
        about={
            "source": "Sanchez-Blazquez et al. (2006); Cenarro et al. (2007); Falcon-Barroso et al. (2011)"
        },
    )


if __name__ == "__main__":
    main(build, "miles.npz")
