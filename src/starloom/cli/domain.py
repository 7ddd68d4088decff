"""``starloom labels``: which labels have an answer."""

from starloom.labels import CORNER_LOGG, CORNER_MH, CORNER_TEFF, LABELS, number


def labels() -> None:
    """Print the labels, their units and ranges, and the corner without atmospheres."""
    print(f"{'label':<12}{'symbol':<9}{'unit':<6}{'from':>6}{'to':>8}   meaning")
    for label in LABELS:
        ends = f"{number(label.low):>6}{number(label.high):>8}"
        print(f"{label.name:<12}{label.symbol:<9}{label.unit or '-':<6}{ends}   {label.description}")
    print("\nNear the radiation limit log g begins higher (linear between these values, constant beyond):")
    print(f"{'teff':>10}" + "".join(f"{f'mh = {number(mh)}':>11}" for mh in CORNER_MH))
    for teff, row in zip(CORNER_TEFF, CORNER_LOGG, strict=True):
        print(f"{number(teff):>10}" + "".join(f"{number(logg):>11}" for logg in row))
