"""What is packaged is what was released, and small enough."""

from importlib.resources import files

import pytest

from starloom import tables

MEGABYTE = 1e6


def test_every_table_has_a_digest_and_every_digest_a_table():
    assert tables.names() == sorted(tables.expected_digests())


@pytest.mark.parametrize("name", tables.names())
def test_content_is_as_released(name):
    assert tables.digest(tables.load(name)) == tables.expected_digests()[name]


@pytest.mark.parametrize("name", tables.names())
def test_arrays_are_plain_and_read_only(name):
    for key, array in tables.load(name).items():
        assert array.dtype.kind in "fiubU", key
        assert not array.flags.writeable, key


def test_tables_are_small():
    sizes = {
        entry.name: entry.stat().st_size for entry in files(tables).iterdir() if entry.name.endswith(".npz")
    }
    assert max(sizes.values()) < 12 * MEGABYTE
    assert sum(sizes.values()) < 25 * MEGABYTE
