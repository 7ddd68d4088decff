"""Abundances of single elements from a fit, as catalogues have them: [X/H], [X/Fe] and A(X).

[M/H] scales iron like all metals that are no label themselves, so [X/Fe] is [X/M], less [Fe/M] where that is
a label; [X/H] = [X/M] + [M/H]; A(X) = [X/H] + A(X) of the Sun by Grevesse & Sauval (1998, Space Sci. Rev. 85,
161), the scale of the synthesis. Errors have the correlations of the fit in them.
"""

import numpy as np

from starloom import tables
from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, Option
from starloom.inference.result import FitResult
from starloom.labels import Domain

SOLAR_SCALE = "Grevesse & Sauval (1998)"


def check(domain: Domain) -> None:
    """Raise ConfigError where fits of a domain's labels have no abundance of an element."""
    if not _elements(domain):
        raise ConfigError("abundances: no element is fitted: ", Option("free"))


def columns(domain: Domain) -> tuple[str, ...]:
    """Names of what ``abundances`` gives, each followed by its error: ``ca_h``, ``ca_fe``, ``a_ca``."""
    return tuple(name for symbol in _elements(domain) for name in _names(symbol))


def abundances(result: FitResult) -> dict[str, tuple[float, float]]:
    """Value and standard deviation [dex] by name, of the elements that were free or held by name."""
    places = {name: index for index, name in enumerate(result.parameters)}
    solar, found = tables.load("abundances")["grevesse_sauval_1998"], {}
    for symbol in _elements(result.domain):
        by_iron, by_hydrogen = np.zeros((2, len(places)))
        by_iron[places[symbol]] = by_hydrogen[places[symbol]] = by_hydrogen[places["mh"]] = 1
        if "Fe" in places and symbol != "Fe":
            by_iron[places["Fe"]] = -1
        sun = float(solar[SYMBOLS.index(symbol)])
        rows = zip(_names(symbol), (by_hydrogen, by_iron, by_hydrogen), (0.0, 0.0, sun), strict=True)
        for name, row, zero in rows:
            error = np.sqrt(row @ result.covariance @ row)
            found[name] = float(row @ result.values + zero), float(error)
    return found


def _elements(domain: Domain) -> tuple[str, ...]:
    known = [name for name in domain.names if name in SYMBOLS[2:]]
    return tuple(known) if "mh" in domain.names else ()


def _names(symbol: str) -> tuple[str, str, str]:
    name = symbol.lower()
    return f"{name}_h", f"{name}_fe", f"a_{name}"
