from dataclasses import replace

import numpy as np
import pytest

from starloom import bands
from starloom.labels import TABLE_1
from starloom.networks import weights
from starloom.networks.basis import Basis, principal_components
from starloom.networks.batches import array_batches, mapped, split
from starloom.networks.forward import Dense, Dropout
from starloom.networks.scaling import label_scaling, standard
from starloom.networks.training import Plan
from starloom.paper.networks import (
    Autoencoder,
    Estimator,
    LabelNetwork,
    decoder,
    encoder,
    estimate,
    generator,
    packed_autoencoder,
    packed_estimators,
    packed_generator,
    plain_basis,
)
from starloom.paper.recipe import PAPER_PLANS
from starloom.paper.trainings import fit_autoencoder, fit_estimator, fit_label_network, fit_to_components
from starloom.wavelength import Points

# the points that the networks of `small` have
BAND = replace(bands.load("rvs"), points=Points("air", "linear", 8480.0, 8600.0, 500))


def sizes(network):
    dense = [layer for layer in network.layers if isinstance(layer, Dense)]
    return [dense[0].inputs, *(layer.outputs for layer in dense)], [layer.activation for layer in dense]


def test_table_2():
    network = Autoencoder().initial(0, plain_basis(4000))
    found, activations = sizes(network)
    half = [4000, 1024, 512, 256, 64, 32, 10]
    assert found == half + half[-2::-1]
    assert activations == ["relu"] * 11 + ["linear"]
    assert (encoder(network).outputs, decoder(network).inputs) == (10, 10)


def test_autoencoder_starts_from_the_mean_spectrum():
    design, mean = Autoencoder((4,), 2), np.arange(5.0)
    network = design.initial(seed=0, basis=Basis(mean, np.eye(1, 5), np.ones(1), total_variance=5 * 0.1**2))
    # no bias yet, so the middle network maps the mean spectrum to itself
    np.testing.assert_allclose(network(mean), mean, atol=1e-6)
    assert (encoder(network).outputs, decoder(network).inputs) == (2, 2)


def test_table_3():
    network = LabelNetwork().initial(TABLE_1, np.random.default_rng(0).normal(size=(50, 10)), seed=0)
    found, activations = sizes(network)
    assert found == [6, 5000, 2000, 512, 32, 10]
    assert activations == ["relu"] * 4 + ["linear"]
    dropouts = [(i, layer.rate) for i, layer in enumerate(network.layers) if isinstance(layer, Dropout)]
    assert dropouts == [(2, 0.3), (4, 0.3), (6, 0.3)]


def test_layers_of_one_size_add_to_each_other():
    design = Autoencoder((8, 8), 3, components=12, residual=True)
    spectra = np.random.default_rng(0).normal(size=(40, 30))
    network = design.initial(0, principal_components([spectra], 12))
    added = [layer.residual for layer in network.layers if layer.trained]
    assert added == [False, True, False, False, True, False]
    labels = LabelNetwork((8, 8, 8), 0.1, "silu", residual=True, reciprocal=True)
    network = labels.initial(TABLE_1, np.random.default_rng(0).normal(size=(50, 8)), seed=0)
    assert [layer.residual for layer in network.layers if layer.trained] == [False, True, True, False]
    assert sizes(network)[0] == [7, 8, 8, 8, 8]


def test_table_4():
    network = Estimator().initial(TABLE_1, "logg", seed=0)
    found, activations = sizes(network)
    assert found == [15, 5000, 2000, 1000, 512, 64, 1]
    assert activations == ["relu"] * 5 + ["linear"]
    # "Random Normal" of Keras: standard deviation 0.05
    assert network.parameters[1]["weight"].std() == pytest.approx(0.05, rel=0.01)


def test_optimisers_and_stopping_of_the_paper():
    assert {name: plan.optimiser for name, plan in PAPER_PLANS.items()} == {
        "autoencoder": "adam",
        "labels": "adamax",
        "estimator": "adamax",
    }
    assert {plan.patience for plan in PAPER_PLANS.values()} == {15}


def test_labels_are_scaled_inside_the_networks():
    latents = np.random.default_rng(0).normal(3, 2, (100, 4))
    network = LabelNetwork(hidden=(8, 8)).initial(TABLE_1, latents, seed=0)
    scaled = network.part(0, 1)(np.stack([TABLE_1.low, TABLE_1.high]))
    np.testing.assert_allclose(scaled, [[-1] * 6, [1] * 6], atol=1e-5)
    ends = network.part(len(network.layers) - 1)(np.array([[0.0] * 4, [1.0] * 4]))
    mean, deviation = standard(latents)
    np.testing.assert_allclose(ends, [mean, mean + deviation], rtol=1e-5)
    dead = np.zeros((100, 1))
    assert standard(dead) == (0.0, 1.0)


@pytest.fixture(scope="module")
def small(stand_in, draw_labels):
    """Labels and spectra of 500 points with three lines, for the whole chain at a small size."""
    labels = draw_labels(600, seed=1)
    labels[:, [2, 5]] = 0, 11500  # the stand-in has neither rotation nor resolution
    return labels, stand_in(labels)[:, 1840:2840:2].copy()


@pytest.mark.parametrize("components", [0, 20])
def test_chain_from_labels_to_flux_to_labels(small, tmp_path, components):
    labels, flux = small
    training, validation = split(len(labels), 0.2, seed=0)
    plan = Plan(epochs=80, patience=80, learning_rate=5e-3, schedule="cosine")
    basis = principal_components([flux[training]], 20)
    design = Autoencoder((64, 16), 6, latent_activation="linear", components=components)
    if components:
        known, network = basis.encoder()(flux), design.initial(plan.seed, basis)
        rows = training, validation
        autoencoder = fit_to_components(network, known, known, *rows, plan, basis, 64, first=2).network
    else:
        batches = array_batches((flux,), training, 64, 0), array_batches((flux,), validation)
        autoencoder = fit_autoencoder(design, *batches, plan, basis).network
    assert encoder(autoencoder).outputs == decoder(autoencoder).inputs == 6
    latents = mapped(encoder(autoencoder), (flux,))
    known = LabelNetwork((64, 64), 0.0), TABLE_1
    fit = fit_label_network(*known, labels, latents, training, validation, plan, 64)
    whole = generator(fit.network, autoencoder)
    error = np.std(whole(labels[validation]) - flux[validation])
    constant = np.std(flux[validation] - flux[training].mean(axis=0))
    # that the chain is connected rightly; accuracy is for the real store
    assert error < 0.5 * constant

    weights.save(tmp_path / "g", packed_generator(whole, TABLE_1, BAND, recipe="r"))
    weights.save(tmp_path / "a", packed_autoencoder(autoencoder, TABLE_1, BAND))
    loaded = weights.load(tmp_path / "g", family="generator").networks["generator"]
    np.testing.assert_array_equal(loaded(labels), whole(labels))
    assert weights.load(tmp_path / "a", family="autoencoder").networks["autoencoder"].outputs == 500


def test_estimators_give_labels_in_their_own_units(small, tmp_path):
    labels, flux = small
    training, validation = split(len(labels), 0.2, seed=0)
    basis = principal_components([flux[training]], 8)
    coefficients = basis.encoder()(flux)
    plan = Plan(epochs=40, learning_rate=5e-3, optimiser="adamax")
    design = Estimator(8, (32, 32))
    names = ("teff", "mh")
    arrays = coefficients, labels, training, validation
    fits = {n: fit_estimator(design, TABLE_1, n, *arrays, plan, 64) for n in names}
    path = tmp_path / "estimators"
    found = {name: fit.network for name, fit in fits.items()}
    weights.save(path, packed_estimators(basis, found, TABLE_1, BAND))
    model = weights.load(path, family="estimator")
    assert model.header.names == names
    columns = [TABLE_1.names.index(name) for name in names]
    error = estimate(model, flux[validation]) - labels[validation][:, columns]
    deviation = labels[:, columns].std(axis=0)
    assert (np.sqrt(np.mean(error**2, axis=0)) < 0.3 * deviation).all()
    # the loss is the mean squared error with the label's range as [-1, 1]
    assert fits["teff"].best_loss == pytest.approx(np.mean((error[:, 0] / 5700) ** 2), rel=1e-3)


def test_reciprocal_of_the_temperature_is_scaled_like_a_label():
    scaling = label_scaling(TABLE_1.only("teff", "mh"), reciprocal=True)
    ends = np.array([[3600.0, -1.5], [15000.0, 1.5]], np.float32)
    # float32: 1e-7 of offset over half range
    np.testing.assert_allclose(scaling(ends), [[-1, -1, 1], [1, 1, -1]], atol=1e-6)
