"""Readers of model atmospheres that users bring: ATLAS9 and MARCS text files."""

import os
import re
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from starloom.atmosphere.structure import FEWEST_LAYERS, Atmosphere
from starloom.constants import ALPHA_ELEMENTS, BOLTZMANN, KMS, SYMBOLS
from starloom.errors import OutOfRangeError, ParseError
from starloom.physics.abundances import SOLAR

ABSENT = -19.0  # log10 of a number of nuclei over all, below which ATLAS9 has none
ATLAS9_COLUMNS = ("RHOX", "T", "P", "XNE", "ABROSS", "ACCRAD", "VTURB")
MARCS_UPPER = ("k", "lgTauR", "lgTau5", "Depth", "T", "Pe", "Pg", "Prad", "Pturb")
MARCS_LOWER = ("k", "lgTauR", "KappaRoss", "Density", "Mu", "Vconv", "Mconv/M", "RHOX")


def read_atlas9(path: str | os.PathLike) -> Atmosphere:
    """Structure of an ATLAS9 (or ATLAS12) model in Kurucz's text format.

    log tau is the integral of the file's Rosseland opacity over column mass, [M/H] the abundance scale,
    [alpha/M] what the listed alpha elements have more than other metals, the microturbulence that of the
    first layer. Raises ParseError with path, line and reason where the file is
    truncated or malformed, or its structure impossible.
    """
    lines = Lines(path)
    teff, logg = lines.numbers(r"TEFF\s+(\S+)\s+GRAVITY\s+(\S+)")
    (scale,) = lines.numbers(r"ABUNDANCE SCALE\s+(\S+)")
    if scale <= 0:
        lines.fail(f"the abundance scale is {scale:g}, not positive")
    mixture = lines.read - 1
    names = lines.words(r"READ DECK6?\s+\d+\s+(.*)")
    alpha = _alpha(lines.lines[mixture : lines.read - 1])
    if names[: len(ATLAS9_COLUMNS)] != ATLAS9_COLUMNS:
        lines.fail(f"columns {','.join(names)} found, {','.join(ATLAS9_COLUMNS)} expected")
    layers = lines.again(r"READ DECK6?\s+(\d+)")
    columns = lines.layers(layers, names)
    lines.expect("PRADK")  # without the line after the layers the file is cut
    return lines.checked(
        column_mass=columns["RHOX"],
        temperature=columns["T"],
        gas_pressure=columns["P"],
        electron_density=columns["XNE"],
        log_tau=_log_tau(lines, columns["RHOX"], columns["ABROSS"]),
        radiative_acceleration=columns["ACCRAD"],
        teff=teff,
        logg=logg,
        mh=float(np.log10(scale)),
        alpha=alpha,
        vmic=float(columns["VTURB"][0] / KMS),
    )


def _alpha(header: list[str]) -> float:
    """[alpha/M] of the listed logarithms of numbers of nuclei, to their 0.01 dex; 0 where none are listed."""
    listed = re.findall(r"(\d+)\s+(-\d+\.\d+)", " ".join(header))
    known = {int(number): float(log) for number, log in listed if float(log) > ABSENT}
    more = {SYMBOLS[z - 1]: log - SOLAR[z - 1] for z, log in known.items() if 2 < z <= len(SYMBOLS)}
    alpha, others = ([more[s] for s in more if (s in ALPHA_ELEMENTS) is own] for own in (True, False))
    return round(float(np.median(alpha) - np.median(others)), 2) + 0.0 if alpha and others else 0.0


def _log_tau(lines: "Lines", column_mass: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Decimal logarithm of the integral of opacity over column mass; constant opacity above the first layer.

    The integral of a monotone cubic meets ATLAS9's own scale within 0.001 dex (median over models of the
    largest error), the trapezoidal rule within 0.006 dex.
    """
    _increasing(lines, "RHOX", column_mass)
    if (opacity <= 0).any() or column_mass[0] <= 0:
        lines.fail("a column mass or Rosseland opacity is not positive")
    inner = PchipInterpolator(column_mass, opacity).antiderivative()(column_mass)
    return np.log10(column_mass[0] * opacity[0] + inner)


def read_marcs(path: str | os.PathLike) -> Atmosphere:
    """Structure of a MARCS model in the text format (``.mod``) of the MARCS site.

    A spherical model is taken as plane-parallel, with its column masses and pressures at the same optical
    depth. The electron density is Pe / kT, the radiative acceleration the gradient of Prad. Raises ParseError
    with path, line and reason where the file is truncated or malformed, or its structure impossible.
    """
    lines = Lines(path)
    (teff,) = lines.numbers(r"^\s*(\S+)\s+Teff \[K\]")
    (gravity,) = lines.numbers(r"^\s*(\S+)\s+Surface gravity \[cm/s2\]")
    if gravity <= 0:
        lines.fail(f"the surface gravity is {gravity:g} cm s-2, not positive")
    (vmic,) = lines.numbers(r"^\s*(\S+)\s+Microturbulence parameter \[km/s\]")
    mh, alpha = lines.numbers(r"^\s*(\S+)\s+(\S+)\s+Metallicity \[Fe/H\]")
    layers = lines.words(r"^\s*(\d+)\s+Number of depth points")[0]
    upper = _marcs_block(lines, "Model structure", layers, MARCS_UPPER)
    lower = _marcs_block(lines, "", layers, MARCS_LOWER)
    lines.expect("Assorted logarithmic partial pressures")  # without it the file is cut
    if not np.array_equal(upper["lgTauR"], lower["lgTauR"]):
        lines.fail("the two blocks of layers differ in lgTauR")
    _increasing(lines, "RHOX", lower["RHOX"])
    return lines.checked(
        log_tau=upper["lgTauR"],
        column_mass=lower["RHOX"],
        temperature=upper["T"],
        gas_pressure=upper["Pg"],
        electron_density=upper["Pe"] / (BOLTZMANN * upper["T"]),
        turbulent_pressure=upper["Pturb"],
        radiative_acceleration=PchipInterpolator(lower["RHOX"], upper["Prad"])(lower["RHOX"], 1),
        teff=teff,
        logg=float(np.log10(gravity)),
        mh=mh,
        alpha=alpha,
        vmic=vmic,
    )


def _marcs_block(lines: "Lines", title: str, layers: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """One of the two blocks of layers, under the line with the names of its columns."""
    if title:
        lines.words(f"^({title})$")
    found = tuple(lines.next("the names of the columns").split())
    if found != names:
        lines.fail(f"columns {' '.join(found)} found, {' '.join(names)} expected")
    columns = lines.layers(layers, names)
    if not np.array_equal(columns["k"], np.arange(1, len(columns["k"]) + 1)):
        lines.fail("the layers are not numbered 1, 2, 3, ...")
    return columns


def _increasing(lines: "Lines", name: str, values: np.ndarray) -> None:
    wrong = np.flatnonzero(np.diff(values) <= 0)
    if len(wrong):
        lines.fail(f"{name} does not increase inwards: {values[wrong[0] + 1]:g} in layer {wrong[0] + 1}")


class Lines:
    """The lines of a text file, read once from top to bottom; every error names path, line and reason."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.read = 0  # lines so far
        try:
            self.lines = self.path.read_text(encoding="ascii").splitlines()
        except UnicodeDecodeError as error:
            raise ParseError(f"{path}: byte {error.start} is not plain text") from error
        except OSError as error:
            raise ParseError(f"{path}: {error.strerror}") from error

    def fail(self, reason: str) -> None:
        """Raise ParseError at the line read last."""
        raise ParseError(f"{self.path}, line {self.read}: {reason}")

    def next(self, wanted: str) -> str:
        """The next line."""
        if self.read == len(self.lines):
            self.fail(f"the file ends before {wanted}")
        self.read += 1
        return self.lines[self.read - 1]

    def words(self, pattern: str) -> tuple[str, ...]:
        """Words that ``pattern`` captures in the next line that matches it; commas separate, too."""
        while not (match := re.search(pattern, self.next(f"a line like {pattern!r}"))):
            pass
        return tuple(" ".join(match.groups()).replace(",", " ").split())

    def again(self, pattern: str) -> str:
        """What ``pattern`` captures in the line read last."""
        return re.search(pattern, self.lines[self.read - 1]).group(1)

    def numbers(self, pattern: str) -> list[float]:
        """Numbers that ``pattern`` captures in the next line that matches it."""
        return [self.number(word) for word in self.words(pattern)]

    def number(self, word: str) -> float:
        """The finite number that ``word`` is."""
        try:
            value = float(word)
        except ValueError:
            self.fail(f"{word!r} is not a number")
        if not np.isfinite(value):
            self.fail(f"{word!r} is not finite")
        return value

    def layers(self, count: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Columns of the next ``count`` lines; each has one number for every name."""
        if not FEWEST_LAYERS <= int(count) <= 10000:
            self.fail(f"{count} layers announced, at least {FEWEST_LAYERS} needed")
        rows = []
        for layer in range(int(count)):
            words = self.next(f"layer {layer} of {count}").split()
            if len(words) != len(names):
                self.fail(f"{len(words)} columns in layer {layer}, {len(names)} expected")
            rows.append([self.number(word) for word in words])
        return dict(zip(names, np.array(rows).T, strict=True))

    def expect(self, words: str) -> None:
        """Pass the next line, which must begin with ``words``."""
        line = self.next(f"the line {words!r}").strip()
        if not line.startswith(words):
            self.fail(f"{line[:40]!r} found where {words!r} is expected")

    def checked(self, **columns) -> Atmosphere:
        """The atmosphere of these columns, its faults told as those of the file."""
        try:
            return Atmosphere(**columns, source=str(self.path)).check()
        except OutOfRangeError as error:
            raise ParseError(str(error)) from error
