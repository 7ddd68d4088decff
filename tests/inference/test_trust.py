"""What the residuals ask for that a fit did not allow, and how far its labels are then believed."""

import json
from statistics import NormalDist

import numpy as np
import pytest

from starloom.inference import figure, fit, table
from starloom.inference.probes import CAUSES, companion
from starloom.inference.settings import Settings
from starloom.inference.setup import Setup
from starloom.inference.trust import FIRED, Doubt, Trust, among, beyond
from starloom.inference.uncertainty import Bounds
from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

WAVELENGTH_AA = 8465 + 0.2 * np.arange(1350)
RANGES = {
    "teff": (3800.0, 5500.0),
    "logg": (0.5, 3.0),
    "mh": (-1.5, 0.5),
    "alpha": (-0.2, 0.6),
    "vsini": (0.0, 60.0),
    "resolution": (6000.0, 14500.0),
}
STAR = {"teff": 4600.0, "logg": 1.4, "mh": -0.5, "alpha": 0.1, "vsini": 9.0, "resolution": 11500.0}
SNR = 150.0


@pytest.fixture(scope="module")
def stars(toy_of):
    return Generator.of(toy_of(RANGES, spread=dict.fromkeys(("O", "Ca"), (-0.5, 0.5))), "stars")


def observed(generator, seed, change=lambda flux: flux, told=11500.0, **labels):
    """The star in motion with noise, after a ``change`` of its flux; ``told``: what is said of R."""
    row = generator.domain.array(**{**STAR, **labels})
    options = {"wavelength_aa": WAVELENGTH_AA, "medium": "vacuum", "radial_velocity": 20.0}
    flux = change(generator.flux(row, **options).astype(float))
    flux += np.random.default_rng([22, seed]).normal(size=flux.size) / SNR
    about = {"medium": "vacuum", "frame": "barycentric", "provenance": {"resolution": told}}
    return Spectrum(WAVELENGTH_AA, flux, error=np.full(flux.size, 1 / SNR), **about)


def lines(*centres_aa):
    """Emission of a tenth of the continuum, 40 km/s wide, at the star's velocity."""
    away = [3e5 * np.log(WAVELENGTH_AA / centre) - 20.0 for centre in centres_aa]
    return 0.1 * sum(np.exp(-((each / 40) ** 2) / 2) for each in away)


ODD = {
    "continuum order 3": (lambda flux: flux * (1 + 0.03 * np.linspace(-1, 1, flux.size) ** 3), {}),
    "emission Ca II 40 km/s": (lambda flux: flux + lines(8500.358, 8544.438, 8664.520), {}),
    "resolution resolution": (lambda flux: flux, {"resolution": 14000.0, "vsini": 0.0}),
    "elements Ca": (lambda flux: flux, {"Ca": 0.5}),
}


@pytest.mark.parametrize("reason", ODD)
def test_what_is_wrong_is_named(stars, reason):
    change, labels = ODD[reason]
    judged = fit(observed(stars, 1, change, **labels), stars, starts=2).trust
    cause, _, name = reason.partition(" ")
    assert judged.doubts[cause].deviations > 4
    assert judged.doubts[cause].name == name
    assert judged.chain[list(CAUSES).index(cause)] != "0"


def test_good_stars_are_let_alone(stars):
    """Of 80 causes of ten stars each fires once in 160, and [alpha/M] is held where it is."""
    found = [
        fit(observed(stars, seed, alpha=0.0), stars, starts=2, fixed={"alpha": 0.0}) for seed in range(10)
    ]
    assert sum(each.trust.chain != "0" * len(CAUSES) for each in found) <= 3
    amplitudes = np.array([each.trust.doubts["held"].amplitude for each in found])
    assert np.abs(amplitudes).max() < 0.1  # dex, known to some 0.02
    assert max(each.trust.doubts["held"].deviations for each in found) < 3.5


def test_a_label_beyond_its_range_is_told():
    """The one that is pulled furthest; as many errors as it would go beyond the labels are off."""
    bounds = Bounds(("mh", "teff"), True, np.zeros(7), {"mh": 3.5, "teff": 6.0})
    assert beyond(bounds) == Doubt("range", "teff", 6.0, 6.0)
    assert beyond(Bounds((), False, np.zeros(7), {})) == Doubt("range")


@pytest.mark.parametrize(("deviation", "trials"), [(2.0, 1), (3.0, 12), (4.5, 40), (-1.0, 5), (3.0, 0.5)])
def test_the_best_of_several_is_as_improbable(deviation, trials):
    """P(none of n beyond) is the n-th power of that of one."""
    normal = NormalDist()
    none = normal.cdf(deviation) ** trials
    assert normal.cdf(among(deviation, trials)) == pytest.approx(none, rel=1e-9)


def test_the_best_of_several_far_out():
    """Where 1 - P is all that is left: 72 trials of 12 deviations are worth 0.36 less."""
    assert among(30.0, 1) == pytest.approx(30.0, rel=1e-6)
    assert 11.6 < among(12.0, 72) < 11.7
    assert np.all(np.diff([among(z, 10) for z in np.linspace(-3, 40, 200)]) > 0)


def test_grades_are_of_what_the_labels_move():
    """As a chain of digits, one for each cause; the worst is the one that moves labels most."""
    doubts = {cause: Doubt(cause) for cause in CAUSES}
    doubts["elements"] = Doubt("elements", "Ca", 9.0, 0.4)
    doubts["companion"] = Doubt("companion", "1 Teff, +36 km/s", 4.0, 3.4)
    doubts["continuum"] = Doubt("continuum", "order 3", FIRED - 0.1, 8.0)
    judged = Trust(0.5, doubts)
    assert judged.chain == "01009000"
    assert judged.worst is doubts["companion"]
    assert judged.reason == "companion 1 Teff, +36 km/s"
    assert Trust(0.9, {cause: Doubt(cause) for cause in CAUSES}).reason == ""


def test_it_stands_in_text_file_and_table(stars, tmp_path):
    result = fit(observed(stars, 1, ODD["continuum order 3"][0]), stars, starts=2)
    assert 0 <= result.trust.value <= 1
    assert f"trust {result.trust.value:.2f} ({result.trust.chain})" in figure.text(result)
    assert "? continuum order 3" in figure.text(result)
    result.write(tmp_path / "best.ecsv")
    told = Spectrum.read(tmp_path / "best.ecsv").provenance["fit"]["trust"]
    assert json.loads(json.dumps(told["value"])) == result.trust.value
    row = table.row_of(1, "star", result, table.FitColumns(result.domain))
    assert (row["trust"], row["trust_chain"]) == (result.trust.value, result.trust.chain)
    assert row["doubt"] == result.trust.reason
    assert np.isnan(row["composite_ratio"])


def test_it_can_be_left_out(stars):
    result = fit(observed(stars, 1), stars, starts=2, trust=False)
    assert result.trust is None
    assert "trust" not in figure.text(result)
    row = table.row_of(1, "star", result, table.FitColumns(result.domain))
    assert np.isnan(row["trust"])
    assert "trust" not in Settings().about


def test_a_companion_is_inside_the_domain(stars):
    """Cooler by a tenth: 0.09 dex more gravity by a dwarf's mass and radius; and slow."""
    setup = Setup(stars, Settings())
    labels = setup.domain.array(**STAR)[None]
    other = dict(zip(setup.domain.names, companion(setup, labels, 0.9)[0], strict=True))
    assert other["teff"] == pytest.approx(4140)
    assert other["logg"] == pytest.approx(1.4 + 2 * np.log10(1 / 0.9))
    assert other["vsini"] == 8.0
    assert dict(zip(setup.domain.names, companion(setup, labels, 0.5)[0], strict=True))["teff"] == 3800
