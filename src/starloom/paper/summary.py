"""The report of a reproduction: its measures beside the paper's, and the paper's figures from our data."""

from pathlib import Path
from typing import Any

import numpy as np

from starloom.database.batches import Draws, drawn_spectra
from starloom.database.figure import figure_one
from starloom.errors import StoreError
from starloom.evaluation.errors import Distribution
from starloom.evaluation.report import Picture, Section, Table, write_report
from starloom.labels import label
from starloom.networks.generator import Generator
from starloom.networks.history import Epoch, read_history
from starloom.paper import plots, published
from starloom.paper.recovery import Recovery, table_rows
from starloom.paper.reproduction import Reproduction

SHOWN = 6  # spectra of figure 8
MEASURES = {
    "mse": "MSE",
    "mae": "MAE",
    "variance_score": "Variance score",
    "r2": "R²",
    "relative_error": "Mean relative error",
}
SIZES = {"mean": "Mean", "p50": "P50", "p95": "P95", "p99": "P99", "largest": "Largest"}


def report(reproduction: Reproduction) -> dict[str, Any]:
    """Draw the figures and write ``report.md`` and ``report.html``."""
    folder = reproduction.folder / "report"
    folder.mkdir(exist_ok=True)
    found = reproduction.result("evaluation")
    if found is None:
        raise StoreError(f"{folder}: the report needs the stage evaluation, which is not finished")
    sections = [
        Section("The data", [_data(reproduction, found), _figure_1(reproduction, folder)]),
        Section("The autoencoder (table 2)", _autoencoder(reproduction, found, folder)),
        Section("The label network (table 3)", _labels(reproduction, folder)),
        Section("Labels to flux", _end_to_end(reproduction, found, folder)),
        Section("Labels found again (tables 4 and 5)", _recovery(reproduction, found, folder)),
        Section("Time", [_times(found)]),
    ]
    title = f"Gebran (2024) reproduced: recipe {reproduction.recipe.name}"
    paths = write_report(folder, title, sections)
    return {"files": [str(path) for path in paths]}


def _data(reproduction: Reproduction, found: dict[str, Any]) -> Table:
    intrinsic = reproduction.result("spectra")["intrinsic"]
    splits = (("training", "train"), ("validation", "validation"), ("test", "test"))
    rows = [[name, str(found["spectra"][name]), str(intrinsic[split])] for name, split in splits]
    return Table("Spectra; no intrinsic spectrum is in two sets.", ["Set", "Spectra", "Intrinsic"], rows)


def _training(reproduction: Reproduction, stage: str) -> str:
    result = reproduction.result(stage)
    minutes, best = result["training_seconds"] / 60, result["best_epoch"] + 1
    done = f"{result['parameters']} parameters, {result['epochs']} epochs in {minutes:.0f} minutes"
    return f"{done}; the weights of epoch {best} are kept."


def _autoencoder(reproduction: Reproduction, found: dict[str, Any], folder: Path) -> list[Any]:
    number = reproduction.recipe.estimator.coefficients
    caption = f"Reconstruction by {number} principal components."
    result = reproduction.result("autoencoder")
    latents = reproduction.recipe.autoencoder.latent
    live = f"{result['live_latents']} of {latents} latents vary over the training spectra."
    text = f"{_training(reproduction, 'autoencoder')} {live}"
    return [
        text,
        measures_table("Reconstruction of spectra.", found["autoencoder"], published.AUTOENCODER),
        measures_table(caption, found["components"], published.COMPONENTS),
        _curve(reproduction, folder, "autoencoder", 3),
        _figure_4(reproduction, folder),
    ]


def _labels(reproduction: Reproduction, folder: Path) -> list[Any]:
    content: list[Any] = [_training(reproduction, "labels"), _curve(reproduction, folder, "labels", 6)]
    if not reproduction.recipe.plans.joint:
        return content
    text = f"Then label network and decoder as one, from labels to flux: {_training(reproduction, 'joint')}"
    return [*content, text, _curve(reproduction, folder, "joint")]


def measures_table(caption: str, sets: dict[str, Any], paper: dict[str, float]) -> Table:
    """A row for each measure: the paper's value and that of each set of spectra."""
    rows = [
        [text, shown(paper.get(name)), *(shown(found[name]) for found in sets.values())]
        for name, text in MEASURES.items()
    ]
    return Table(caption, ["Measure", "Paper", *(name.capitalize() for name in sets)], rows)


def _end_to_end(reproduction: Reproduction, found: dict[str, Any], folder: Path) -> list[Any]:
    errors = found["end_to_end"]
    head = ["", *SIZES.values()]
    rows = [["All", *(shown(errors["overall"][name]) for name in SIZES)]]
    domain, points = reproduction.spectra.domain, reproduction.spectra.band.points
    for each in domain.labels:
        for cell in errors["cells"].get(each.name, ()):
            text = f"{each.name} {cell['low']:g} to {cell['high']:g} {each.unit}".rstrip()
            rows.append([text, *(shown(cell[name]) for name in SIZES)])
    worst = ", ".join(f"{name} = {value:.6g}" for name, value in errors["worst_labels"].items())
    measures = errors["reconstruction"]
    text = "; ".join(f"{text} {shown(measures[name])}" for name, text in MEASURES.items())
    with np.load(reproduction.folder / "evaluation" / "by_wavelength.npz") as arrays:
        by_wavelength = Distribution(**arrays)
    path = plots.save(plots.error_by_wavelength(points, by_wavelength), folder / "error_by_wavelength.png")
    return [
        f"The paper gives no error of its generated spectra. Ours on the test spectra: {text}.",
        Table("Absolute error of the generated flux, overall and by label.", head, rows),
        f"The worst test spectrum has a mean error of {shown(errors['worst_mean'])}: {worst}.",
        Picture(path, "Absolute error of the generated flux by wavelength, over the test spectra."),
        _figure_8(reproduction, folder),
    ]


def _recovery(reproduction: Reproduction, found: dict[str, Any], folder: Path) -> list[Any]:
    content: list[Any] = []
    if found["missing"]:
        content.append(f"Not trained yet: {', '.join(found['missing'])}.")
    if not found["table_5"]:
        return [*content, "No estimator is finished."]
    recovered = tuple(
        Recovery(row["label"], tuple(row["rms"]), tuple(row["mae"])) for row in found["table_5"]
    )
    header, rows = table_rows(recovered)
    trained = [[name, *_training_row(reproduction, f"estimator-{name}")] for name in found["estimators"]]
    with np.load(reproduction.folder / "evaluation" / "differences.npz") as arrays:
        names = [label(name) for name in found["estimators"]]
        figure = plots.figure_9(arrays["test"], arrays["generated"], names)
    path = plots.save(figure, folder / "figure_9.png")
    return [
        *content,
        Table("Root mean square of found minus true labels, the paper's value in brackets.", header, rows),
        Table("The estimators' trainings.", ["Label", "Epochs", "Best", "Minutes"], trained),
        Picture(path, "Figure 9: found minus true labels, for synthesised and generated spectra."),
    ]


def _training_row(reproduction: Reproduction, stage: str) -> list[str]:
    result = reproduction.result(stage)
    return [str(result["epochs"]), str(result["best_epoch"] + 1), f"{result['training_seconds'] / 60:.1f}"]


def _times(found: dict[str, Any]) -> Table:
    timing = found["timing"]
    rows = [
        [
            "one spectrum" if size == "1" else f"one of a batch of {size}",
            shown(published.MILLISECONDS) if size == "1" else "-",
            f"{value:.3g}",
        ]
        for size, value in timing["milliseconds"].items()
    ]
    if "synthesis_seconds" in timing:
        ours = 1e3 * timing["synthesis_seconds"]
        rows.append(["one synthesis", f"{1e3 * published.SYNTHESIS_SECONDS:g}", f"{ours:.3g}"])
    return Table("Time of a spectrum [ms].", ["What", "Paper", "Here"], rows)


def _figure_1(reproduction: Reproduction, folder: Path) -> Picture:
    path = folder / "figure_1.png"
    figure_one(reproduction.opened, path)
    return Picture(path, "Figure 1: a sample of the training spectra, and one of them.")


def _curve(reproduction: Reproduction, folder: Path, stage: str, number: int | None = None) -> Picture:
    """The learning curve of a stage: the paper's figure of this number, if it is one."""
    result = reproduction.result(stage)
    unit = result.get("loss_unit", 1.0)
    rows = [_in_unit(row, unit) for row in read_history(reproduction.folder / stage / "history.csv")]
    path = folder / (f"figure_{number}.png" if number else f"{stage}.png")
    between = reproduction.recipe.autoencoder.components > 0
    rooted = stage == "joint" or (stage == "autoencoder" and between)
    loss = "root mean square error" if rooted else "mean squared error"
    plots.save(plots.learning_curve(rows, result["best_epoch"], loss), path)
    of = {
        "autoencoder": f"the autoencoder, {'in flux' if rooted else 'in flux squared'}",
        "labels": "the label network, in the latents' variance",
        "joint": "label network and decoder as one, in flux",
    }
    return Picture(path, f"Figure {number}: loss of {of[stage]}." if number else f"Loss of {of[stage]}.")


def _in_unit(row: Epoch, unit: float) -> Epoch:
    losses = row.training_loss * unit, row.validation_loss * unit
    return Epoch(row.epoch, *losses, row.learning_rate, row.seconds, row.rate)


def _figure_4(reproduction: Reproduction, folder: Path) -> Picture:
    """The test spectrum whose reconstruction has the median error, of the first 500."""
    spectra, network = reproduction.spectra, reproduction.network("autoencoder")
    rows = spectra.splits["test"][:500]
    flux = spectra.flux(rows)
    again = network(flux)
    middle = np.argsort(np.abs(again - flux).mean(axis=1))[len(rows) // 2]
    star = spectra.domain.symbols(spectra.labels[rows[middle]])
    figure = plots.figure_4(spectra.band.points, flux[middle], again[middle], star)
    caption = "Figure 4: a test spectrum of median error and its reconstruction by the autoencoder."
    return Picture(plots.save(figure, folder / "figure_4.png"), caption)


def _figure_8(reproduction: Reproduction, folder: Path) -> Picture:
    """Test spectra evenly spread over Teff (or the first label), at the paper's resolution."""
    spectra = reproduction.spectra
    domain, rows = spectra.domain, spectra.splits["test"]
    first = domain.index("teff") if "teff" in domain.names else 0
    order = rows[np.argsort(spectra.labels[rows, first])]
    chosen = order[np.linspace(0, len(order) - 1, SHOWN + 2).astype(int)[1:-1]]
    labels, end = spectra.labels[chosen].copy(), ""
    if "resolution" in domain.names:
        labels[:, domain.index("resolution")] = published.SHOWN_RESOLUTION
        labels = domain.clip(labels)
        end = f", at a resolution of {labels[0, domain.index('resolution')]:g}"
    shown = drawn_spectra(reproduction.opened, Draws(spectra.intrinsic[chosen], labels), slice(None))
    generator = Generator.load(reproduction.folder / "generator" / "paper.safetensors")
    again = generator.flux(shown.labels)
    figure = plots.figure_8(spectra.band.points, shown.flux, again, domain, shown.labels)
    caption = f"Figure 8: generated spectra over synthesised test spectra{end}."
    return Picture(plots.save(figure, folder / "figure_8.png"), caption)


def shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if 0.1 <= abs(value) < 1 else f"{value:.3g}"
