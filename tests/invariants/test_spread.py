"""Laws of domains whose elements stay near their default, and of what is drawn in them."""

import json

import numpy as np
import pytest

from starloom.database import recipe as recipes
from starloom.errors import ConfigError, OutOfRangeError
from starloom.evaluation.error_map import EndCorrection, default_cells
from starloom.evaluation.errors import Cells
from starloom.labels import ELEMENTS, Domain
from starloom.networks.stated_error import StatedError
from starloom.wavelength import Points

pytest.importorskip("scipy.stats")
NEAR = Domain.of(
    {"teff": (4000, 8000), "logg": (1, 5), "mh": (-2, 0.5), "alpha": (-0.2, 0.6)},
    spread={"C": (-0.4, 0.1), "Ca": (-0.3, 0.3), "Ti": (-0.3, 0.3)},
)


def star(alpha, carbon=0.0, calcium=None, titanium=None):
    own = {"Ca": calcium, "Ti": titanium}
    own = {name: alpha if value is None else value for name, value in own.items()}
    return NEAR.array(teff=5000, logg=4, mh=-1, alpha=alpha, C=carbon, **own)


def test_the_default_of_an_element_is_alpha_where_it_follows_it():
    box = dict(zip(NEAR.names, zip(NEAR.low.tolist(), NEAR.high.tolist(), strict=True), strict=True))
    assert (box["C"], box["Ca"]) == ((-0.4, 0.1), (-0.5, pytest.approx(0.9)))
    NEAR.check(star(0.6, calcium=0.9))
    assert not NEAR.contains(star(0.0, calcium=0.4))  # inside the box
    assert NEAR.contains(np.stack([star(0.3, carbon=0.1), star(0.3, carbon=0.2)])).tolist() == [True, False]
    with pytest.raises(OutOfRangeError, match=r"^Ca is -0.4 dex from its default, .* \[-0.3, 0.3\] dex$"):
        NEAR.check(star(0.4, calcium=0.0))
    assert NEAR.clip(star(0.4, calcium=0.0))[NEAR.index("Ca")] == pytest.approx(0.1)
    assert NEAR.contains(NEAR.clip(star(0.9, calcium=-3.0, titanium=9.0)))


def test_it_survives_json_and_a_choice_of_labels():
    again = Domain.from_mapping(json.loads(json.dumps(NEAR.mapping)))
    assert again == NEAR
    assert hash(again) == hash(NEAR)
    assert NEAR.only(*NEAR.names) == NEAR
    assert NEAR.only("alpha", "Ca").spread == {"Ca": (-0.3, 0.3)}
    assert not NEAR.only("Ca", "teff").spread  # nothing says what it follows
    assert Domain(NEAR.labels, NEAR.low, NEAR.high) != NEAR
    assert "spread" not in Domain.of({"teff": (4000, 8000)}).mapping
    assert NEAR.around([NEAR, NEAR]) == NEAR


def test_what_is_not_given_has_its_default():
    """0 for alpha, what alpha makes of an element, and nothing for labels that every star needs."""
    row = NEAR.array(teff=[5000, 6000], logg=4, mh=-1, alpha=[0.1, 0.3], Ti=0.2)
    assert row[:, 3:].tolist() == [[0.1, 0.0, 0.1, 0.2], [0.3, 0.0, 0.3, 0.2]]
    assert NEAR.array(teff=5000, logg=4, mh=-1)[3:].tolist() == [0.0, 0.0, 0.0, 0.0]
    with pytest.raises(ConfigError, match="no label mh"):
        NEAR.array(teff=5000, logg=4)


def test_carbon_has_a_highest_ratio_to_oxygen():
    """Oxygen is its own label, or follows alpha; what is clipped, drawn or chosen keeps the ratio."""
    ranges = {"teff": (4000, 8000), "alpha": (-0.2, 0.6)}
    spread = {"C": (-0.5, 0.5), "O": (-0.5, 0.5)}
    domain = Domain.of(ranges, spread=spread, c_to_o=0.2)
    assert (
        Domain.from_mapping(json.loads(json.dumps(domain.mapping)))
        == domain
        != Domain.of(ranges, None, spread)
    )
    rows = domain.array(teff=5000, alpha=[0.0, 0.3], C=0.4)
    assert domain.contains(rows).tolist() == [False, True]
    assert domain.clip(rows)[:, domain.index("C")].tolist() == [0.2, 0.4]
    with pytest.raises(OutOfRangeError, match=r"^C = 0.4 dex is above 0.2 dex: \[C/O\] is at most 0.2$"):
        domain.check(rows[0])
    assert not domain.contains(domain.array(teff=5000, alpha=0.3, C=0.1, O=-0.15))
    assert domain.only("teff", "alpha", "C").c_to_o == domain.c_to_o == 0.2
    assert domain.only("teff", "alpha").c_to_o == domain.only("teff", "C").c_to_o == np.inf
    assert domain.around([domain, Domain.of(ranges, None, spread, 0.1)]).c_to_o == 0.2
    with pytest.raises(ConfigError, match=r"highest \[C/O\] = nan is no number"):
        Domain.of(ranges, spread=spread, c_to_o=np.nan)


def test_how_far_elements_are_from_their_default_is_a_coordinate():
    """0 where all are there, 1 where all are at an end, whatever alpha; a label is what it is."""
    domain = Domain.of({"alpha": (-0.2, 0.6)}, spread={"N": (-0.5, 0.5), "Ca": (-0.2, 0.2)})
    rows = domain.array(alpha=0.3, N=[0.0, 0.5, 0.0], Ca=[0.3, 0.1, 0.4])
    assert domain.coordinate(ELEMENTS, rows) == pytest.approx([0, 1, np.sqrt(0.25 / 2)])
    assert domain.coordinate("Ca", rows).tolist() == [0.3, 0.1, 0.4]
    cells = Cells(domain, {"alpha": np.array([-0.2, 0.2, 0.6]), ELEMENTS: np.array([0.0, 0.1, 0.6, 1.1])})
    assert cells.of(rows).tolist() == [3, 5, 4]
    with pytest.raises(ConfigError, match="cells of elements"):
        Cells(Domain.of({"alpha": (0, 1)}), {ELEMENTS: np.array([0.0, 1.0])})


def test_what_a_model_states_knows_how_far_elements_are_off():
    """Cells of a domain with elements around their default have an axis more, the correction of ends none."""
    domain = Domain.of({"teff": (4000, 6000), "alpha": (-0.2, 0.6)}, spread={"N": (-0.5, 0.5)})
    edges = default_cells(domain).edges
    assert list(edges) == ["teff", ELEMENTS]
    points = Points("air", "linear", 8400.0, 8401.0, 11)
    shape = 3, 3 * (len(edges["teff"]) - 1), 1
    stated = StatedError(domain, edges, np.arange(1.0, 1 + np.prod(shape)).reshape(shape), points, 20, 100)
    rows = domain.array(teff=4050, alpha=0.2, N=[0.0, 0.1, 0.45])
    assert np.exp(stated.by_band("mean", rows))[:, 0] == pytest.approx([1, 2, 3])
    assert list(EndCorrection(stated)._nodes.reach) == ["teff", "alpha"]
    assert stated.summary["mean"] == pytest.approx(np.exp(np.log(stated.sizes[0])).mean())


def test_stores_of_narrower_and_wider_spreads_make_one_domain():
    near, far = (Domain.of({"alpha": (0, 0)}, spread={"Ca": (-d, d)}) for d in (0.0, 0.4))
    assert near.around([near, far]).spread == {"Ca": (-0.4, 0.4)}


def test_twins_differ_by_one_element():
    """A star and its twins follow each other, in the domain, and in one split, wherever one looks."""
    content = recipes.to_mapping(recipes.load("stars-steps")) | {"intrinsic": 140}
    wanted = recipes.from_mapping(content)
    domain, families = wanted.domain.intrinsic, wanted.intrinsic_labels(0, 140).reshape(10, 14, -1)
    assert domain.contains(families).all()
    changes = families[:, 1:] - families[:, :1]
    elements = [domain.index(name) for name in domain.spread]
    assert np.abs(changes[:, range(13), elements]) == pytest.approx(0.1)
    assert (np.count_nonzero(changes, axis=-1) == 1).all()
    assert (wanted.intrinsic_labels(10, 25) == families.reshape(140, -1)[10:35]).all()
    for rows in wanted.splits().values():
        assert (rows.reshape(-1, 14) // 14 == rows.reshape(-1, 14)[:, :1] // 14).all()
    with pytest.raises(ConfigError, match="no multiple of 14"):
        recipes.from_mapping(content | {"intrinsic": 100})
    for step in (-0.1, 0.6):
        with pytest.raises(ConfigError, match=rf"step = {step:g} dex is outside \[0, 0.5\] dex, half"):
            recipes.from_mapping(content | {"step": step})


@pytest.mark.parametrize("sampling", ["sobol", "uniform"])
def test_elements_are_drawn_around_their_default(sampling):
    """Evenly in the difference, whatever alpha is; point i is the same however many are drawn."""
    content = recipes.to_mapping(recipes.load("elements")) | {"sampling": sampling, "intrinsic": 512}
    wanted = recipes.from_mapping(content)
    drawn = wanted.intrinsic_labels(0, 512)
    domain = wanted.domain.intrinsic
    assert domain.contains(drawn).all()
    alpha, calcium, carbon = (drawn[:, domain.index(name)] for name in ("alpha", "Ca", "C"))
    difference = calcium - alpha
    assert np.abs(difference).max() <= 0.4 + 1e-9
    assert np.histogram(difference, 4, (-0.4, 0.4))[0] == pytest.approx(128, abs=40)
    assert abs(np.corrcoef(difference, alpha)[0, 1]) < 0.15
    assert (carbon.min(), carbon.max()) == (pytest.approx(-0.5, abs=0.02), pytest.approx(0.15, abs=0.02))
    assert np.array_equal(wanted.intrinsic_labels(100, 20), drawn[100:120])
    assert recipes.from_mapping(recipes.to_mapping(wanted)) == wanted


def test_ends_are_those_of_the_difference():
    content = recipes.to_mapping(recipes.load("elements")) | {"ends": 1.0, "intrinsic": 64}
    wanted = recipes.from_mapping(content)
    drawn = wanted.intrinsic_labels(0, 64)
    domain = wanted.domain.intrinsic
    difference = drawn[:, domain.index("Ca")] - drawn[:, domain.index("alpha")]
    assert set(difference.round(6)) == {-0.4, 0.4}
    assert domain.contains(drawn).all()


def test_an_empty_spread_is_refused():
    with pytest.raises(ConfigError, match=r"^the domain of Ca is empty"):
        Domain.of({"teff": (4000, 8000)}, spread={"Ca": (0.1, -0.1)})
