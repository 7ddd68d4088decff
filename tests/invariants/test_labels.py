"""The labels: any finite labels are inside the domain, or an error names what is wrong; scaling; units."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from hypothesis import example, given
from hypothesis import strategies as st

from starloom.constants import SYMBOLS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import LABELS, RADIATION_LIMIT, TABLE_1, Domain, Floor, label, number
from starloom.tables import load

SUN = {"teff": 5772.0, "logg": 4.438, "vsini": 1.6, "mh": 0.0, "vmic": 1.0, "resolution": 11500.0}
finite = st.floats(allow_nan=False, allow_infinity=False)
# numbers near the range of each label, so that each one is often inside
near = [st.floats(low - (high - low) / 4, high * 1.25) | finite for _, low, high in TABLE_1.ranges]


def test_ranges_are_those_of_table_1():
    expected = [(3600, 15000), (2, 5), (0, 300), (-1.5, 1.5), (0, 4), (5000, 14500)]  # Gebran (2024), table 1
    assert [(low, high) for _, low, high in TABLE_1.ranges] == expected
    assert TABLE_1.names == ("teff", "logg", "vsini", "mh", "vmic", "resolution")


@given(st.tuples(*near))
@example((15000.0, 2.0, 0.0, 0.0, 0.0, 5000.0))
def test_labels_are_inside_or_named(row):
    row = np.array(row)
    ranges = list(TABLE_1.ranges)
    outside = [k for k, (_, low, high) in enumerate(ranges) if not low <= row[k] <= high]
    corner = not outside and row[1] < RADIATION_LIMIT(row[0], row[3])
    assert TABLE_1.contains(row) == (not outside and not corner)
    if TABLE_1.contains(row):
        TABLE_1.check(row)
        return
    with pytest.raises(OutOfRangeError) as caught:
        TABLE_1.check(row)
    message = str(caught.value)
    assert "\n" not in message
    for k in outside or [1]:
        label, low, high = ranges[k]
        low = low if outside else RADIATION_LIMIT(row[0], row[3])
        unit = f" {label.unit}" if label.unit else ""
        assert (
            f"{label.name} = {number(row[k])}{unit} is outside [{number(low)}, {number(high)}]{unit}"
            in message
        )
    assert message.count("is outside") == len(outside or [1])


def test_message_is_one_line_as_documented():
    with pytest.raises(OutOfRangeError, match=r"^teff = 25000 K is outside \[3600, 15000\] K$"):
        TABLE_1.check(TABLE_1.array(**SUN | {"teff": 25000}))


@pytest.mark.parametrize("name", TABLE_1.names)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_outside(name, value):
    labels = TABLE_1.array(**SUN | {name: value})
    assert not TABLE_1.contains(labels)
    with pytest.raises(OutOfRangeError, match=f"^{name} = {value}"):
        TABLE_1.check(labels)


def test_arrays_name_the_first_wrong_row_and_how_many():
    labels = TABLE_1.array(
        **SUN | {"teff": np.array([5000.0, 5000.0, 20000.0, 5000.0, 20000.0]), "mh": [0, 0, 2, 0, 0]}
    )
    assert TABLE_1.contains(labels).tolist() == [True, True, False, True, False]
    with pytest.raises(
        OutOfRangeError, match=r"^row 2 \(the first of 2 outside, of 5\): teff = .*; mh = 2 dex"
    ):
        TABLE_1.check(labels)
    with pytest.raises(OutOfRangeError, match=r"^row \(1, 0\) \(the first of 1 outside, of 4\)"):
        TABLE_1.check(labels[[0, 1, 2, 3]].reshape(2, 2, 6))
    with pytest.raises(OutOfRangeError, match=r"^teff = 20000 K is outside"):
        TABLE_1.check(labels[2:3])  # of one row no number is needed
    TABLE_1.check(np.empty((0, 6)))


def test_labels_of_another_length_are_refused():
    for labels in (np.zeros(5), 3.0, np.zeros((6, 2))):
        with pytest.raises(ConfigError, match=r"expected \(\.\.\., 6\)"):
            TABLE_1.check(labels)


# Nodes of the C3K grid that are not physical: log g, lowest Teff, lowest [M/H]
UNPHYSICAL = [(2.0, 14750, -1.5), (2.0, 11000, 1.0), (2.5, 12750, 1.25), (2.0, 5000, 1.5)]


@given(st.floats(3600, 15000), st.floats(2, 5), st.floats(-1.5, 1.5))
@example(14500.0, 2.5, 0.75)
@example(10750.0, 2.5, 0.75)
@example(4750.0, 2.5, 1.25)
def test_no_label_inside_needs_an_unphysical_structure(teff, logg, mh):
    """The eight nodes around every label inside the domain exist (those of no weight do not count)."""
    if not TABLE_1.contains(TABLE_1.array(**SUN | {"teff": teff, "logg": logg, "mh": mh})):
        return
    hottest, richest, lowest = np.ceil(teff / 250) * 250, np.ceil(mh * 4) / 4, np.floor(logg * 2) / 2
    for logg_node, teff_node, mh_node in UNPHYSICAL:
        assert not (lowest <= logg_node and hottest >= teff_node and richest >= mh_node)


def test_the_corner_takes_little_of_the_box():
    labels = TABLE_1.from_unit(np.random.default_rng([1, 0]).random((20000, 6)))
    assert TABLE_1.contains(labels).mean() > 0.88  # as measured: 0.89


@given(st.floats(3000, 16000), st.floats(-2, 2), st.floats(0, 1e-3), st.floats(0, 1e-6))
def test_lowest_logg_is_continuous(teff, mh, teff_step, mh_step):
    change = RADIATION_LIMIT(teff + teff_step, mh + mh_step) - RADIATION_LIMIT(teff, mh)
    assert abs(change) <= 0.5 / 250 * 4 * teff_step + 0.5 / 0.25 * 4 * mh_step + 1e-12


def test_lowest_logg_passes_through_its_table():
    floor = RADIATION_LIMIT
    teff, mh = np.meshgrid(floor.teff, floor.mh, indexing="ij")
    np.testing.assert_allclose(floor(teff, mh), floor.logg, rtol=1e-15)


def test_lowest_logg_runs_traced():
    teff, mh = jnp.array([5000.0, 14800.0, 12600.0]), jnp.array([1.5, 0.0, 0.8])
    np.testing.assert_allclose(
        jax.jit(RADIATION_LIMIT)(teff, mh), RADIATION_LIMIT(np.array(teff), np.array(mh)), rtol=1e-6
    )
    labels = jnp.array([[SUN[name] for name in TABLE_1.names], [0.0] * 6])
    assert jax.jit(TABLE_1.contains)(labels).tolist() == [True, False]


@given(st.tuples(*(st.floats(low, high) for _, low, high in TABLE_1.ranges)))
def test_scaling_maps_the_box_and_back(row):
    unit = TABLE_1.to_unit(np.array(row))
    assert (np.abs(unit - 0.5) <= 0.5 + 1e-15).all()
    np.testing.assert_allclose(TABLE_1.from_unit(unit), row, atol=1e-11)  # rounding of 15000


def test_scaling_of_the_ends():
    np.testing.assert_array_equal(TABLE_1.to_unit(TABLE_1.low), 0)
    np.testing.assert_array_equal(TABLE_1.to_unit(TABLE_1.high), 1)
    one_value = Domain.of({"teff": (5000, 5000), "mh": (0, 1)})
    np.testing.assert_array_equal(one_value.to_unit(np.array([5000.0, 0.5])), [0, 0.5])


@given(st.tuples(*near))
def test_clipping_gives_the_nearest_labels_inside(row):
    clipped = TABLE_1.clip(row)
    TABLE_1.check(clipped)
    moved = clipped != np.array(row)
    assert not moved.any() or not TABLE_1.contains(np.array(row))
    # all but log g go to the ends of their ranges, log g not below the floor
    np.testing.assert_array_equal(
        np.delete(clipped, 1), np.delete(np.clip(row, TABLE_1.low, TABLE_1.high), 1)
    )


def test_the_vocabulary_has_labels_without_ranges():
    assert set(LABELS) >= {*TABLE_1.names, "alpha", "vmac", "filling", "Ca", "U", "He"}
    assert "H" not in LABELS
    assert not {"low", "high"} & set(vars(LABELS["teff"]))
    assert LABELS["Ca"].symbol == "[Ca/M]"
    assert tuple(load("abundances")["symbol"]) == SYMBOLS
    with pytest.raises(ConfigError, match=r"label 'colour' is none of teff, .*, nor an element's symbol"):
        label("colour")


def test_a_domain_has_the_labels_it_is_given():
    domain = Domain.of({"mh": (-3, 0.5), "Ca": (-0.5, 0.5), "teff": (4000, 6000), "logg": (0.5, 3)})
    assert domain.names == ("mh", "Ca", "teff", "logg")
    row = domain.array(teff=5000, logg=1.0, mh=-2.0, Ca=0.3)
    assert row.tolist() == [-2.0, 0.3, 5000.0, 1.0]
    domain.check(row)
    with pytest.raises(OutOfRangeError, match=r"^Ca = 0.7 dex is outside \[-0.5, 0.5\] dex$"):
        domain.check(domain.array(teff=5000, logg=1.0, mh=-2.0, Ca=0.7))
    with pytest.raises(ConfigError, match=r"unknown label alpha, no label logg: the labels are mh, Ca"):
        domain.array(teff=5000, mh=-2.0, alpha=0.1)
    assert domain.only("teff", "Ca").names == ("teff", "Ca")
    assert TABLE_1.intrinsic.names == ("teff", "logg", "mh", "vmic")
    filled = TABLE_1.with_label("filling", -0.1, 0.5)
    assert filled.names == (*TABLE_1.names, "filling")
    assert (filled.intrinsic, filled.floor) == (TABLE_1.intrinsic, TABLE_1.floor)
    with pytest.raises(ConfigError, match="label filling is one of the domain's already"):
        filled.with_label("filling", 0, 1)


def test_a_floor_stays_with_the_labels_that_it_needs():
    assert TABLE_1.only("mh", "logg", "teff").floor == TABLE_1.floor == RADIATION_LIMIT.raised(2.0)
    assert TABLE_1.only("logg", "teff").floor is None
    low = TABLE_1.only("mh", "logg", "teff").lowest_logg(np.array([1.5, 2.0, 14000.0]))
    assert low == RADIATION_LIMIT(14000.0, 1.5) == 3.0
    with pytest.raises(ConfigError, match=r"floor: logg \(1, 2\) is no table of 2 teff x 2 mh"):
        Floor((4000.0, 5000.0), (0.0, 1.0), ((2.0, 2.0),))
    with pytest.raises(ConfigError, match=r"floor: teff = .* does not increase"):
        Floor((5000.0, 4000.0), (0.0,), ((2.0,), (2.0,)))


def test_a_floor_in_a_box_has_the_knots_that_it_needs():
    """What lies below the box goes, with its knots; the paper's domain is as models' headers have it."""
    assert TABLE_1.floor.teff == (4500.0, 4750.0, 9000.0, 9250.0, 10500.0, 10750.0, 11500.0, 11750.0)
    assert TABLE_1.floor.logg[0] == (2.0, 2.0, 2.0, 2.0)
    assert TABLE_1.floor.logg[-1] == (2.5, 3.0, 3.0, 3.0)
    assert TABLE_1.floor.raised(2.0) is TABLE_1.floor
    assert Domain.of({"teff": (4000, 9000), "logg": (3, 5), "mh": (-1, 0)}, RADIATION_LIMIT).floor is None


@given(st.floats(3000, 16000), st.floats(-3, 1.5), st.sampled_from([-0.5, 0.0, 1.0, 2.0, 2.5]))
def test_a_raised_floor_is_the_floor_above_the_box(teff, mh, low):
    """Between the knots it is never below what it was or the box, and equal at them."""
    raised = RADIATION_LIMIT.raised(low)
    assert raised(teff, mh) >= max(low, RADIATION_LIMIT(teff, mh)) - 1e-12
    for knot_teff in RADIATION_LIMIT.teff:
        for knot_mh in RADIATION_LIMIT.mh:
            assert raised(knot_teff, knot_mh) == max(low, RADIATION_LIMIT(knot_teff, knot_mh))


@given(st.floats(3600, 15000), st.floats(2, 5), st.floats(-1.5, 1.5))
def test_the_ends_beside_the_floor_are_its_inverse(teff, logg, mh):
    """Below the highest Teff and [M/H] there is an atmosphere, above them there is none."""
    highest = RADIATION_LIMIT.highest_teff(np.array(logg), np.array(mh))
    assert (RADIATION_LIMIT(teff, mh) <= logg) == (teff <= highest) or abs(teff - highest) < 1e-6
    highest = RADIATION_LIMIT.highest_mh(np.array(teff), np.array(logg))
    assert (RADIATION_LIMIT(teff, mh) <= logg) == (mh <= highest) or abs(mh - highest) < 1e-9


def test_a_domain_survives_json():
    for domain in (TABLE_1, TABLE_1.only("resolution", "teff"), Domain.of({"Ca": (-1, 1), "alpha": (0, 1)})):
        found = Domain.from_mapping(json.loads(json.dumps(domain.mapping)))
        assert found == domain
        assert hash(found) == hash(domain)
    with pytest.raises(ConfigError, match="no domain of labels"):
        Domain.from_mapping({"ranges": [["teff"]]})
    with pytest.raises(ConfigError, match="no domain of labels"):
        Domain.from_mapping([])


def test_domain_is_frozen_and_refuses_an_empty_box():
    with pytest.raises(ValueError, match="read-only"):
        TABLE_1.low[0] = 0
    with pytest.raises(ConfigError, match="the domain of teff is empty"):
        Domain(TABLE_1.labels, TABLE_1.high, TABLE_1.low)
    with pytest.raises(ConfigError, match="6 finite numbers"):
        Domain(TABLE_1.labels, TABLE_1.low, [1, 2])
    with pytest.raises(ConfigError, match="twice"):
        Domain((LABELS["mh"], LABELS["mh"]), [0, 0], [1, 1])
    with pytest.raises(ConfigError, match="label 'Xx' is none of"):
        Domain.of({"Xx": (0, 1)})


def test_numbers_arrays_and_quantities_agree():
    plain = TABLE_1.array(**SUN)
    assert plain.shape == (6,)
    assert plain.dtype == np.float64
    quantities = TABLE_1.array(
        teff=5.772 * u.kK,
        logg=4.438 * u.dex(u.cm / u.s**2),
        vsini=1600 * u.m / u.s,
        mh=0 * u.dex,
        vmic=1 * u.km / u.s,
        resolution=11500 * u.one,
    )
    np.testing.assert_allclose(quantities, plain, rtol=1e-15)
    gravity = TABLE_1.array(**SUN | {"logg": 10**2.438 * u.m / u.s**2})
    assert gravity[1] == pytest.approx(4.438, abs=1e-12)
    assert TABLE_1.array(**SUN | {"logg": 4.438 * u.dex})[1] == 4.438


def test_columns_of_a_table_and_broadcasting():
    table = QTable({"teff": [5000.0, 6000.0] * u.K, "mh": MaskedColumn([0.0, 9.0], mask=[False, True])})
    labels = TABLE_1.array(**SUN | {"teff": table["teff"], "mh": table["mh"]})
    assert labels.shape == (2, 6)
    assert labels[:, 0].tolist() == [5000, 6000]
    assert np.isnan(labels[1, 3])  # a masked value is no number, so check refuses it
    assert TABLE_1.array(**SUN | {"teff": [[5000.0], [6000.0]], "logg": [3.0, 4.0, 5.0]}).shape == (2, 3, 6)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("teff", 5000 * u.km, "teff has the unit km, expected K"),
        ("vsini", 3 * u.kg, "vsini has the unit kg, expected km/s"),
        ("logg", 4 * u.K, "logg has the unit K, expected dex"),
        ("mh", 1.0 * u.one, "mh has the unit none, expected dex"),
        ("resolution", 3 * u.AA, "resolution has the unit Angstrom, expected none"),
        ("teff", "hot", "teff = 'hot' is no real number"),
        ("teff", 1j, "teff = 1j is no real number"),
        ("teff", None, "teff = None is no real number"),
        ("teff", [1.0, 2.0, 3.0], "shapes do not match: teff \\(3,\\), logg \\(2,\\)"),
    ],
)
def test_wrong_input_is_named(name, value, message):
    with pytest.raises(ConfigError, match=message):
        TABLE_1.array(**SUN | {"logg": [4.0, 4.0]} | {name: value})


def test_a_star_on_the_papers_floor_has_a_structure():
    """The floor that table 1 cuts to its box is that of the structures, but for rounding."""
    rng = np.random.default_rng(3)
    teff, mh = rng.uniform(3600, 15000, 20000), rng.uniform(-1.5, 1.5, 20000)
    structures = Domain.of({"teff": (3200, 16000), "logg": (-0.5, 5.5), "mh": (-3, 1.5)}, RADIATION_LIMIT)
    assert structures.contains(np.stack([teff, TABLE_1.floor(teff, mh), mh], axis=-1)).all()
