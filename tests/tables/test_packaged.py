"""What is packaged is what was released, and small enough."""

import pytest

from starloom import bands, tables
from starloom.errors import ConfigError

MEGABYTE = 1e6
OWN = sorted({bands.load(name).tables for name in bands.names()})  # and those of other distributions
PLACES = (tables.SHARED, *(place for place in OWN if place.startswith("starloom.")))
EACH = [(name, place) for place in PLACES for name in tables.names(place)]


@pytest.mark.parametrize("place", PLACES)
def test_every_table_has_a_digest_and_every_digest_a_table(place):
    assert tables.names(place) == sorted(tables.expected_digests(place))


@pytest.mark.parametrize(("name", "place"), EACH)
def test_content_is_as_released(name, place):
    assert tables.digest(tables.load(name, place)) == tables.expected_digests(place)[name]


@pytest.mark.parametrize(("name", "place"), EACH)
def test_arrays_are_plain_and_read_only(name, place):
    for key, array in tables.load(name, place).items():
        assert array.dtype.kind in "fiubU", key
        assert not array.flags.writeable, key


def test_tables_are_small():
    found = [tables.folder(place).joinpath(f"{name}.npz") for name, place in EACH]
    sizes = [path.stat().st_size for path in found]
    assert max(sizes) < 12 * MEGABYTE
    assert sum(sizes) < 25 * MEGABYTE


def test_digests_of_a_band_are_those_that_spectra_depend_on():
    digests = tables.synthesis_digests(bands.load("rvs").tables)
    assert {"atomic_lines", "molecular_opacity", "continuum"} <= digests.keys()
    assert "tellurics" not in digests


def test_tables_of_nowhere_are_refused():
    with pytest.raises(ConfigError, match=r"^'no.such.band' is neither a folder nor an installed"):
        tables.load("atomic_lines", "no.such.band")
