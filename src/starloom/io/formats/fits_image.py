"""A FITS image of one dimension, whose header tells the wavelengths."""

from starloom.errors import ConfigError
from starloom.files import parsing
from starloom.io.format import File, Format
from starloom.io.record import Record
from starloom.io.tables import fits_image
from starloom.spectrum.axis import image_wavelengths


def read(file: File) -> Record:
    """Flux in the first image, wavelengths from its header: see ``image_wavelengths``."""
    flux, header = fits_image(file.path, file.content)
    with parsing(file.path, ConfigError):
        wavelength = image_wavelengths(header, flux.size)
    return Record(wavelength, flux, flux_unit=str(header.get("BUNIT", "")))


FORMAT = Format("fits-image", "a FITS image with wavelengths in its header", read, unit="Angstrom")
