"""``starloom synthesize``: one spectrum by radiative transfer, from labels or from a model atmosphere."""

import hashlib
from enum import StrEnum
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from starloom import compilation
from starloom.cli import assignments, targets
from starloom.errors import ConfigError, ParseError

STAR, SEEN, WRITTEN = "The star", "How it is seen", "What is made"


class Grid(StrEnum):
    """Wavelengths of the result."""

    PAPER = "paper"
    POINTS = "points"
    FULL = "full"


class LineData(StrEnum):
    """Which line data are taken: ``bands.LINES``."""

    LISTED = "listed"
    CALIBRATED = "calibrated"


def _option(panel: str, text: str, *names: str):
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False)


Teff = Annotated[float | None, _option(STAR, "Effective temperature [K].")]
Logg = Annotated[float | None, _option(STAR, "log10 of the surface gravity in cm s-2.")]
Mh = Annotated[float | None, _option(STAR, "[M/H] [dex].")]
Alpha = Annotated[
    float | None,
    _option(STAR, "[alpha/M] [dex] of O, Ne, Mg, Si, S, Ar, Ca and Ti; 0 or the model's own by default."),
]
Vmic = Annotated[float | None, _option(STAR, "Microturbulence [km/s].")]
Model = Annotated[
    Path | None,
    _option(
        STAR,
        "ATLAS9 or MARCS model instead of --teff and --logg; --mh, --alpha and --vmic override its own.",
    ),
]
Elements = Annotated[
    list[str] | None,
    _option(STAR, "[X/M] of one element, as Ca=+0.3, instead of --alpha; not [X/H], not A(X); repeatable."),
]
Carbon = Annotated[float | None, _option(STAR, "12C/13C; 89.4, the Sun's, by default.", "--carbon-ratio")]
Nlte = Annotated[
    list[str] | None, _option(STAR, "Ion out of LTE, as 'Ca II'; repeatable. It is in LTE from 8000 K on.")
]
Filling = Annotated[
    float | None,
    _option(STAR, "Emission in the Ca II triplet's cores over the continuum, -0.1 to 0.6; none by default."),
]
Lines = Annotated[
    LineData, _option(STAR, "Atomic lines as listed (default), or calibrated on the Sun and stars.")
]
Vsini = Annotated[float, _option(SEEN, "Projected rotation velocity [km/s]; 0 by default.")]
Resolution = Annotated[float | None, _option(SEEN, "Resolving power of the instrument; none by default.")]
Velocity = Annotated[float, _option(SEEN, "Velocity away from us [km/s]; 0 by default.", "--rv")]
Mu = Annotated[float | None, _option(SEEN, "Intensity at this cosine, 1 at the disk's centre, not flux.")]
Points = Annotated[
    Grid,
    _option(
        SEEN,
        "full (default): all that is synthesised, of rvs 8388-8812 A; points: those of the band, of rvs "
        "8400.0, 8400.1, ... 8799.9 A, which may be called paper, too.",
    ),
]
BandName = Annotated[
    str, _option(WRITTEN, "Installed band, or its folder; rvs, 8388-8812 A, by default.", "--band")
]
Range = Annotated[
    str | None,
    _option(
        WRITTEN, "Air wavelengths [A] of the band, as 5150:5200; only what they need is computed.", "--range"
    ),
]
Physical = Annotated[bool, _option(SEEN, "Flux in erg s-1 cm-2 A-1, not over its continuum.", "--flux")]
Output = Annotated[Path | None, _option(WRITTEN, "FITS, ECSV or CSV file.", "-o", "--output")]
Plot = Annotated[Path | None, _option(WRITTEN, "Figure with the main lines named: PNG, PDF or SVG.")]
Report = Annotated[str | None, _option(WRITTEN, "A window's strongest lines, as 8540:8545, or all.")]
Overwrite = Annotated[bool, _option(WRITTEN, "Replace files that exist.", "--overwrite")]


def synthesize(
    teff: Teff = None,
    logg: Logg = None,
    mh: Mh = None,
    alpha: Alpha = None,
    vmic: Vmic = None,
    atmosphere: Model = None,
    element: Elements = None,
    carbon: Carbon = None,
    nlte: Nlte = None,
    filling: Filling = None,
    lines: Lines = LineData.LISTED,
    vsini: Vsini = 0.0,
    resolution: Resolution = None,
    velocity: Velocity = 0.0,
    mu: Mu = None,
    grid: Points = Grid.FULL,
    band: BandName = "rvs",
    between: Range = None,
    physical: Physical = False,
    output: Output = None,
    plot: Plot = None,
    line_report: Report = None,
    overwrite: Overwrite = False,
) -> None:
    """Make one spectrum by radiative transfer (plane-parallel layers, LTE); wavelengths are in air."""
    if not (output or plot or line_report):
        raise ConfigError("nothing to make: give --output, --plot or --line-report")
    targets.check_targets([(output, targets.spectrum), (plot, targets.figure)], overwrite, [atmosphere])
    chosen, cut = _band(band, between, grid)
    window = _window(line_report, chosen) if line_report else None
    _check_filling(filling)
    elements = assignments.numbers("--element", element, "SYMBOL=NUMBER, as Ca=+0.3")

    from starloom import synthesis
    from starloom.nlte import checked_ions
    from starloom.physics.abundances import checked_elements
    from starloom.synthesis.lines import draw, listed, report
    from starloom.synthesis.view import View

    points = None if grid == Grid.FULL else chosen.points
    view = View(vsini, resolution, velocity, mu, points, physical, cut)
    labels = {"teff": teff, "logg": logg, "mh": mh, "alpha": alpha, "vmic": vmic}
    structure, origin = _structure(labels, atmosphere)
    checked_elements(elements, structure.mh if mh is None else mh)
    ions = checked_ions(nlte or ())
    compilation.announce()
    start = perf_counter()
    options = {
        "elements": elements,
        "carbon_ratio": carbon,
        "lines": str(lines),
        "nlte": ions,
        "band": chosen,
    }
    star = synthesis.photosphere(structure, mh=mh, alpha=alpha, vmic=vmic, **options)
    made = star.spectrum(mu=mu)
    made = made if filling is None else made.filled(filling)
    spectrum = view.observe(made, origin)
    seconds = perf_counter() - start
    if window or plot:
        found = listed(star, made)
    if output:
        spectrum.write(output, overwrite=overwrite)
    if plot:
        draw(spectrum, found, view.radial_velocity, plot)
    print(f"synthesised in {seconds:.1f} s")
    if window:
        print(report(found, window))
    if output:
        print(f"wrote {output}: {spectrum}")
    if plot:
        print(f"drew {plot}")


def _check_filling(filling: float | None) -> None:
    from starloom.broadening.filling import check_filling

    if filling is not None:
        check_filling(filling)


def _structure(labels: dict, model: Path | None):
    """The atmosphere, from a file or by its labels, and where it comes from."""
    if model:
        for name in ("teff", "logg"):
            if labels[name] is not None:
                raise ConfigError(f"--{name} and --atmosphere exclude each other: the model has its own")
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        return read_model(model), {"atmosphere": model.name, "atmosphere sha256": digest}
    labels["alpha"] = labels["alpha"] or 0.0
    if missing := [f"--{name}" for name, value in labels.items() if value is None]:
        raise ConfigError(f"{', '.join(missing)} missing: give all four labels, or --atmosphere")

    from starloom.synthesis import structure

    return structure(**labels), {"atmosphere": "packaged grid, interpolated"}


def read_model(path: Path):
    """The model atmosphere in a text file, ATLAS9's or MARCS's, told by its first lines; else ParseError."""
    from starloom.atmosphere import read_atlas9, read_marcs

    with path.open("rb") as stream:
        head = stream.read(4096)
    if b"GRAVITY" in head:
        return read_atlas9(path)
    if b"Teff [K]" in head:
        return read_marcs(path)
    raise ParseError(f"{path}: neither an ATLAS9 model (TEFF ... GRAVITY ...) nor a MARCS one (Teff [K])")


def _band(name: str, between: str | None, grid: Grid):
    """The band that is computed, and the air wavelengths [Angstrom] of the result, None for all of it."""
    from starloom import bands

    found = bands.load(name)
    if grid == Grid.PAPER and name != "rvs":
        raise ConfigError(f"--grid paper is that of the band rvs: give --grid points for those of {name}")
    if between is None:
        return found, None
    low, high = _two_wavelengths("--range", between)
    return found.within(found.name, low, high), (low, high)


def _two_wavelengths(option: str, text: str) -> tuple[float, float]:
    """``8540:8545`` as two air wavelengths [Angstrom]."""
    try:
        low, high = (float(word) for word in text.split(":"))
    except ValueError as error:
        rest = ", or all" if option == "--line-report" else ""
        raise ConfigError(f"{option} {text}: expected LOW:HIGH in Angstrom{rest}") from error
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ConfigError(f"{option} {text}: the window is empty")
    return low, high


def _window(text: str, band) -> tuple[float, float]:
    """The window of a report in a band; ``all`` is everything."""
    from starloom.wavelength import from_vacuum

    if text == "all":
        return 0.0, float("inf")
    low, high = _two_wavelengths("--line-report", text)
    first, last = (float(from_vacuum(edge, "air")) for edge in (band.edges_aa[0], band.edges_aa[-1]))
    if high < first or last < low:
        raise ConfigError(f"--line-report {text}: it is outside [{first:.0f}, {last:.0f}] A (air)")
    return low, high
