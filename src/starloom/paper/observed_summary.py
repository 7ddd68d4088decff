"""From a library of observed stars to a generator and its report, in a folder.

::

    DIR/recipe.json             the recipe with all its numbers
    DIR/generator/              observed.safetensors: what `starloom generate --model` takes
    DIR/evaluation.json         every measure, by cross-validation
    DIR/generated.npz           stars, their labels and spectra, and what networks generate that know others
    DIR/report/                 report.html, report.md, figures
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from starloom.errors import StoreError
from starloom.evaluation.error_map import ErrorStatement
from starloom.evaluation.errors import Distribution, FluxErrors, label_cells
from starloom.evaluation.report import Picture, Section, Table, write_report
from starloom.files import replacing
from starloom.labels import label
from starloom.locks import locked
from starloom.networks import stated_error, weights
from starloom.networks.identity import digest
from starloom.observed import ObservedLibrary
from starloom.paper import plots, published
from starloom.paper.observed import LABELS, Crossed, NormalisedStars, ObservedRecipe, crossed, trained
from starloom.paper.recovery import table_5, table_rows
from starloom.paper.summary import SHOWN, SIZES, measures_table, shown

FILE = "observed.safetensors"
TOP = 1.4  # of normalised spectra in figure 8


def run(
    recipe: ObservedRecipe,
    library: ObservedLibrary,
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
    device: str | None = None,
) -> None:
    """Cross-validate the networks of a recipe, train the generator, and write all of it to a folder.

    ``say`` gets lines on the way, ``device`` is as of ``training.train``. StoreError where the folder has
    results already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if (folder / "evaluation.json").exists():
            raise StoreError(f"{folder}: finished before; to make it anew, move it away")
        stars = NormalisedStars.of(library, recipe.stars, recipe.near)
        say(
            f"{library.name}: {len(stars)} stars, {len(stars.left_out)} left out; {stars.points.count} points"
        )
        found = crossed(recipe, stars, say=say, device=device)
        say("the generator, by all stars")
        whole = stars.divided(np.arange(len(stars)), recipe.validation)
        network = trained(recipe, whole, estimators=False, device=device).generator
        _write(folder, recipe, library, stars, found, network)


def _write(folder, recipe, library, stars: NormalisedStars, found: Crossed, network) -> None:
    """Generator, measures, spectra and report."""
    for name in ("generator", "report"):
        (folder / name).mkdir(exist_ok=True)
    _json(folder / "recipe.json", asdict(recipe))
    weights.save(
        folder / "generator" / FILE, packed(recipe, library, stars, found, network), recipe.precision
    )
    with replacing(folder / "generated.npz") as temporary:
        arrays = {"names": np.array(stars.names), "labels": stars.labels, "generated": found.generated}
        np.savez_compressed(temporary, flux=stars.spectra, vacuum_aa=stars.points.vacuum_aa, **arrays)
    report(folder / "report", recipe, library, stars, found)
    _json(folder / "evaluation.json", measures(library, stars, found))


def _json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def packed(
    recipe: ObservedRecipe, library: ObservedLibrary, stars: NormalisedStars, found: Crossed, network
) -> weights.Model:
    """The generator as a model for a weights file; it states the errors of the cross-validation."""
    statement = ErrorStatement(stars.domain, stars.points)
    statement.add(stars.labels, found.generated, stars.spectra)
    made = digest([library.digest, asdict(recipe)])
    settings = {"library": library.name, "continuum_aa": recipe.stars.continuum_aa}
    text = card(recipe, library, stars, found)
    header = weights.Header("generator", stars.domain, stars.points, None, made, text, settings)
    model = weights.Model(header, {"generator": network})
    return stated_error.attached(model, statement.result()) if statement.credible else model


def card(recipe: ObservedRecipe, library: ObservedLibrary, stars: NormalisedStars, found: Crossed) -> str:
    """The model card, in Markdown."""
    points, error = stars.points, found.measures["labels"]["test"]
    ends = f"{points.first_aa:.1f} to {points.last_aa:.1f} A in {points.medium}"
    power = np.median(library.resolution) * np.array([library.relative.min(), library.relative.max()])
    return f"""# decoder(NN(labels)) as in Gebran (2024), trained on observed stars alone

{len(stars)} stars of {library.name} ({library.about.get("source", "no source is given")}):
{stars.domain.extent}.
{points.count} points, {ends}, at the library's resolution, {power[0]:.0f} to {power[1]:.0f}.
{_normalisation(recipe)} No model atmosphere's continuum is known.
Labels have an answer where {_near(recipe)}.
Held-out stars, {len(found.parts)} parts: mean absolute error {error.mae:.4f}, noise and label errors with it.
"""


def _normalisation(recipe: ObservedRecipe) -> str:
    width = f"exp(-(d / L)^2), L = {recipe.stars.continuum_aa:g} A"
    return f"Each spectrum is over itself, smoothed by a Gaussian, {width} (Ho et al. 2017, ApJ 836, 5)."


def _near(recipe: ObservedRecipe) -> str:
    near = recipe.near
    sizes = f"{100 * near.teff:g} % in Teff, {near.logg:g} dex in log g and {near.mh:g} dex in [M/H]"
    return f"{near.count} stars lie within an ellipsoid of {sizes}"


def measures(library: ObservedLibrary, stars: NormalisedStars, found: Crossed) -> dict[str, Any]:
    """Every measure as plain data."""
    return {
        "library": {"name": library.name, "digest": library.digest, "left_out": dict(stars.left_out)},
        "stars": len(stars),
        "parts": [part.tolist() for part in found.parts],
        "missing_pixels": int(stars.missing.sum()),
        **{what: {n: asdict(m) for n, m in sets.items()} for what, sets in found.measures.items()},
        "table_5": [asdict(row) for row in table_5(found.apart, LABELS)],
    }


def report(
    folder: Path, recipe: ObservedRecipe, library: ObservedLibrary, stars: NormalisedStars, found: Crossed
) -> None:
    """Draw the figures and write ``report.md`` and ``report.html``."""
    sections = [
        Section("The data", [_data(recipe, library, stars, found)]),
        Section("The autoencoder (table 2)", _autoencoder(recipe, found)),
        Section("Labels to flux (table 3 and the decoder)", _labels_to_flux(stars, found, folder)),
        Section("Labels found again (tables 4 and 5)", _recovery(found, folder)),
    ]
    write_report(folder, f"Gebran (2024) on observed stars: {library.name}, recipe {recipe.name}", sections)


def _data(recipe, library, stars: NormalisedStars, found: Crossed) -> str:
    lacking, points = int(stars.missing.sum()), stars.points
    ends = f"{points.first_aa:.1f} to {points.last_aa:.1f} A in {points.medium}"
    counted = f"{lacking} pixels ({lacking / stars.missing.size:.2%}) are missing and interpolated"
    return " ".join(
        (
            f"{len(stars)} stars of {library.name}, {len(stars.left_out)} left out;",
            f"{points.count} points, {ends}; {counted}. {_normalisation(recipe)}",
            f"Cross-validation by star in {len(found.parts)} parts: test are the stars of a part,",
            f"training and validation ({recipe.validation:.0%}) the others; numbers are over all parts.",
            "Noise of the spectra and errors of the labels are in all of them.",
            f"The generator has an answer where {_near(recipe)}.",
        )
    )


def _autoencoder(recipe: ObservedRecipe, found: Crossed) -> list[Any]:
    number = recipe.estimator.coefficients
    plain = {what: {n: asdict(m) for n, m in sets.items()} for what, sets in found.measures.items()}
    return [
        measures_table("Reconstruction of spectra.", plain["autoencoder"], published.AUTOENCODER),
        measures_table(f"Reconstruction by {number} components.", plain["components"], published.COMPONENTS),
    ]


def _labels_to_flux(stars: NormalisedStars, found: Crossed, folder: Path) -> list[Any]:
    errors = FluxErrors(stars.points.count, label_cells(replace(stars.domain, cloud=None)))
    errors.add(stars.labels, found.generated, stars.spectra)
    rows = [["All", *_sizes(errors.overall, 0)]]
    for name, division in errors.cells.items():
        edges, cells = division.edges[name], errors.by_cell(name)
        for cell in np.flatnonzero(cells.count):
            text = f"{name} {edges[cell]:.4g} to {edges[cell + 1]:.4g} {label(name).unit}"
            rows.append([text, *_sizes(cells, cell)])
    figure = plots.error_by_wavelength(stars.points, errors.by_wavelength)
    path = plots.save(figure, folder / "error_by_wavelength.png")
    plain = {name: asdict(one) for name, one in found.measures["labels"].items()}
    return [
        measures_table("Spectra generated from labels. The paper gives no errors of them.", plain, {}),
        Table("Absolute error of the generated flux of held-out stars.", ["", *SIZES.values()], rows),
        Picture(path, "Absolute error of the generated flux by wavelength, held-out stars."),
        _figure_8(stars, found, folder),
    ]


def _sizes(errors: Distribution, group: int) -> list[str]:
    return [shown(float(getattr(errors, name)[group])) for name in SIZES]


def _figure_8(stars: NormalisedStars, found: Crossed, folder: Path) -> Picture:
    """Stars evenly spread over Teff, each with what networks that do not know it generate."""
    order = np.argsort(stars.labels[:, LABELS.index("teff")])
    chosen = order[np.linspace(0, len(order) - 1, SHOWN + 2).astype(int)[1:-1]]
    known = stars.points, stars.spectra[chosen], found.generated[chosen], stars.domain, stars.labels[chosen]
    figure = plots.figure_8(*known, truth="observed", top=TOP)
    return Picture(
        plots.save(figure, folder / "figure_8.png"), "Figure 8: held-out stars and their generated spectra."
    )


def _recovery(found: Crossed, folder: Path) -> list[Any]:
    header, rows = table_rows(table_5(found.apart, LABELS))
    names = [label(name) for name in LABELS]
    figure = plots.figure_9(found.apart["test"], found.apart["generated"], names, truth="observed")
    path = plots.save(figure, folder / "figure_9.png")
    return [
        Table("Root mean square of found minus known labels, the paper's value in brackets.", header, rows),
        Picture(path, "Figure 9: found minus known labels, for observed and generated spectra."),
    ]
