"""``starloom demo``: the generator at work, on the star of the paper's figure 1 and a main sequence."""

import time
from pathlib import Path
from typing import Annotated

import typer

FIGURE_1 = {"teff": 9950, "logg": 3.5, "vsini": 2, "mh": 0.5, "vmic": 1.3, "resolution": 11500}
# Teff and log g of dwarfs: Pecaut & Mamajek (2013, ApJS 208, 9) and its tables online, rounded
MAIN_SEQUENCE = {
    "K7": (4050, 4.65),
    "K2": (5040, 4.55),
    "G2": (5770, 4.44),
    "F5": (6550, 4.30),
    "A7": (7760, 4.25),
    "A2": (8800, 4.25),
    "B9": (10700, 4.20),
    "B6": (14500, 4.10),
}


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the files; made if needed.")] = Path("demo"),
):
    """Generate the star of the paper's figure 1 and dwarfs from K to B, as FITS files and a figure."""
    import numpy as np

    from starloom import Generator
    from starloom.figures import pyplot
    from starloom.files import check_folder, filling
    from starloom.io import Portion, write_many

    check_folder(folder)
    pyplot()
    generator = Generator.load("default")
    teff, logg = zip(*MAIN_SEQUENCE.values(), strict=True)
    dwarfs = generator.domain.array(teff=teff, logg=logg, vsini=10.0, mh=0.0, vmic=1.5, resolution=11500.0)
    start = time.perf_counter()
    star, sequence = generator.spectrum(generator.domain.array(**FIGURE_1)), generator.spectra(dwarfs)
    seconds = time.perf_counter() - start
    rows = np.arange(1, len(dwarfs) + 1)
    with filling(folder) as made:
        star.write(made / "star.fits")
        write_many(made / "main_sequence.fits", [Portion(rows, sequence)])
        _draw(star, sequence, generator.header.band, made / "spectra.png")
    print(f"{folder}/star.fits: the star of figure 1 of Gebran (2024), {star.title}")
    print(f"{folder}/main_sequence.fits: dwarfs from {', '.join(MAIN_SEQUENCE)}")
    print(f"{folder}/spectra.png: both, with the strongest lines named\n")
    for name, spectrum in [("figure 1", star), *zip(MAIN_SEQUENCE, sequence, strict=True)]:
        low, high = spectrum.error.min(), spectrum.error.max()
        print(f"{name:<9}expected flux error (68 %) {low:.0e} to {high:.0e} of the continuum")
    print(f"{1 + len(dwarfs)} spectra in {1e3 * seconds:.0f} ms by the model 'default'")


def _draw(star, sequence, band, path: Path) -> None:
    """The star with its lines named, and the sequence one above the other."""
    from starloom.figures import BLACK, STYLE, pyplot, save
    from starloom.spectrum.lines import name_lines

    plt = pyplot()
    with plt.rc_context(STYLE):
        figure, (top, bottom) = plt.subplots(2, figsize=(11, 11), height_ratios=(2, 5), layout="constrained")
    star.plot(top, color=BLACK, linewidth=0.8)
    top.set(xlabel="", xlim=(8400, 8800))
    name_lines(top, star, band, star.labels["teff"])
    colours = plt.get_cmap("viridis")(0.75 - (sequence.labels[:, 0] - 3600) / 14000)
    for row, (name, spectrum) in enumerate(zip(MAIN_SEQUENCE, sequence, strict=True)):
        bottom.plot(spectrum.wavelength, spectrum.flux + 0.6 * row, color=colours[row], linewidth=0.8)
        text = f"{name}, {spectrum.labels['teff']:.0f} K"
        bottom.text(8401, 1.03 + 0.6 * row, text, fontsize=8, color=colours[row], va="bottom")
    bottom.set(xlim=(8400, 8800), xlabel="Wavelength in air [Å]", ylabel="Flux / continuum, shifted by 0.6")
    bottom.set_title("Dwarfs of solar composition, v sin i = 10 km/s, R = 11500", fontsize="medium")
    save(figure, path, dpi=120)
