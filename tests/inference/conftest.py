"""Stars made by the generator that fits them: what is tested is the fit, not the model."""

from dataclasses import replace

import numpy as np
import pytest

from starloom.bands import Band
from starloom.broadening import band_finishes, instrument_variance
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.labels import Domain
from starloom.networks import emulator
from starloom.networks.forward import Dense, Network, linear
from starloom.networks.generator import Generator
from starloom.networks.scaling import label_scaling
from starloom.spectrum import Spectrum

RVS_AA = 8460 + 0.1 * np.arange(2401)
SUN = (5777.0, 4.44, 8.0, 0.1, 1.2, 11500.0)


@pytest.fixture(scope="session")
def model():
    pytest.importorskip("scipy")
    # what it makes itself has lines as it knows them
    return replace(Generator.load("default-2026-lte"), physics=None)


@pytest.fixture(scope="session")
def exact(model):
    """The same as a model that states no errors: for stars that it made itself it has none."""
    return replace(model, stated=None)


@pytest.fixture(scope="session")
def observed(model):
    """Observed spectrum of labels and velocity: tilted, in units of its own, with the noise of [4, seed]."""

    def make(labels=SUN, velocity=35.0, snr=100.0, seed=None, wavelength=RVS_AA, **about):
        about = {"medium": "vacuum", "frame": "barycentric", "error": True} | about
        options = {"wavelength_aa": wavelength, "medium": about["medium"], "radial_velocity": velocity}
        flux = model.flux(np.array(labels), **options).astype(float)
        level = 3.2e-13 * (1 + 0.1 * np.linspace(-1, 1, wavelength.size))
        noise = 0 if seed is None else np.random.default_rng([4, seed]).normal(size=flux.size) / snr
        error = level / snr if about.pop("error") else None
        provenance = {"resolution": labels[5]}
        return Spectrum(wavelength, level * (flux + noise), error=error, provenance=provenance, **about)

    return make


GIANTS = {
    "teff": (3800.0, 5500.0),
    "logg": (0.5, 3.0),
    "mh": (-1.5, 0.5),
    "alpha": (-0.2, 0.6),
    "Ca": (-0.4, 0.4),
    "vsini": (0.0, 60.0),
    "resolution": (6000.0, 14500.0),
}
TOY_BAND = Band.over("toy", 8450.0, 8750.0, 2)
GROUPS, FINEST = 12, 14500.0


def _patterns(grid, width_kms):
    """Groups of lines [group, point], each line one deep; those at the ends of the grid are left out."""
    centres = np.random.default_rng([8, 0]).uniform(8440, 8760, (GROUPS, 6))
    away = SPEED_OF_LIGHT_KMS * np.log(grid.wavelength_aa / centres[..., None])
    inside = (away.min(axis=-1) < -100) & (away.max(axis=-1) > 100)
    return (inside[..., None] * np.exp(-0.5 * (away / width_kms) ** 2)).sum(axis=1)


def _chunk(domain, finish):
    """An emulator whose groups of lines are as deep as a small random network says, in all chunks."""
    patterns = _patterns(finish.grid, (instrument_variance(FINEST) + 5.0**2) ** 0.5)
    continuum = finish.modes(1 - 0.3 * patterns.sum(axis=0, keepdims=True))
    modes = np.concatenate([continuum, finish.modes_of_change(-0.1 * patterns)])
    halves = np.concatenate([modes.real, modes.imag], axis=-1)
    entry = label_scaling(domain.intrinsic)
    layers = Dense(entry.outputs, 24, "tanh"), Dense(24, GROUPS)
    network = entry.then(Network.initial(layers, seed=11)).then(linear(halves[1:], halves[0]))
    return emulator.Emulator(domain, network, finish, 0.6, FINEST)


@pytest.fixture(scope="session")
def toy_of():
    """Makes models of any labels in a band of two chunks; and what they are in a weights file."""
    pytest.importorskip("scipy")

    def make(ranges, **around):
        domain = Domain.of(ranges, **around)
        finishes = band_finishes(TOY_BAND, FINEST, TOY_BAND.points.vacuum_aa)
        return emulator.packed([_chunk(domain, finish) for finish in finishes], TOY_BAND)

    return make


@pytest.fixture(scope="session")
def giants():
    """Ranges of the toy's labels: giants with [alpha/M] and [Ca/M], without microturbulence."""
    return GIANTS


@pytest.fixture(scope="session")
def toy(toy_of):
    """A generator of giants."""
    return Generator.of(toy_of(GIANTS), "toy")
