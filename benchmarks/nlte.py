"""Ca II out of LTE: against another code, how long it takes, and against the Sun and stars.

``python benchmarks/nlte.py OUTPUT [--stars 2000] [--only PART ...]``: prints tables in Markdown and draws the
departures and the cores into the folder OUTPUT. Needs the folder ``shared`` but for ``stars`` and ``time``.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import compare_references
import jax
import jax.numpy as jnp
import numpy as np
import references
from printing import row, table
from references import GRID, PAPER_GRID_AA, RVS, SHARED, seen, seen_elsewhere

from starloom import figures
from starloom.atmosphere import Atmosphere, interpolate
from starloom.broadening import broaden
from starloom.constants import ANGSTROM, SPEED_OF_LIGHT_KMS
from starloom.errors import ConvergenceError
from starloom.nlte import IONS, atom, departures
from starloom.nlte.calcium import WAVELENGTHS, Background, conditions, surroundings
from starloom.nlte.layers import extended
from starloom.nlte.populations import equilibrium
from starloom.physics.abundances import per_hydrogen
from starloom.physics.equilibrium import equation_of_state
from starloom.physics.linelist import LineList
from starloom.synthesis import photosphere, structure, synthesize, synthesize_labels
from starloom.synthesis.band import band_lines
from starloom.synthesis.photosphere import Photosphere, checked_star

FOLDER = SHARED / "reference" / "nlte_ca2"
CALCIUM_VACUUM_AA = np.sort(atom.WAVELENGTH[atom.TRIPLET]) / ANGSTROM
CALCIUM_AA = compare_references.CALCIUM_AA
FORMED = -5.0  # log tau below which departures are compared
COOL = ((4000.0, 4.5, 0.0, 2.0), (4500.0, 2.0, -0.5, 2.0), (5000.0, 3.0, -1.5, 2.0), (5777.0, 4.44, 0.0, 1.0))
HOTTEST = 8000.0


class Node(NamedTuple):
    """One atmosphere of lightweaver's, and what it made of it."""

    name: str
    labels: tuple[float, float, float, float]  # teff, logg, mh, vmic
    data: dict[str, np.ndarray]

    @property
    def layers(self) -> Atmosphere:
        """Its own layers."""
        names = {"log_tau": "log_tau", "column_mass": "column_mass", "temperature": "T", "gas_pressure": "P"}
        return Atmosphere(**{name: jnp.asarray(self.data[key]) for name, key in names.items()})

    def background(self, log_tau) -> Background:
        """Its background at ``WAVELENGTHS`` and these depths."""
        nodes, depths = self.data["bg_wave_vac_A"] * ANGSTROM, self.data["log_tau"]
        parts = []
        for key in ("bg_absorption", "bg_scattering"):
            there = np.array([np.interp(WAVELENGTHS, nodes, row) for row in np.log(self.data[key])])
            here = np.array([np.interp(log_tau, depths, column) for column in there.T]).T
            parts.append(jnp.asarray(np.exp(here)))
        return Background(*parts)


def nodes() -> Iterator[Node]:
    """The reference's nodes, coolest first."""
    for path in sorted(FOLDER.glob("*.npz"), key=lambda path: float(path.stem.split("_")[1])):
        with np.load(path) as content:
            data = dict(content)
        teff, logg, mh = data["labels"][:3].tolist()
        yield Node(path.stem.removeprefix("caii_"), (teff, logg, mh, 1.0 if teff == 5777 else 2.0), data)


def compare_departures(output: Path) -> None:
    """Departures on the reference's own layers and background, and on its layers with ours."""
    lines = band_lines(RVS)
    places = atom.triplet_in(lines)
    prepare, around, solve = jax.jit(conditions), jax.jit(surroundings), jax.jit(equilibrium)
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(2, 4, figsize=(15, 7), layout="constrained")
    table(
        "Largest error of a departure above log tau -5 [%]: five levels, Ca III",
        "node",
        "its background",
        "ours",
    )
    for node, panel in zip(nodes(), panels.flat, strict=True):
        with jax.enable_x64(True):
            five = atom.with_resonance(jax.tree.map(lambda part: jnp.asarray(part[places]), lines))
            layers = node.layers
            state = equation_of_state(
                layers.temperature, layers.gas_pressure, per_hydrogen(jnp.asarray(node.labels[2]))
            )
            turbulence, cells = jnp.asarray(node.labels[3] * 1e5), []
            for background in (node.background(node.data["log_tau"]), around(layers.temperature, state)):
                found = solve(prepare(layers, state, turbulence, five, background))
                error = np.abs(np.exp(np.asarray(found.log_departure)).T / node.data["b"] - 1)
                error = 100 * error[:, node.data["log_tau"] > FORMED].max(axis=1)
                cells.append(f"{error[:-1].max():.1f}, {error[-1]:.1f}")
        row(node.name, *cells)
        panel.plot(node.data["log_tau"], node.data["b"].T, "k", lw=1.5)
        panel.plot(node.data["log_tau"], np.exp(found.log_departure), lw=0.9)
        panel.set(title=node.name, yscale="log", ylim=(1e-2, 20), xlim=(-10, 1.5))
    figure.savefig(output / "departures.png", dpi=70)


def alone(lines: LineList) -> LineList:
    """The list with the triplet alone: all other lines without strength, in their places."""
    log_gf = np.full_like(np.asarray(lines.log_gf), -30.0)
    places = atom.triplet_in(lines)
    log_gf[places] = np.asarray(lines.log_gf)[places]
    return lines._replace(log_gf=log_gf)


def compare_flux(output: Path) -> None:
    """NLTE less LTE at R = 11500 against the reference, on the layers and by the transfer of a synthesis."""
    table(
        "Largest error of NLTE - LTE at R = 11500 (the reference's range)",
        "node",
        "its background",
        "ours",
        "range",
    )
    lines = alone(band_lines(RVS))
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(2, 4, figsize=(15, 7), layout="constrained")
    for node, panel in zip(nodes(), panels.flat, strict=True):
        mh, vmic = node.labels[2:]
        star = structure(*node.labels)
        lte = photosphere(star, mh=mh, vmic=vmic, lines=lines)
        with jax.enable_x64(True):
            on_layers, _, turbulence = checked_star(star, mh=mh, vmic=vmic)
            theirs = node.background(np.asarray(extended(on_layers).log_tau))
            given = (on_layers, turbulence, lte.gas.state, lte.arrays.lines)
            # also where the package itself is in LTE
            found = [departures(*given, teff=5000.0, around=around) for around in (theirs, None)]
        made = [_seen_vacuum(lte)] + [_seen_vacuum(_with(lte, each)) for each in found]
        wave = node.data["wave_vac_A"]
        wanted = _degraded(wave, node.data["flux_nlte"]) - _degraded(wave, node.data["flux_lte"])
        ours = [np.interp(wave, GRID.wavelength_aa, each - made[0]) for each in made[1:]]
        inside = (wave > 8480) & (wave < 8685)
        row(
            node.name,
            *(f"{np.abs(each - wanted)[inside].max():.4f}" for each in ours),
            f"{wanted.min():.3f}..{wanted.max():.3f}",
        )
        panel.plot(wave, wanted, "k", lw=1.2)
        panel.plot(wave, ours[0], lw=0.8)
        panel.plot(wave, ours[1], lw=0.8)
        panel.set(title=node.name, xlim=(8535, 8554))
    figure.savefig(output / "flux.png", dpi=70)


def _with(lte: Photosphere, found) -> Photosphere:
    return replace(lte, gas=lte.gas.out_of_lte(found))


def _seen_vacuum(star: Photosphere) -> np.ndarray:
    return broaden(
        np.asarray(star.spectrum().normalized, float), GRID.step_kms, resolution=references.RESOLUTION
    )


def _degraded(wavelength_aa, flux) -> np.ndarray:
    """The reference's flux at R = 11500, one outside of its range."""
    fine = references.FINE_GRID
    full = np.interp(fine.wavelength_aa, wavelength_aa, flux, left=1.0, right=1.0)
    broad = broaden(full, fine.step_kms, resolution=references.RESOLUTION)
    return np.interp(wavelength_aa, fine.wavelength_aa, broad)


def time_stars(count: int) -> None:
    """Random labels up to 8000 K: does every star settle, and how long does it take."""
    from starloom.synthesis import domain

    known, random = domain(), np.random.default_rng([20, 0])
    seconds, failed = [], []
    while len(seconds) + len(failed) < count:
        star = known.low + (known.high - known.low) * random.random(4)
        star[0] = known.low[0] + (HOTTEST - known.low[0]) * random.random()
        if not known.contains(star):
            continue
        teff, logg, mh, vmic = star.tolist()
        atmosphere = structure(teff, logg, mh, vmic)
        with jax.enable_x64(True):
            given = checked_star(atmosphere, mh=mh, vmic=vmic)
            state = equation_of_state(given[0].temperature, given[0].gas_pressure, given[1].per_hydrogen)
            start = time.process_time()
            try:
                found = departures(given[0], given[2], state, band_lines(RVS), teff=teff)
            except ConvergenceError as error:
                failed.append(f"{teff:.0f}/{logg:.2f}/{mh:+.2f}/{vmic:.1f}: {error}")
                continue
            jax.block_until_ready(found)
        seconds.append(time.process_time() - start)
    milliseconds = 1e3 * np.array(seconds[1:])
    table(
        f"{count} random stars of {known.low[0]:g}-{HOTTEST:g} K",
        "failed",
        "median [ms]",
        "99 % [ms]",
        "longest [ms]",
    )
    row(len(failed), *(f"{np.quantile(milliseconds, q):.0f}" for q in (0.5, 0.99, 1.0)))
    print("\n".join(failed))


def time_whole(repeats: int = 9) -> None:
    """Time of a whole synthesis with Ca II out of LTE over that in LTE, interleaved."""
    table("Whole synthesis, processor time [ms], medians of interleaved runs", "star", "LTE", "NLTE", "ratio")
    ratios = []
    for labels in COOL:
        star, spent = structure(*labels), ([], [])
        for _ in range(repeats + 1):
            for number, ions in enumerate(((), IONS)):
                start = time.process_time()
                jax.block_until_ready(synthesize(star, vmic=labels[3], nlte=ions).chunk_flux)
                spent[number].append(time.process_time() - start)
        lte, nlte = (1e3 * np.median(each[1:]) for each in spent)
        ratios.append(nlte / lte)
        row("/".join(f"{value:g}" for value in labels), f"{lte:.0f}", f"{nlte:.0f}", f"{nlte / lte:.2f}")
    print(f"\nmean ratio {np.mean(ratios):.2f}")


def compare_observed(output: Path) -> None:
    """The Sun's centre and Kepler-409 near the triplet, in LTE and out of it."""
    pyplot = figures.pyplot()
    figure, panels = pyplot.subplots(2, 3, figsize=(14, 8), layout="constrained")
    table("rms near the cores at R = 11500", "star", "physics", "within 1 A", "within 6 A")
    for rank, (name, spectra) in enumerate((("the Sun, mu = 1", _sun), ("Kepler-409", _kepler))):
        for ions, colour in ((), "C0"), (IONS, "C1"):
            place, wanted, ours = spectra(ions)
            far = np.min(np.abs(place[:, None] - CALCIUM_AA), axis=1)
            rms = [np.sqrt(((ours - wanted)[far < reach] ** 2).mean()) for reach in (1.0, 6.0)]
            row(name, f"LTE but {ions[0]}" if ions else "LTE", *(f"{value:.4f}" for value in rms))
            for panel, line in zip(panels[rank], CALCIUM_AA, strict=True):
                panel.plot(place, wanted, "k", lw=1.0)
                panel.plot(place, ours, colour, lw=0.9)
                panel.set(xlim=(line - 6, line + 6), title=f"{name}, {line:.0f}")
    figure.savefig(output / "observed.png", dpi=70)


def _sun(ions: tuple[str, ...]):
    atlas = references.observed("sun_fts_disk_centre")
    rest = atlas.wavelength_aa / (1 + compare_references.GRAVITATIONAL_REDSHIFT / SPEED_OF_LIGHT_KMS)
    with jax.enable_x64(True):
        atmosphere = interpolate(5777.0, 4.44, 0.0)
    spectrum = synthesize(atmosphere, vmic=1.0, mu=1.0, nlte=ions)
    ours = seen(spectrum.normalized)
    vapour = compare_references.telluric_transmission(
        atlas.wavelength_aa, atlas.flux, rest, spectrum.normalized
    )
    wanted = seen_elsewhere(rest, atlas.flux / vapour)
    free = np.min(np.abs(PAPER_GRID_AA[:, None] - CALCIUM_AA), axis=1) > 6
    return PAPER_GRID_AA, wanted * float((ours[free] @ wanted[free]) / (wanted[free] @ wanted[free])), ours


def _kepler(ions: tuple[str, ...]):
    dwarf, inner = references.observed("gaia_rvs_kepler-409"), slice(50, -50)
    place, flux = dwarf.wavelength_aa[inner], dwarf.flux[inner]
    ours = seen(synthesize_labels(5460.0, 4.50, 0.08, 1.0, nlte=ions).normalized, place)
    free = np.min(np.abs(place[:, None] - CALCIUM_AA), axis=1) > 6
    design = np.stack([flux, (place - 8600) / 200 * flux], axis=1)
    return place, design @ np.linalg.lstsq(design[free], ours[free], rcond=None)[0], ours


def main() -> None:
    """Everything, or the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--stars", type=int, default=2000)
    parts: dict[str, Callable] = {
        "departures": lambda: compare_departures(asked.output),
        "flux": lambda: compare_flux(asked.output),
        "time": time_whole,
        "stars": lambda: time_stars(asked.stars),
        "observed": lambda: compare_observed(asked.output),
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        if name in ("stars", "time") or references.present():
            parts[name]()


if __name__ == "__main__":
    main()
