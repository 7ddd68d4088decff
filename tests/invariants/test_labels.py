"""The labels: any finite labels are inside the domain, or an error names what is wrong; scaling; units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from hypothesis import example, given
from hypothesis import strategies as st

from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import (
    CORNER_LOGG,
    CORNER_MH,
    CORNER_TEFF,
    DOMAIN,
    LABELS,
    NAMES,
    Domain,
    as_array,
    lowest_logg,
    number,
)

SUN = {"teff": 5772.0, "logg": 4.438, "vsini": 1.6, "mh": 0.0, "vmic": 1.0, "resolution": 11500.0}
finite = st.floats(allow_nan=False, allow_infinity=False)
# numbers near the range of each label, so that each one is often inside
near = [st.floats(label.low - (label.high - label.low) / 4, label.high * 1.25) | finite for label in LABELS]


def test_ranges_are_those_of_table_1():
    expected = [(3600, 15000), (2, 5), (0, 300), (-1.5, 1.5), (0, 4), (5000, 14500)]  # Gebran (2024), table 1
    assert [(label.low, label.high) for label in LABELS] == expected
    assert NAMES == ("teff", "logg", "vsini", "mh", "vmic", "resolution")


@given(st.tuples(*near))
@example((15000.0, 2.0, 0.0, 0.0, 0.0, 5000.0))
def test_labels_are_inside_or_named(row):
    row = np.array(row)
    outside = [k for k, label in enumerate(LABELS) if not label.low <= row[k] <= label.high]
    corner = not outside and row[1] < lowest_logg(row[0], row[3])
    assert DOMAIN.contains(row) == (not outside and not corner)
    if DOMAIN.contains(row):
        DOMAIN.check(row)
        return
    with pytest.raises(OutOfRangeError) as caught:
        DOMAIN.check(row)
    message = str(caught.value)
    assert "\n" not in message
    for k in outside or [1]:
        label, low = LABELS[k], LABELS[k].low if outside else lowest_logg(row[0], row[3])
        unit = f" {label.unit}" if label.unit else ""
        expected = (
            f"{label.name} = {number(row[k])}{unit} is outside [{number(low)}, {number(label.high)}]{unit}"
        )
        assert expected in message
    assert message.count("is outside") == len(outside or [1])


def test_message_is_one_line_as_documented():
    with pytest.raises(OutOfRangeError, match=r"^teff = 25000 K is outside \[3600, 15000\] K$"):
        DOMAIN.check(as_array(**SUN | {"teff": 25000}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_outside(name, value):
    labels = as_array(**SUN | {name: value})
    assert not DOMAIN.contains(labels)
    with pytest.raises(OutOfRangeError, match=f"^{name} = {value}"):
        DOMAIN.check(labels)


def test_arrays_name_the_first_wrong_row_and_how_many():
    labels = as_array(
        **SUN | {"teff": np.array([5000.0, 5000.0, 20000.0, 5000.0, 20000.0]), "mh": [0, 0, 2, 0, 0]}
    )
    assert DOMAIN.contains(labels).tolist() == [True, True, False, True, False]
    with pytest.raises(
        OutOfRangeError, match=r"^row 2 \(the first of 2 outside, of 5\): teff = .*; mh = 2 dex"
    ):
        DOMAIN.check(labels)
    with pytest.raises(OutOfRangeError, match=r"^row \(1, 0\) \(the first of 1 outside, of 4\)"):
        DOMAIN.check(labels[[0, 1, 2, 3]].reshape(2, 2, 6))
    DOMAIN.check(np.empty((0, 6)))


def test_labels_of_another_length_are_refused():
    for labels in (np.zeros(5), 3.0, np.zeros((6, 2))):
        with pytest.raises(ConfigError, match=r"expected \(\.\.\., 6\)"):
            DOMAIN.check(labels)


# Nodes of the C3K grid that are not physical: log g, lowest Teff, lowest [M/H]
UNPHYSICAL = [(2.0, 14750, -1.5), (2.0, 11000, 1.0), (2.5, 12750, 1.25), (2.0, 5000, 1.5)]


@given(st.floats(3600, 15000), st.floats(2, 5), st.floats(-1.5, 1.5))
@example(14500.0, 2.5, 0.75)
@example(10750.0, 2.5, 0.75)
@example(4750.0, 2.5, 1.25)
def test_no_label_inside_needs_an_unphysical_structure(teff, logg, mh):
    """The eight nodes around every label inside the domain exist (those of no weight do not count)."""
    if not DOMAIN.contains(as_array(**SUN | {"teff": teff, "logg": logg, "mh": mh})):
        return
    hottest, richest, lowest = np.ceil(teff / 250) * 250, np.ceil(mh * 4) / 4, np.floor(logg * 2) / 2
    for logg_node, teff_node, mh_node in UNPHYSICAL:
        assert not (lowest <= logg_node and hottest >= teff_node and richest >= mh_node)


def test_the_corner_takes_little_of_the_box():
    labels = DOMAIN.unscale(np.random.default_rng([1, 0]).uniform(-1, 1, (20000, 6)))
    assert DOMAIN.contains(labels).mean() > 0.88  # as measured: 0.89


@given(st.floats(3000, 16000), st.floats(-2, 2), st.floats(0, 1e-3), st.floats(0, 1e-6))
def test_lowest_logg_is_continuous(teff, mh, teff_step, mh_step):
    change = lowest_logg(teff + teff_step, mh + mh_step) - lowest_logg(teff, mh)
    assert abs(change) <= 0.5 / 250 * 4 * teff_step + 0.5 / 0.25 * 4 * mh_step + 1e-12


def test_lowest_logg_passes_through_its_table():
    teff, mh = np.meshgrid(CORNER_TEFF, CORNER_MH, indexing="ij")
    np.testing.assert_allclose(lowest_logg(teff, mh), CORNER_LOGG, rtol=1e-15)


def test_lowest_logg_runs_traced():
    teff, mh = jnp.array([5000.0, 14800.0, 12600.0]), jnp.array([1.5, 0.0, 0.8])
    np.testing.assert_allclose(
        jax.jit(lowest_logg)(teff, mh), lowest_logg(np.array(teff), np.array(mh)), rtol=1e-6
    )
    labels = jnp.array([[SUN[name] for name in NAMES], [0.0] * 6])
    assert jax.jit(DOMAIN.contains)(labels).tolist() == [True, False]


@given(st.tuples(*(st.floats(label.low, label.high) for label in LABELS)))
def test_scaling_maps_the_box_and_back(row):
    scaled = DOMAIN.scale(np.array(row))
    assert (np.abs(scaled) <= 1 + 1e-15).all()
    np.testing.assert_allclose(DOMAIN.unscale(scaled), row, atol=1e-11)  # rounding of 15000


def test_scaling_of_the_ends():
    np.testing.assert_array_equal(DOMAIN.scale(DOMAIN.low), -1)
    np.testing.assert_array_equal(DOMAIN.scale(DOMAIN.high), 1)


def test_domain_is_frozen_and_refuses_an_empty_box():
    with pytest.raises(ValueError, match="read-only"):
        DOMAIN.low[0] = 0
    with pytest.raises(ConfigError, match="the domain of teff is empty"):
        Domain(DOMAIN.high, DOMAIN.low)
    with pytest.raises(ConfigError, match="6 finite numbers"):
        Domain(DOMAIN.low, [1, 2])


def test_numbers_arrays_and_quantities_agree():
    plain = as_array(**SUN)
    assert plain.shape == (6,)
    assert plain.dtype == np.float64
    quantities = as_array(
        teff=5.772 * u.kK,
        logg=4.438 * u.dex(u.cm / u.s**2),
        vsini=1600 * u.m / u.s,
        mh=0 * u.dex,
        vmic=1 * u.km / u.s,
        resolution=11500 * u.one,
    )
    np.testing.assert_allclose(quantities, plain, rtol=1e-15)
    gravity = as_array(**SUN | {"logg": 10**2.438 * u.m / u.s**2})
    assert gravity[1] == pytest.approx(4.438, abs=1e-12)
    assert as_array(**SUN | {"logg": 4.438 * u.dex})[1] == 4.438


def test_columns_of_a_table_and_broadcasting():
    table = QTable({"teff": [5000.0, 6000.0] * u.K, "mh": MaskedColumn([0.0, 9.0], mask=[False, True])})
    labels = as_array(**SUN | {"teff": table["teff"], "mh": table["mh"]})
    assert labels.shape == (2, 6)
    assert labels[:, 0].tolist() == [5000, 6000]
    assert np.isnan(labels[1, 3])  # a masked value is no number, so check refuses it
    assert as_array(**SUN | {"teff": [[5000.0], [6000.0]], "logg": [3.0, 4.0, 5.0]}).shape == (2, 3, 6)


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
        as_array(**SUN | {"logg": [4.0, 4.0]} | {name: value})
