"""Processor time to read a spectrum, by the format of a file: Gaia's 2401 points with errors.

    python benchmarks/reading.py [--spectra 300]

Generated spectra are written in each format into a folder that is deleted afterwards, and read as
``starloom fit --from`` reads them.
"""

import argparse
import gzip
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.table import Table

from starloom.io import read_each
from starloom.networks.generator import Generator

RVS_AA = 8460 + 0.1 * np.arange(2401)
SNR = 100


def spectra(count: int) -> Table:
    """Rows as Gaia's archive has them: ``source_id``, and arrays of flux and error."""
    generator = Generator.load()
    teff = np.linspace(4500, 6500, count)
    labels = generator.domain.array(teff=teff, logg=4.4, vsini=5, mh=0, vmic=1, resolution=12400)
    flux = generator.flux(labels, wavelength_aa=RVS_AA, medium="vacuum")
    flux = flux + np.random.default_rng(22).normal(size=flux.shape).astype(np.float32) / SNR
    return Table({"source_id": np.arange(count), "flux": flux, "flux_error": np.full_like(flux, 1 / SNR)})


def text_of(values: np.ndarray) -> str:
    """An array in a cell, as the archive writes it."""
    return '"[' + ",".join(map(str, values)) + ']"'


def archive(rows: Table, folder: Path) -> list[Path]:
    """``RvsMeanSpectrum_*.csv.gz``."""
    lines = [f"{row['source_id']},{text_of(row['flux'])},{text_of(row['flux_error'])}" for row in rows]
    path = folder / "RvsMeanSpectrum_1.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["source_id,flux,flux_error", *lines, ""]).encode()))
    return [path]


def whole(rows: Table, folder: Path, name: str, form: str) -> list[Path]:
    """All rows with their arrays in one file."""
    rows.write(folder / name, format=form)
    return [folder / name]


def single(rows: Table, folder: Path, ending: str, form: str) -> list[Path]:
    """A file for each spectrum."""
    paths = []
    for row in rows:
        source = row["source_id"]
        table = Table({"wavelength": RVS_AA / 10, "flux": row["flux"], "flux_error": row["flux_error"]})
        table["wavelength"].unit = "nm"
        table.meta["source"] = str(source)
        paths.append(folder / f"RVS-Gaia DR3 {source}{ending}")
        table.write(paths[-1], format=form)
    return paths


FORMATS: dict[str, Callable[[Table, Path], list[Path]]] = {
    "FITS table with an array in each row": lambda *at: whole(*at, "RvsMeanSpectrum_1.fits", "fits"),
    "VOTable with an array in each row": lambda *at: whole(*at, "RVS_RAW.xml", "votable"),
    "RvsMeanSpectrum_*.csv.gz": archive,
    "a FITS file for each spectrum": lambda *at: single(*at, ".fits", "fits"),
    "a CSV file for each spectrum": lambda *at: single(*at, ".csv", "csv"),
}


def main() -> None:
    """Write and read each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=300)
    rows = spectra(parser.parse_args().spectra)
    for name, write in FORMATS.items():
        with TemporaryDirectory() as folder:
            paths = write(rows, Path(folder))
            start = time.process_time()
            read = [spectrum for path in paths for _, spectrum in zip(rows, read_each(path), strict=False)]
            seconds = time.process_time() - start
        assert len(read) == len(rows), name
        print(f"{1e3 * seconds / len(rows):7.2f} ms  {name}")


if __name__ == "__main__":
    main()
