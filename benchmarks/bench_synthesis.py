"""How fast spectra are synthesised, where the time goes, and how long other codes take.

``python benchmarks/bench_synthesis.py [--pysme PYTHON]``: every measurement is a process of its own, bound to
a core.  PYTHON is the interpreter of an environment with ``pysme-astro``, which then gets the same structures
and lines.  SYNSPEC's times are those stored with its spectra, where the folder ``shared`` is.
``--together 4 32 ...`` measures so many stars at once instead, on the device that JAX finds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from starloom import bands, sampling, synthesis, tables
from starloom.atmosphere import Atmosphere, interpolate
from starloom.constants import ANGSTROM, BOLTZMANN, KMS
from starloom.physics.abundances import Abundance, Mixture, per_hydrogen
from starloom.physics.continuum import continuous_absorption, continuous_scattering
from starloom.physics.equilibrium import equation_of_state
from starloom.physics.hydrogen import hydrogen_opacity
from starloom.physics.lines import line_opacity, line_profiles
from starloom.physics.molecules import molecular_opacity
from starloom.physics.species import SYMBOLS
from starloom.physics.transfer import (
    Source,
    emergent_intensities,
    flux_quadrature,
    planck,
    scattered_intensity,
)
from starloom.synthesis import photosphere, synthesize_each, synthesize_labels, synthesize_together
from starloom.synthesis.band import BandArrays, band_arrays
from starloom.synthesis.gas import Gas, gas
from starloom.synthesis.photosphere import chunk_windows, half_widths_seen
from starloom.synthesis.radiation import radiate
from starloom.wavelength import air_from_vacuum

RVS = bands.load("rvs")
(GRID,) = RVS.chunks
TEMPERATURES = (4000.0, 5777.0, 8000.0, 12000.0)
LOGG, MH, VMIC = 4.0, 0.0, 2.0
REPEATS = 9
THROUGHPUT_STARS = 40
CORES = sorted(os.sched_getaffinity(0))
LOWEST_AA, HIGHEST_AA, SAMPLING_AA = 8395.0, 8805.0, 0.02  # air; what PySME is asked for
HYDROGEN_LOW_EV = 12.0875  # n = 3
HERE = Path(__file__).resolve()


def bound(core: int, command: list[str], **options) -> subprocess.Popen:
    """A process that may use one core only."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(os.sched_setaffinity, 0, {core}),
        **options,
    )


def child(core: int, *arguments: str) -> subprocess.Popen:
    """This script again, bound to one core."""
    return bound(core, [sys.executable, str(HERE), *arguments])


def answer(process: subprocess.Popen) -> dict:
    """What a process prints last."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a measurement ended with status {process.returncode}")
    return json.loads(out.splitlines()[-1])


def median_seconds(function: Callable, repeats: int = REPEATS) -> float:
    """Median processor time of a function, its first call aside, until JAX has its result.

    On one core that is what a clock shows on an idle machine, and it stays that on a busy one.
    """
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.process_time()
        jax.block_until_ready(function())
        times.append(time.process_time() - start)
    return float(np.median(times))


def peak_gigabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def one_star(teff: float) -> dict:
    """Cold and warm time of a spectrum from its labels, peak memory, and the time of each stage."""
    start = time.process_time()
    np.asarray(synthesize_labels(teff, LOGG, MH, VMIC).flux)
    cold, wall = time.process_time() - start, []
    for number in range(REPEATS):  # labels a little different each time, as in earnest
        before = time.perf_counter()
        np.asarray(synthesize_labels(teff + number, LOGG, MH, VMIC).flux)
        wall.append(time.perf_counter() - before)
    warm = median_seconds(lambda: synthesize_labels(teff, LOGG, MH, VMIC).flux)
    found = {"cold": cold, "warm": warm, "wall": float(np.median(wall)), "memory": peak_gigabytes()}
    return found | {"stages": stages(teff)}


class Star(NamedTuple):
    """What the stages need."""

    atmosphere: Atmosphere
    abundance: Abundance
    vmic: jax.Array
    matter: Gas
    windows: tuple


def prepared(teff: float, band: BandArrays) -> Star:
    """A star up to its gas."""
    known = interpolate(teff, LOGG, MH)
    abundance, vmic = Mixture(MH).abundance, jnp.asarray(VMIC * KMS, jnp.float64)
    solved = photosphere(known, mh=MH, vmic=VMIC)
    return Star(solved.atmosphere, abundance, vmic, solved.gas, solved.windows)


def compiled(function: Callable, *arguments) -> Callable:
    """The compiled function on these arguments."""
    fast = jax.jit(function)
    return lambda: fast(*arguments)


def stages(teff: float) -> dict[str, float]:
    """Seconds of each part of the recipe, compiled alone, and of ``gas`` and ``radiate`` as they run."""
    with jax.enable_x64(True):
        band = band_arrays(RVS)
        star = prepared(teff, band)
        calls = {"structure from labels": lambda: interpolate(teff, LOGG, MH)}
        calls |= gas_stages(star, band) | light_stages(star, band)
        return {name: median_seconds(call) for name, call in calls.items()}


def gas_stages(star: Star, band: BandArrays) -> dict[str, Callable]:
    """The stages of ``gas``, in float64 but for the lines, and the choice of windows."""
    nodes, lines = band.nodes.ravel(), band.lines
    temperature, state = star.atmosphere.temperature, star.matter.state

    def continua(temperature, state):
        absorption = continuous_absorption(nodes, temperature, state)
        scattering = continuous_scattering(nodes, state)
        emission = planck(nodes, temperature)
        return scattered_intensity(absorption, scattering, emission, star.matter.layers)

    return {
        "equation of state": compiled(
            equation_of_state, temperature, star.atmosphere.gas_pressure, star.abundance.per_hydrogen
        ),
        "continuum": compiled(continua, temperature, state),
        "line profiles": compiled(line_profiles, lines, temperature, state, star.vmic),
        "windows": lambda: chunk_windows(band, half_widths_seen(star.atmosphere, star.matter, band)),
        "all of gas": lambda: gas(star.atmosphere, star.abundance, star.vmic, lines, band.nodes, False),
    }


def light_stages(star: Star, band: BandArrays) -> dict[str, Callable]:
    """The stages of ``radiate``, float32."""
    (chunk,), (windows,), (continuum,) = band.chunks, star.windows, star.matter.continua
    molecules, mu = chunk.molecules, flux_quadrature()[0]
    temperature, state, points = star.atmosphere.temperature, star.matter.state, GRID.points
    single = partial(jnp.asarray, dtype=jnp.float32)

    def atoms(profile, windows):
        return line_opacity(profile, chunk.positions, windows, points, chunk.step)

    def hydrogen(weights, *gas):
        return hydrogen_opacity(weights, points, *gas)

    def molecular(temperature, matter, vmic, molecules):
        amounts = jnp.stack([matter.molecule(name) for name in molecules.names])
        return molecular_opacity(amounts, temperature, vmic / KMS, molecules)

    emitted = single(planck(chunk.nodes, temperature)) @ chunk.to_grid
    source = Source(emitted[0], emitted, 0 * emitted)
    total = single(continuum.absorption) @ chunk.to_grid + jax.jit(atoms)(star.matter.profile, windows)
    return {
        "line opacity": compiled(atoms, star.matter.profile, windows),
        "hydrogen": compiled(hydrogen, chunk.hydrogen, temperature, state, star.vmic),
        "molecules": compiled(molecular, temperature, star.matter, star.vmic, molecules),
        "transfer": compiled(emergent_intensities, total, source, star.matter.layers, mu),
        "all of radiate": lambda: radiate(star.atmosphere, star.vmic, star.matter, chunk, windows, mu),
    }


def random_stars(seed: int, count: int) -> np.ndarray:
    """Teff, log g, [M/H] and microturbulence of random stars of the domain."""
    domain = synthesis.domain()
    return sampling.uniform(seed, 0, count, domain.low, domain.high, domain.contains)


def stars_together(count: int) -> None:
    """Print the spectra a second of ``count`` random stars at once, on the device that JAX finds."""
    stars, seconds = random_stars(0, count), []
    for _ in range(4):
        begun = time.perf_counter()
        np.asarray(synthesize_together(stars).flux)
        seconds.append(time.perf_counter() - begun)
    rate, device = count / min(seconds), jax.devices()[0].device_kind
    print(f"| {device} | {count} | {rate:.1f} | {seconds[0]:.1f} | {peak_gigabytes():.2f} |")


def many_stars(seed: int) -> dict:
    """Spectra a second of random stars, once the parent says go."""
    stars = random_stars(seed, THROUGHPUT_STARS)
    for spectrum in synthesize_each(stars[:2]):
        np.asarray(spectrum.flux)
    print("ready", flush=True)
    sys.stdin.readline()
    wall, processor = time.perf_counter(), time.process_time()
    for spectrum in synthesize_each(stars):
        np.asarray(spectrum.flux)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {"rate": len(stars) / wall, "capacity": len(stars) / processor, "memory": peak_gigabytes()}


def throughput(cores: list[int]) -> tuple[float, float, float]:
    """Spectra a second, the same by processor time, and largest memory, of a process a core, all at once."""
    processes = [child(core, "--throughput", str(core)) for core in cores]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [answer(process) for process in processes]
    rates = (sum(one[name] for one in found) for name in ("rate", "capacity"))
    return *rates, max(one["memory"] for one in found)


def write_for_pysme(teff: float, path: str) -> None:
    """The structure and lines of a star as PySME takes them, with our own spectrum to compare."""
    with jax.enable_x64(True):
        star = interpolate(teff, LOGG, MH)
        state = equation_of_state(star.temperature, star.gas_pressure, per_hydrogen(jnp.asarray(MH)))
    lines, paschen = band_arrays(RVS).lines, tables.load("hydrogen_profiles")
    chosen = (paschen["upper_all"] >= 9) & (paschen["upper_all"] <= 30)
    count = int(chosen.sum())
    species = [f"{SYMBOLS[z]} {q + 1}" for z, q in zip(lines.element, lines.charge, strict=True)]
    vacuum = np.append(lines.wavelength / ANGSTROM, paschen["vacuum_wavelength_aa"][chosen])
    columns = {
        "species": np.array(species + ["H 1"] * count),
        "wlcent": air_from_vacuum(vacuum),
        "excit": np.append(lines.energy_low, np.full(count, HYDROGEN_LOW_EV)),
        "gflog": np.append(lines.log_gf, paschen["log_gf"][chosen]),
        "gamrad": np.append(np.log10(lines.gamma_radiative), np.full(count, 8.0)),
        # of hydrogen lines, PySME reads the levels' numbers in the places of the widths
        "gamqst": np.append(lines.log_gamma_stark, np.full(count, 3.0)),
        "gamvw": np.append(lines.log_gamma_waals, paschen["upper_all"][chosen].astype(float)),
        "atom_number": np.append(lines.element + 1.0, np.ones(count)),
    }
    order = np.argsort(columns["wlcent"])
    electrons, temperature = np.asarray(state.electrons), np.asarray(star.temperature)
    spectrum = synthesis.synthesize(star, mh=MH, vmic=VMIC)
    np.savez(
        path,
        **{name: column[order] for name, column in columns.items()},
        rhox=star.column_mass,
        temp=temperature,
        xne=electrons,
        xna=np.asarray(star.gas_pressure) / (BOLTZMANN * temperature) - electrons,
        rho=np.asarray(state.mass_density),
        labels=[teff, LOGG, MH, VMIC],
        wave=np.arange(LOWEST_AA, HIGHEST_AA, SAMPLING_AA),
        ours_aa=air_from_vacuum(GRID.wavelength_aa),
        ours=np.asarray(spectrum.normalized, float),
    )


def compare_pysme(interpreter: str, warm: dict[float, float]) -> None:
    """Print PySME's times beside ours of the same run."""
    columns = ("Teff [K]", "PySME, processor [s]", "ours, warm, processor [s]", "ratio")
    head("Same structures and lines", *columns, "mean difference, full resolution")
    script = str(HERE.with_name("bench_pysme.py"))
    with tempfile.TemporaryDirectory() as folder:
        for teff in TEMPERATURES:
            path = str(Path(folder) / "star.npz")
            answer(child(CORES[0], "--for-pysme", str(teff), path))
            found = answer(
                bound(CORES[0], [interpreter, script, path], cwd=folder, stderr=subprocess.DEVNULL)
            )
            times = f"{found['seconds']:.1f} | {warm[teff]:.3f} | {found['seconds'] / warm[teff]:.0f}"
            print(f"| {teff:.0f} | {times} | {found['difference']:.4f} |", flush=True)


def compare_synspec(warm: dict[float, float]) -> None:
    """Print SYNSPEC's times, stored with its spectra, beside ours at the nearest temperature."""
    folder = HERE.parents[1].parent / "shared" / "reference" / "synspec_atlas9"
    if not folder.exists():
        print("\nno folder 'shared' beside the repository: no times of SYNSPEC")
        return
    head("SYNSPEC", "case", "SYNSPEC [s]", "ours, warm, nearest Teff, processor [s]", "ratio")
    for path in sorted(folder.glob("*.npz"), key=lambda path: float(path.stem[1:].split("g")[0])):
        with np.load(path) as data:
            wall, teff = float(data["wall_s"]), float(data["teff"])
        ours = warm[min(TEMPERATURES, key=lambda known: abs(known - teff))]
        print(f"| {path.stem} | {wall:.1f} | {ours:.3f} | {wall / ours:.0f} |")


def head(title: str, *columns: str) -> None:
    """The head of a Markdown table."""
    print(f"\n{title}\n\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))


def measure(interpreter: str | None) -> None:
    """All measurements, printed as Markdown tables."""
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {len(CORES)} cores, load {os.getloadavg()[0]:.2f}")
    found = {teff: answer(child(CORES[0], "--teff", str(teff))) for teff in TEMPERATURES}
    columns = ("Teff [K]", "warm, processor [s]", "wall [s]", "first call, with compilation [s]", "peak [GB]")
    head("One spectrum from labels, one core, medians", *columns)
    for teff, one in found.items():
        times = f"{one['warm']:.3f} | {one['wall']:.3f} | {one['cold']:.1f}"
        print(f"| {teff:.0f} | {times} | {one['memory']:.2f} |")
    head("Each stage alone [ms of the processor], one core", "stage", *(f"{teff:.0f} K" for teff in found))
    for stage in found[TEMPERATURES[0]]["stages"]:
        print(
            f"| {stage} | " + " | ".join(f"{1e3 * one['stages'][stage]:.1f}" for one in found.values()) + " |"
        )
    head(
        "Random stars", "processes, a core each", "spectra a second", "by processor time", "peak of one [GB]"
    )
    for count in sorted({1, min(2, len(CORES))}):
        rate, capacity, memory = throughput(CORES[:count])
        print(f"| {count} | {rate:.1f} | {capacity:.1f} | {memory:.2f} |", flush=True)
    warm = {teff: one["warm"] for teff, one in found.items()}
    compare_synspec(warm)
    if interpreter:
        compare_pysme(interpreter, warm)


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pysme", metavar="PYTHON", help="interpreter of an environment with pysme-astro")
    parser.add_argument("--together", type=int, nargs="*", metavar="N", help="measure N stars at once only")
    parser.add_argument("--teff", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--throughput", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--for-pysme", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.teff:
        print(json.dumps(one_star(options.teff)))
    elif options.throughput is not None:
        print(json.dumps(many_stars(options.throughput)))
    elif options.for_pysme:
        write_for_pysme(float(options.for_pysme[0]), options.for_pysme[1])
        print("{}")
    elif options.together:
        head(
            "Stars at once",
            "device",
            "stars",
            "spectra a second",
            "first call [s]",
            "memory of the host [GB]",
        )
        for count in options.together:
            stars_together(count)
    else:
        measure(options.pysme)


if __name__ == "__main__":
    sys.exit(main())
