"""``starloom labels``: which labels of a model have an answer, and which labels there are."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from starloom.cli import console

if TYPE_CHECKING:
    from starloom.labels import Domain


def labels(
    model: Annotated[str, typer.Option(help="Name of an installed model, or a weights file.")] = "default",
    as_json: console.Json = False,
) -> None:
    """Print a model's labels, their units and ranges, the corner without atmospheres, and the vocabulary."""
    from starloom.constants import SYMBOLS
    from starloom.labels import LABELS, number
    from starloom.networks import weights

    domain = weights.load(weights.find(model)).header.domain
    if as_json:
        console.print_json({"model": model, **_content(domain)})
        return
    wide = max(7, *(len(label.symbol) for label in domain.labels)) + 2
    print(f"{'label':<12}{'symbol':<{wide}}{'unit':<6}{'from':>6}{'to':>8}   meaning")
    for label, low, high in domain.ranges:
        ends = f"{number(low):>6}{number(high):>8}"
        print(f"{label.name:<12}{label.symbol:<{wide}}{label.unit or '-':<6}{ends}   {label.description}")
    if floor := domain.floor:
        print(
            "\nNear the radiation limit log g begins higher (linear between these values, constant beyond):"
        )
        print(f"{'teff':>10}" + "".join(f"{f'mh = {number(mh)}':>11}" for mh in floor.mh))
        for teff, row in zip(floor.teff, floor.logg, strict=True):
            print(f"{number(teff):>10}" + "".join(f"{number(logg):>11}" for logg in row))
    print("\nLabels of other models, stores and recipes:")
    for label in LABELS.values():
        if label.name not in domain.names and label.name not in SYMBOLS[2:]:
            print(f"{label.name:<12}{label.symbol:<11}{label.unit or '-':<6}{label.description}")
    print(f"{SYMBOLS[2]} .. {SYMBOLS[-1]:<6}[X/M]      dex   abundance of an element relative to the metals")


def _content(domain: "Domain") -> dict[str, Any]:
    """The same as JSON has it: labels with ranges, the lowest log g over Teff and [M/H], other labels."""
    from starloom.labels import LABELS

    def named(label) -> dict[str, Any]:
        about = {"name": label.name, "symbol": label.symbol, "unit": label.unit}
        return about | {"description": label.description}

    floor = domain.floor
    return {
        "labels": [
            {**named(label), "low": low, "high": high, "default": label.default}
            for label, low, high in domain.ranges
        ],
        "lowest_logg": floor and {"teff": floor.teff, "mh": floor.mh, "logg": floor.logg},
        "other_labels": [named(label) for label in LABELS.values() if label.name not in domain.names],
    }
