"""Stars made by the generator that fits them: what is tested is the fit, not the model."""

import numpy as np
import pytest

from starloom.networks.generator import Generator
from starloom.spectrum import Spectrum

RVS_AA = 8460 + 0.1 * np.arange(2401)
SUN = (5777.0, 4.44, 8.0, 0.1, 1.2, 11500.0)


@pytest.fixture(scope="session")
def model():
    pytest.importorskip("scipy")
    return Generator.load("default")


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
