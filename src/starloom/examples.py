"""Example stars to try the program on: made by a model, with noise, in the formats of observed spectra.

None of them is a star of the sky. What the fits should find stands beside them, in ``truth.csv``.
"""

import csv
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from starloom import __version__
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, Option
from starloom.files import filling
from starloom.io.formats.gaia import NOISE_KMS, RESOLUTION, STEP_NM, WAVELENGTH_NM
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

LIST, TRUTH = "list.txt", "truth.csv"
SPECTROGRAPH = 11500.0  # resolving power of the stars that are not Gaia's
LABELS = ("teff", "logg", "vsini", "mh", "vmic")
GAPS_NM = ((846.0, 846.7), (857.2, 857.6), (869.5, 870.0))  # what no transit of the A star reached


@dataclass(frozen=True)
class ExampleStar:
    """A star by the five ``labels`` [K, dex, km/s, dex, km/s], its ``velocity`` [km/s], noise and ``file``.

    Its signal-to-noise ratio is ``snr``. Files of Gaia's archive are at rest, the others (``gaia`` not set)
    as seen from the barycentre. ``gaps`` are ranges of wavelengths [nm] without data.
    """

    file: str
    labels: tuple[float, float, float, float, float]
    snr: float
    velocity: float = 0.0
    gaia: bool = True
    gaps: tuple[tuple[float, float], ...] = ()


STARS = (
    ExampleStar("star.fits", (5777, 4.44, 6, 0.0, 1.0), 100),
    ExampleStar("a_star.csv", (8800, 4.1, 60, 0.1, 2.0), 120, gaps=GAPS_NM),
    ExampleStar("stars/01.fits.gz", (4300, 4.6, 3, 0.1, 0.8), 60),
    ExampleStar("stars/02.csv.gz", (4700, 2.6, 4, -0.2, 1.5), 90),
    ExampleStar("stars/03.vot", (5250, 4.5, 8, -0.6, 1.0), 70),
    ExampleStar("stars/04.ecsv", (5900, 4.3, 10, 0.25, 1.2), 50),
    ExampleStar("stars/05.csv.gz", (6300, 4.1, 15, -0.4, 1.5), 80),
    ExampleStar("stars/06.fits", (6700, 4.2, 30, 0.0, 1.8), 100, velocity=-24.0, gaia=False),
    ExampleStar("stars/07.ecsv", (7400, 4.0, 80, 0.1, 2.2), 120, velocity=11.5, gaia=False),
    ExampleStar("stars/08.csv", (5000, 3.2, 4, -0.9, 1.4), 80, velocity=63.0, gaia=False),
    ExampleStar("stars/09.fits", (9600, 3.9, 120, 0.0, 2.0), 150, velocity=-7.0, gaia=False),
    ExampleStar("stars/10.csv.gz", (12500, 4.0, 40, 0.0, 2.0), 150),
)


def write(folder: str | PathLike, model: str = "default", overwrite: bool = False) -> list[Path]:
    """Write the example stars, a list of ten of them and the table of the truth to ``folder``; all paths.

    ``model`` is a model's name or file. The same model gives the same files. They appear together or not at
    all. Raises ConfigError for an unknown model, and where one of the files exists and ``overwrite`` is not
    set; WriteError where they cannot be written.
    """
    folder = Path(folder)
    names = [star.file for star in STARS] + [LIST, TRUTH]
    if taken := [name for name in names if (folder / name).exists()] if not overwrite else []:
        raise ConfigError(f"{folder / taken[0]} exists; overwrite it with ", Option("overwrite", (True,)))
    generator = Generator.load(model)
    with filling(folder) as made:
        (made / "stars").mkdir()
        for number, star in enumerate(STARS):
            spectrum = observed(star, generator, seed=number)
            path = made / star.file
            _written(path, spectrum) if star.gaia else spectrum.write(path)
        listed = [star.file for star in STARS if star.file.startswith("stars/")]
        text = "\n".join([f"# {_origin(generator)}", *listed, ""])
        (made / LIST).write_text(text, encoding="utf-8")
        _write_truth(made / TRUTH, generator)
    return [folder / name for name in names]


def observed(star: ExampleStar, generator: Generator, seed: int) -> Spectrum:
    """A ``star`` as it is observed, with noise that neighbours share where it is Gaia's; NaN masked in gaps.

    ``seed`` is that of its noise. Labels of the model beyond the example's five have their default.
    """
    resolution = RESOLUTION if star.gaia else SPECTROGRAPH
    given = dict(zip(LABELS, star.labels, strict=True)) | {"resolution": resolution}
    given = {name: value for name, value in given.items() if name in generator.domain.names}
    labels = generator.domain.array(**generator.domain.defaults(given) | given)
    view = {"radial_velocity": star.velocity, "medium": "vacuum"}
    wavelength = 10 * WAVELENGTH_NM if star.gaia else np.arange(8455.0, 8705.0, 0.32)
    flux = generator.flux(labels, wavelength_aa=wavelength, **view).astype(float)
    noise = np.random.default_rng([26, seed]).normal(size=flux.size)
    noise = (_shared(noise) if star.gaia else noise) / star.snr
    mask = np.zeros(flux.size, bool)
    for low, high in star.gaps:
        mask |= (wavelength >= 10 * low) & (wavelength <= 10 * high)
    return Spectrum(
        wavelength,
        np.where(mask, np.nan, np.round(flux + noise, 6)),
        error=np.where(mask, np.nan, round(1 / star.snr, 6)),
        mask=mask if mask.any() else None,
        medium="vacuum",
        frame="rest" if star.gaia else "barycentric",
        labels={"resolution": resolution},
        provenance={"example": _origin(generator)},
    )


def _shared(noise: np.ndarray) -> np.ndarray:
    """Noise smoothed as that of Gaia's points is, of the same variance."""
    step_kms = SPEED_OF_LIGHT_KMS * STEP_NM / WAVELENGTH_NM.mean()
    kernel = np.exp(-0.5 * (step_kms * np.arange(-5, 6) / NOISE_KMS) ** 2)
    return np.convolve(noise, kernel / np.sqrt((kernel**2).sum()), mode="same")


def _origin(generator: Generator) -> str:
    """What the files say of themselves."""
    made = f"synthesised by 'starloom example' {__version__}, model {generator.name}, with noise"
    return f"no star of the sky: {made}; its labels are in {TRUTH}"


def _written(path: Path, spectrum: Spectrum) -> None:
    """A file as Gaia's archive gives it: wavelength [nm], flux, flux_error."""
    from astropy.table import Table

    table = Table({"wavelength": np.round(spectrum.wavelength / 10, 2)})
    table["wavelength"].unit = "nm"
    for name, values in (("flux", spectrum.flux), ("flux_error", spectrum.error)):
        table[name] = values.astype(np.float32)
    packed = path.suffix == ".gz"
    plain = path.with_suffix("") if packed else path
    WRITERS[plain.suffix](plain, table, spectrum.provenance["example"])
    if packed:
        path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
        plain.unlink()


def _fits(path: Path, table: Any, about: str) -> None:
    table.meta["comments"] = [about]
    table.write(path, format="fits")


def _votable(path: Path, table: Any, about: str) -> None:
    table.meta["description"] = about
    table.write(path, format="votable", tabledata_format="binary2")


def _ecsv(path: Path, table: Any, about: str) -> None:
    table.meta["comments"] = [about]
    table.write(path, format="ascii.ecsv", delimiter=",", formats=FORMATS)


def _csv(path: Path, table: Any, about: str) -> None:
    rows = (",".join(_cell(name, row[name]) for name in table.colnames) for row in table)
    path.write_text("\n".join([f"# {about}", ",".join(table.colnames), *rows, ""]), encoding="utf-8")


def _cell(name: str, value: float) -> str:
    """A number; nothing where there is none, as the archive has it."""
    return f"{value:{FORMATS[name]}}" if np.isfinite(value) else ""


FORMATS = {"wavelength": ".2f", "flux": ".6f", "flux_error": ".6f"}
WRITERS: Mapping[str, Callable[[Path, Any, str], None]] = {
    ".fits": _fits,
    ".vot": _votable,
    ".ecsv": _ecsv,
    ".csv": _csv,
}


def _write_truth(path: Path, generator: Generator) -> None:
    """The labels that each star was made with."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        stream.write(f"# {_origin(generator).replace(f'; its labels are in {TRUTH}', '')}\n")
        stream.write("# K, dex, km/s, dex, km/s, km/s; other labels of the model have their default\n")
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["file", *LABELS, "velocity", "resolution", "snr"])
        for star in STARS:
            resolution = RESOLUTION if star.gaia else SPECTROGRAPH
            rows.writerow([star.file, *star.labels, star.velocity, int(resolution), star.snr])
