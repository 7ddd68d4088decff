"""A stand-in for synthesis: spectra on a kept grid that are smooth in the labels and cost nothing."""

import json

import numpy as np
import pytest
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

from starloom import bands
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import TABLE_1
from starloom.networks import weights

RVS = bands.load("rvs")
LINES_AA = np.array([8452.0, 8500.4, 8520.9, 8544.4, 8582.0, 8600.8, 8664.5, 8690.2, 8752.9, 8782.3])
EXCITATION = np.linspace(-2.0, 2.5, LINES_AA.size)


def spectra(labels: np.ndarray, grid=RVS.kept[0]) -> np.ndarray:
    """Flux float32[spectrum, point]: Gaussian lines; depth and width vary with teff, logg, mh, vmic."""
    teff, logg, mh, vmic = labels[:, [0, 1, 3, 4]].T[..., None]
    hotness = np.log(teff / 7000.0)
    depth = 0.7 / (1 + np.exp(-(EXCITATION * hotness + 0.5 * mh - 0.5)))
    instrument = SPEED_OF_LIGHT_KMS / RVS.kept_resolution / 2.355
    width = np.sqrt(instrument**2 + (4 + vmic) ** 2 + (3 * (logg - 1) * np.exp(hotness)) ** 2)
    velocity = SPEED_OF_LIGHT_KMS * np.log(grid.wavelength_aa / LINES_AA[:, None])
    profiles = np.exp(-0.5 * (velocity / width[..., None]) ** 2)
    return (1 - np.einsum("sl,slw->sw", depth, profiles)).clip(0).astype(np.float32)


def draw(count: int, seed: int) -> np.ndarray:
    """Labels float64[count, 6] inside the domain; log g stays above its corner."""
    labels = TABLE_1.from_unit(np.random.default_rng(seed).uniform(0, 1, (count, 6)))
    labels[:, 1] = 3.0 + (labels[:, 1] - 2.0) / 1.5
    return labels


@pytest.fixture(scope="session")
def stand_in():
    return spectra


@pytest.fixture(scope="session")
def draw_labels():
    return draw


def rewrite(path, model, kept_resolution=40000.0):
    """Write the model of the packaged band as files of format 1 were: labels with ranges, and no band."""
    weights.save(path, model)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    description = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][weights.KEY])
    del description["hash"], description["header"]["domain"], description["header"]["band"]
    ranges = model.header.domain.ranges
    labels = [{"name": each.name, "unit": each.unit, "low": a, "high": b} for each, a, b in ranges]
    description["header"]["labels"] = labels
    description["header"]["settings"]["kept_resolution"] = kept_resolution
    description["format"] = 1
    tensors = read_tensors(content)
    text = json.dumps({**description, "hash": weights.content_hash(description, tensors)})
    path.write_bytes(tensor_bytes(tensors, metadata={weights.KEY: text}))


@pytest.fixture(scope="session")
def save_first_format():
    return rewrite
