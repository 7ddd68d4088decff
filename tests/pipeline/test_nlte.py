"""Ions out of LTE in recipes, stores and the command, without a spectrum being made."""

from dataclasses import replace

import numpy as np
import pytest

from starloom.database import recipe
from starloom.database.build import check_synthesis, make_chunk
from starloom.errors import ConfigError


@pytest.fixture
def tiny():
    return recipe.load("tiny")


def test_a_recipe_keeps_its_ions(tiny):
    """There and back; without ions a recipe is what it was before it could have any."""
    out_of_lte = replace(tiny, nlte=("Ca II",))
    assert recipe.from_mapping(recipe.to_mapping(out_of_lte)) == out_of_lte
    assert out_of_lte.digest != tiny.digest
    assert "nlte" not in recipe.to_mapping(tiny)


def test_the_synthesiser_is_told(tiny):
    asked = []

    def synthesize(band, nlte=(), **labels):
        asked.append(nlte)
        stars = len(labels["teff"])
        return np.ones((stars, len(band.chunks), band.chunks[0].points), np.float32)

    for ions in ((), ("Ca II",)):
        made = make_chunk(replace(tiny, nlte=ions), tiny.load_band(), synthesize, 0)
        assert made.failure == ""
    assert asked == [(), ("Ca II",)]


def test_an_unknown_ion_is_refused(tiny, command, tmp_path):
    with pytest.raises(ConfigError, match="'Fe I' has no model atom"):
        check_synthesis(replace(tiny, nlte=("Fe I",)))
    words = ["synthesize", "--teff", "5777", "--logg", "4.44", "--mh", "0", "--vmic", "1", "--nlte"]
    code, _, said = command(*words, "Fe I", "-o", tmp_path / "a.fits")
    assert code == 2
    assert "'Fe I' has no model atom, give --nlte Ca II" in said
