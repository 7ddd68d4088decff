"""Exchange with specutils, the spectra of the astropy project."""

from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io.fits import getheader
from astropy.nddata import StdDevUncertainty

from starloom import extras
from starloom.errors import ConfigError
from starloom.spectrum import Spectrum, fits

META = ("medium", "frame", "labels", "provenance")


@cache
def register() -> None:
    """Let ``specutils.Spectrum.read`` read the FITS files of ``Spectrum.write``; once in a program.

    Its own reader of tables knows no flux without unit. Writing a spectrum does this where specutils is
    already imported, and so does ``to_specutils``.
    """
    from specutils.io.registers import data_loader

    load = data_loader("starloom", identifier=_is_ours, extensions=["fits"], priority=20)
    load(_loaded)


def _loaded(file, **_):
    # astropy opens some files that it is given by name
    path = Path(file if isinstance(file, str | PathLike) else file.name)
    return Spectrum(**fits.read(path)).to_specutils()


def _is_ours(origin: str, path, *_, **__) -> bool:
    # what cannot be read is taken for a no
    creator = getheader(path, "SPECTRUM").get("CREATOR", "") if origin == "read" else ""
    return creator.startswith("starloom ")


def to_specutils(parts: dict):
    """A ``specutils.Spectrum`` of the parts of a Spectrum, or of several with the wavelength as last axis.

    ConfigError where specutils is not installed.
    """
    try:
        import specutils
    except ImportError as error:
        raise ConfigError(extras.absent("specutils")) from error
    register()
    unit = units.Unit(parts["flux_unit"])
    error = parts["error"]
    return specutils.Spectrum(
        spectral_axis=parts["wavelength"] * units.AA,
        flux=parts["flux"] * unit,
        spectral_axis_index=parts["flux"].ndim - 1,
        uncertainty=None if error is None else StdDevUncertainty(error, unit=unit),
        mask=parts["mask"],
        meta={name: parts[name] for name in META},
    )


def from_specutils(spectrum, medium: str | None, frame: str | None) -> dict:
    """Parts of a Spectrum from a one-dimensional ``specutils.Spectrum``.

    ``spectrum`` is theirs; ConfigError where it has more dimensions, or tells no medium and none is given.
    """
    known = parts_of(spectrum)
    known |= {name: value for name, value in (("medium", medium), ("frame", frame)) if value is not None}
    for name in ("medium", "frame"):
        if known[name] is None:
            raise ConfigError(f"the spectrum does not tell its {name}: give {name}=...")
    return known


def parts_of(spectrum) -> dict:
    """What a one-dimensional ``specutils.Spectrum`` tells of the parts; None where it lacks one.

    ``spectrum`` is theirs.
    """
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
