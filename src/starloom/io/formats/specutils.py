"""What specutils reads (extra ``starloom[specutils]``): by a loader of its own choice, or the one named."""

import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from starloom import extras
from starloom.errors import ConfigError
from starloom.io.format import File, Format, Found
from starloom.io.formats import table
from starloom.io.record import Record
from starloom.io.tables import DAMAGE
from starloom.spectrum.specutils import parts_of


def recognise(file: File) -> bool:
    """Whether it is a FITS file without a table of wavelength and flux."""
    return file.is_fits and find_spec("specutils") is not None and not table.recognise(file)


def read(file: File) -> Record | Iterator[Found]:
    """What a loader makes of the file; where none can, and none was named, what the format ``table`` says."""
    try:
        import specutils
    except ImportError as error:
        raise ConfigError(extras.absent("specutils")) from error
    from astropy.io.fits import VerifyError
    from astropy.io.registry import IORegistryError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = specutils.Spectrum.read(file.path, format=file.variant or None)
        except (OSError, IORegistryError, VerifyError, *DAMAGE) as error:
            if not file.variant:
                return table.read(file)
            # goes on with a list of all loaders
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
