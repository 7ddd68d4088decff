"""``hydrogen_profiles``: Stark profiles, wavelengths and strengths of the Paschen lines."""

import sys
from fractions import Fraction
from math import factorial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sources import main, read_member, write_table

LOWER = 3
UPPERS = range(4, 61)
LEMKE = (
    "synspec",
    "1.0.3",
    "python/synspec/data/lemke.dat",
    "9365ab94af7a9aeb4008a3ab4b1610a82871111e94d14c058e27b691222426cf",
)
TREMBLAY = (
    "synspec",
    "1.0.3",
    "python/synspec/data/tremblay.dat",
    "d30bbfb565e5bdebd84314ef2b4ca840a580de09dd88e8d903a7df805b7b6a96",
)
WING_SLOPE = -2.5  # d log S / d log alpha of the quasistatic wing
RYDBERG_CM = 109737.31568160 / (1 + 1 / 1836.15267343)  # cm-1, CODATA 2018, reduced to the mass of hydrogen
FINE_STRUCTURE = 7.2973525693e-3


def profiles(content: str, lower: int) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """By upper level: log alpha [a], log ne [ne], log T [t] and log S [ne, t, a] of the lines from ``lower``.

    The file has four series. A series has a header of each line (two levels, three starts, three steps,
    three counts), then for each line a title and, by density and temperature, an unused number and log S.
    """
    numbers = " ".join(line for line in content.splitlines() if not line.startswith("nl"))
    stream = np.array(numbers.split(), dtype=float)
    position, lines = 1, {}
    for _ in range(int(stream[0])):
        count = int(stream[position])
        headers = stream[position + 1 : position + 1 + 11 * count].reshape(count, 11)
        position += 1 + 11 * count
        for header in headers:
            log_alpha, log_density, log_temperature = (
                np.round(start + step * np.arange(int(points)), 5)
                for start, step, points in zip(header[2:5], header[5:8], header[8:11], strict=True)
            )
            shape = (len(log_density), len(log_temperature), len(log_alpha) + 1)
            block = stream[position : position + np.prod(shape)].reshape(shape)
            position += block.size
            if header[0] == lower:
                lines[int(header[1])] = (log_alpha, log_density, log_temperature, block[:, :, 1:])
    return lines


def profile_table(content: str) -> dict[str, np.ndarray]:
    """Profiles of the lines from ``LOWER`` as ``on_one_size`` has them, and their upper levels."""
    lines = profiles(content, LOWER)
    return {"upper": np.array(list(lines), dtype=np.int16), **on_one_size(lines)}


def on_one_size(lines: dict) -> dict[str, np.ndarray]:
    """Profiles of lines, all on one number of points: own alphas, the wing goes on.

    A line whose densities end earlier repeats its last (n >= 15: 1e17 cm-3, where such levels are dissolved).
    """
    points = max(len(line[0]) for line in lines.values())
    densities = max((line[1] for line in lines.values()), key=len)
    log_alpha = np.empty((len(lines), points))
    log_profile = np.empty((len(lines), len(densities), 7, points))
    for i, (alpha, density, _, log_s) in enumerate(lines.values()):
        more = points - len(alpha)
        log_alpha[i] = np.round(alpha[0] + 0.2 * np.arange(points), 5)
        wing = log_s[:, :, -1:] + WING_SLOPE * 0.2 * np.arange(1, more + 1)
        values = np.concatenate([log_s, wing], axis=-1)
        log_profile[i] = np.pad(values, ((0, len(densities) - len(density)), (0, 0), (0, 0)), mode="edge")
    return {
        "log_alpha": log_alpha,
        "log_electron_density": densities,
        "log_temperature": next(iter(lines.values()))[2],
        "log_profile": log_profile.astype(np.float32),
    }


def mean_level(n: int) -> float:
    """Energy [cm-1] of level n below the ionisation limit, mean over its fine structure with weights 2j + 1.

    Dirac's energies to second order in the fine-structure constant (Bethe & Salpeter 1957, eq. 17.1),
    reduced mass; the Lamb shift, 0.001 cm-1 for n = 3, is left out.
    """
    return RYDBERG_CM / n**2 * (1 + (FINE_STRUCTURE / n) ** 2 * (1.25 - 1 / n))


def radial_integral_squared(n: int, l: int, m: int) -> Fraction:  # noqa: E741
    """Square of the radial integral of (n, l) to (m, l - 1) in Bohr radii (Bethe & Salpeter 1957, 63.2)."""
    x = Fraction(-4 * n * m, (n - m) ** 2)
    outer, inner = n - l - 1, m - l
    bracket = _hypergeometric(-outer, -inner, 2 * l, x)
    bracket -= Fraction((n - m) ** 2, (n + m) ** 2) * _hypergeometric(-outer - 2, -inner, 2 * l, x)
    ratio = Fraction(factorial(n + l) * factorial(m + l - 1), factorial(outer) * factorial(inner))
    power = (
        Fraction(4 * n * m) ** (l + 1) * Fraction(n - m) ** (n + m - 2 * l - 2) / Fraction(n + m) ** (n + m)
    )
    return ratio * (power * bracket / (4 * factorial(2 * l - 1))) ** 2


def _hypergeometric(a: int, b: int, c: int, x: Fraction) -> Fraction:
    """Gauss's F(a, b; c; x) for a or b a negative integer or zero: a polynomial."""
    term = total = Fraction(1)
    for k in range(max(-a, -b)):
        term *= Fraction((a + k) * (b + k), (c + k) * (k + 1)) * x
        total += term
    return total


def log_gf(lower: int, upper: int) -> float:
    """log10 of g f in absorption, all sublevels of both levels together (Bethe & Salpeter 1957, eq. 61.6)."""
    strength = sum(l * radial_integral_squared(upper, l, lower) for l in range(1, lower + 1))  # noqa: E741
    strength += sum(l * radial_integral_squared(lower, l, upper) for l in range(1, lower))  # noqa: E741
    energy = Fraction(1, lower**2) - Fraction(1, upper**2)
    return float(np.log10(float(Fraction(2, 3) * energy * strength)))


def build(folder: Path) -> None:
    """Write ``hydrogen_profiles`` and ``hydrogen_profiles_tremblay`` into ``folder``."""
    wavelength = np.array([1e8 / (mean_level(LOWER) - mean_level(n)) for n in UPPERS])
    lemke = profile_table(read_member(*LEMKE).decode())
    lemke |= {
        "upper_all": np.array(UPPERS, dtype=np.int16),
        "vacuum_wavelength_aa": np.round(wavelength, 4),
        "log_gf": np.round([log_gf(LOWER, n) for n in UPPERS], 5),
    }
    write_table("hydrogen_profiles", lemke, folder)
    write_table("hydrogen_profiles_tremblay", profile_table(read_member(*TREMBLAY).decode()), folder)


if __name__ == "__main__":
    main(build)
