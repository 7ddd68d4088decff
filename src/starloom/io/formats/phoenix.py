"""PHOENIX, a grid of models: images of flux, the wavelengths of all in one file. Husser et al. (2013)."""

from starloom.io.format import File, Format
from starloom.io.record import Record
from starloom.io.tables import fits_image

WAVELENGTHS = "WAVE_PHOENIX-ACES-AGSS-COND-2011.fits"


def read(file: File) -> Record:
    """Flux in the first image; the wavelengths of all files in one, in the same folder or the one above."""
    for folder in (file.path.parent, file.path.parent.parent):
        if (beside := folder / WAVELENGTHS).exists():
            wavelength, _ = fits_image(beside, File(beside).content)
            return Record(wavelength, fits_image(file.path, file.content)[0])
    raise ValueError(f"{WAVELENGTHS} is neither beside it nor one folder above")


FORMAT = Format(
    "phoenix",
    "PHOENIX (Husser et al. 2013): one file of wavelengths",
    read,
    unit="Angstrom",
    medium="vacuum",
    frame="rest",
    normalise="envelope",
)
