"""What specutils reads (extra ``starloom[specutils]``): by a loader of its own choice, or the one named."""

import warnings
from importlib.util import find_spec

from starloom import extras
from starloom.errors import ConfigError
from starloom.io.format import File, Format
from starloom.io.formats import table
from starloom.io.record import Record
from starloom.spectrum.specutils import parts_of


def recognise(file: File) -> bool:
    """Whether it is a FITS file without a table of wavelength and flux."""
    return file.is_fits and find_spec("specutils") is not None and not table.recognise(file)


def read(file: File) -> Record:
    """What a loader makes of the file."""
    try:
        import specutils
    except ImportError as error:
        raise ConfigError(extras.absent("specutils")) from error
    from astropy.io.registry import IORegistryError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = specutils.Spectrum.read(file.path, format=file.variant or None)
        except IORegistryError as error:  # goes on with a list of all loaders
            raise ValueError(str(error).partition("\n")[0]) from error
    if theirs.flux.ndim != 1:
        raise ValueError(f"specutils reads spectra of the shape {theirs.shape} in it, expected one")
    parts = parts_of(theirs)
    about = {"reader": f"specutils {specutils.__version__}", **parts.pop("provenance")}
    return Record(**parts, provenance=about, unit="Angstrom")


FORMAT = Format(
    "specutils",
    "what specutils reads; specutils:NAME for one of its loaders",
    read,
    recognise,
    general=True,
    options=("variant",),
)
