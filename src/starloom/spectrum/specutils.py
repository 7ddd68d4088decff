"""Exchange with specutils, the spectra of the astropy project."""

import numpy as np
from astropy import units
from astropy.nddata import StdDevUncertainty

from starloom.errors import ConfigError

META = ("medium", "frame", "labels", "provenance")


def to_specutils(parts: dict):
    """A ``specutils.Spectrum`` of the parts of a Spectrum, or of several with the wavelength as last axis."""
    try:
        from specutils import Spectrum
    except ImportError as error:
        raise ConfigError("specutils is not installed: pip install 'starloom[specutils]'") from error
    unit = units.Unit(parts["flux_unit"])
    error = parts["error"]
    return Spectrum(
        spectral_axis=parts["wavelength"] * units.AA,
        flux=parts["flux"] * unit,
        spectral_axis_index=parts["flux"].ndim - 1,
        uncertainty=None if error is None else StdDevUncertainty(error, unit=unit),
        mask=parts["mask"],
        meta={name: parts[name] for name in META},
    )


def from_specutils(spectrum, medium: str | None, frame: str | None) -> dict:
    """Parts of a Spectrum from a one-dimensional ``specutils.Spectrum``."""
    known = parts_of(spectrum)
    known |= {name: value for name, value in (("medium", medium), ("frame", frame)) if value is not None}
    for name in ("medium", "frame"):
        if known[name] is None:
            raise ConfigError(f"the spectrum does not tell its {name}: give {name}=...")
    return known


def parts_of(spectrum) -> dict:
    """What a one-dimensional ``specutils.Spectrum`` tells of the parts; None where it lacks one."""
    known = {name: spectrum.meta.get(name) for name in META}
    wavelength = spectrum.wavelength.to_value(units.AA)
    order = slice(None, None, -1) if wavelength.size > 1 and wavelength[0] > wavelength[-1] else slice(None)
    error = None
    if spectrum.uncertainty is not None:
        error = spectrum.uncertainty.represent_as(StdDevUncertainty).quantity.to_value(spectrum.flux.unit)[
            order
        ]
    return known | {
        "labels": known["labels"] or {},
        "provenance": known["provenance"] or {},
        "wavelength": wavelength[order],
        "flux": spectrum.flux.value[order],
        "flux_unit": spectrum.flux.unit,
        "error": error,
        "mask": None if spectrum.mask is None else np.asarray(spectrum.mask)[order],
    }
