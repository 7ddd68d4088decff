import numpy as np
import pytest

from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import TABLE_1
from starloom.paper.published import SETS, TABLE_5
from starloom.paper.recovery import differences, table_5, table_rows

NAMES = TABLE_1.names
RNG = np.random.default_rng(5)
SPREAD = {"training": 1.0, "validation": 1.5, "test": 2.0, "generated": 3.0}
UNIT = np.array([100, 0.03, 5, 0.1, 0.2, 300])
SET = {name: factor * UNIT * RNG.normal(size=(500, 6)) for name, factor in SPREAD.items()}


def test_rows_are_root_mean_square_and_mean_absolute():
    teff, *_ = table_5(SET, NAMES)
    assert teff.label == "teff"
    for index, name in enumerate(SETS):
        assert teff.rms[index] == pytest.approx(np.sqrt(np.mean(SET[name][:, 0] ** 2)))
        assert teff.mae[index] == pytest.approx(np.mean(np.abs(SET[name][:, 0])))
    assert teff.ratio == pytest.approx(teff.rms[3] / teff.rms[2])
    assert all(m <= r for row in table_5(SET, NAMES) for m, r in zip(row.mae, row.rms, strict=True))


def test_table_carries_the_papers_values():
    header, rows = table_rows(table_5(SET, NAMES))
    assert header[1:5] == ["Training", "Validation", "Test", "Generated"]
    assert [row[0] for row in rows][:3] == ["teff [K]", "logg [dex]", "vsini [km/s]"]
    assert rows[0][3].endswith("(120)")
    assert "(" not in rows[5][3]  # the paper has no row for the resolution
    assert len(TABLE_5) == 5


def test_differences():
    labels = RNG.normal(size=(3, 6))
    np.testing.assert_allclose(differences(labels + 1, labels, NAMES), 1)
    spoiled = labels.copy()
    spoiled[2, 3] = np.nan
    with pytest.raises(OutOfRangeError, match="mh of spectrum 2 is not finite"):
        differences(spoiled, labels, NAMES)
    with pytest.raises(ConfigError, match=r"\(3, 5\)"):
        differences(labels[:, :5], labels, NAMES)


def test_all_four_sets_are_needed():
    with pytest.raises(ConfigError, match="needs the sets training, validation, test, generated, got test"):
        table_5({"test": SET["test"]}, NAMES)


def test_labels_beyond_the_papers():
    one = {name: 0.1 * values[:, :1] for name, values in SET.items()}
    (row,) = table_rows(table_5(one, ["Ca"]))[1]
    assert row[0] == "Ca [dex]"
    assert "(" not in row[3]
