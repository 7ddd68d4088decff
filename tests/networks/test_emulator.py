from dataclasses import replace
from math import pi

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starloom import bands, broadening
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError, StoreError
from starloom.labels import TABLE_1
from starloom.networks import emulator as emulation
from starloom.networks import weights
from starloom.networks.batches import split
from starloom.networks.emulation import fit_coefficients
from starloom.networks.emulator import CoefficientNetwork, Emulator, RotationTable
from starloom.networks.forward import Network, dense_layers
from starloom.networks.training import Plan

COEFFICIENTS = 24
RVS = bands.load("rvs")
KEPT_AA, OWN_AA = RVS.kept[0].wavelength_aa, RVS.points.vacuum_aa
FINISH = broadening.finish_of(RVS).chunks[0]
INTRINSIC = [TABLE_1.index(name) for name in TABLE_1.intrinsic.names]


@pytest.fixture(scope="module")
def labels(draw_labels):
    return draw_labels(300, seed=8)


@pytest.fixture(scope="module")
def kept(stand_in, labels):
    return stand_in(labels)


@pytest.fixture(scope="module")
def basis(kept):
    return emulation.mode_basis([kept[:150], kept[150:]], COEFFICIENTS, FINISH)


@pytest.fixture(scope="module")
def untrained(basis):
    network = CoefficientNetwork((32, 32), residual=True).initial(TABLE_1.intrinsic, COEFFICIENTS, seed=2)
    return emulation.assembled(TABLE_1, network, basis, FINISH)


def test_rotation_table_equals_the_closed_form():
    table = RotationTable.up_to(200.0, 0.6)
    x = np.random.default_rng(0).uniform(0, 200, 20000).astype(np.float32)
    exact = broadening.rotation_transfer(1 / (2 * pi), x.astype(float), 0.6)
    # 3e-8 of interpolation, 3e-8 of J1, the rest float32
    np.testing.assert_allclose(table(x), exact, atol=4e-7)
    assert table(np.zeros(1, np.float32)) == pytest.approx(1, abs=1e-7)


def test_rotation_table_has_the_slope_of_the_closed_form():
    table = RotationTable.up_to(200.0, 0.3)
    x = np.linspace(0.05, 190, 3000)
    slope = jax.vmap(jax.grad(table))(jnp.asarray(x, jnp.float32))
    ahead, behind = (broadening.rotation_transfer(1 / (2 * pi), x + d, 0.3) for d in (5e-3, -5e-3))
    # differences of the closed form carry its 3e-8 / 1e-2
    np.testing.assert_allclose(slope, (ahead - behind) / 1e-2, atol=2e-5)


@pytest.fixture(scope="module")
def filled(untrained):
    return untrained.filled(-0.1, 0.5)


def with_filling(labels, filling):
    return np.column_stack([labels, np.broadcast_to(filling, len(labels))])


def test_filling_is_added_before_rotation_and_instrument(untrained, filled, labels):
    """Against the emission on a grid ten times as fine, broadened there."""
    rows = labels[:40].copy()
    rows[:, 0] = np.linspace(3600, 8500, 40)
    grid = RVS.kept[0]
    fine = grid.first_aa * np.exp(np.arange(10 * grid.points) * grid.step_kms / 10 / SPEED_OF_LIGHT_KMS)
    amount = np.linspace(-0.1, 0.5, 40) * broadening.chromosphere(rows[:, 0])
    exact = broadening.broaden(
        amount[:, None] * broadening.emission(fine),
        grid.step_kms / 10,
        vsini=rows[:, 2],
        resolution=rows[:, 5],
    )
    exact = np.array([np.interp(OWN_AA, fine, each) for each in exact])
    given = with_filling(rows, np.linspace(-0.1, 0.5, 40))
    added = filled.flux(given).astype(float) - untrained.flux(rows)
    # an untrained network's flux may be large, and float32 has 1e-7 of it
    np.testing.assert_allclose(added, exact, atol=1e-5 * max(1.0, np.abs(untrained.flux(rows)).max()))
    assert not added[rows[:, 0] >= 8000].any()


def test_no_filling_is_the_emulator_without_it(untrained, filled, labels):
    assert filled.domain.names == (*TABLE_1.names, "filling")
    assert filled.domain.intrinsic == TABLE_1.intrinsic
    np.testing.assert_array_equal(filled.flux(with_filling(labels, 0.0)), untrained.flux(labels))


def test_filling_of_fewer_modes_and_in_a_file(filled, labels, tmp_path):
    some = with_filling(labels[:20], 0.3)
    some[:, 5] = np.minimum(some[:, 5], 7000)
    np.testing.assert_allclose(filled.seen(OWN_AA, 7000).spectrum(some), filled.flux(some), atol=1e-5)
    weights.save(tmp_path / "filled.safetensors", emulation.packed([filled], RVS))
    (again,) = emulation.unpacked(weights.load(tmp_path / "filled.safetensors"))
    assert again.domain == filled.domain
    np.testing.assert_allclose(again.flux(some), filled.flux(some), atol=1e-6)


def test_filling_differentiates_by_jax(filled, labels):
    row = jnp.asarray(with_filling(labels[:1], 0.2)[0], jnp.float32).at[0].set(7400.0)
    slope = jax.jacfwd(filled.spectrum)(row)[:, -1]
    one, none = (filled.spectrum(row.at[-1].set(value)) for value in (1.0, 0.0))
    np.testing.assert_allclose(slope, one - none, atol=1e-5 * float(jnp.abs(none).max()))


def test_a_range_of_filling_that_cannot_be(untrained, filled):
    with pytest.raises(OutOfRangeError, match=r"^filling = 0.7 is outside \[-0.1, 0.6\]$"):
        untrained.filled(-0.1, 0.7)
    with pytest.raises(ConfigError, match="label filling is one of the domain's already"):
        filled.filled(-0.1, 0.5)
    domain = TABLE_1.only("mh", "vsini").with_label("filling", 0.0, 0.5)
    network = CoefficientNetwork((4,)).initial(domain.intrinsic, 2 * FINISH.frequency.size, seed=0)
    with pytest.raises(ConfigError, match="label filling needs teff: the labels are mh, vsini, filling"):
        Emulator(domain, network, FINISH, 0.6, 14500.0)


class KnownModes:
    """A network that knows the modes: what is left is the broadening alone."""

    def __init__(self, kept, finish):
        modes = emulation.scaled_modes(kept, finish)
        # all but the constant mode are scaled by sqrt(2)
        scale = np.where(np.arange(modes.shape[-1]) % (modes.shape[-1] // 2) == 0, 1, np.sqrt(2))
        self.modes = modes / scale
        self.inputs, self.outputs = 4, self.modes.shape[-1]

    def __call__(self, labels):
        return self.modes[: len(labels)].astype(np.float32)


def test_flux_with_known_modes_equals_the_exact_broadening(labels, kept):
    rows = slice(0, emulation.PORTION)
    known = KnownModes(kept[rows], FINISH)
    flux = Emulator(TABLE_1, known, FINISH, broadening.LIMB_DARKENING, 14500.0).flux(labels[rows])
    exact = broadening.broaden(
        kept[rows].astype(float),
        RVS.kept[0].step_kms,
        vsini=labels[rows, 2],
        resolution=labels[rows, 5],
        native_resolution=RVS.kept_resolution,
    )
    exact = broadening.point_sampler(KEPT_AA, OWN_AA)(exact)
    # modes left out: 2e-6; float32 of 4000 points: a few 1e-7
    np.testing.assert_allclose(flux, exact, atol=4e-6)


def test_distance_of_scaled_modes_is_the_flux_difference(kept):
    modes = emulation.scaled_modes(kept[:2], FINISH)
    step = RVS.kept[0].step_kms
    left = 1 / np.sqrt(1 / 14500**2 - 1 / 40000**2)
    seen = broadening.broaden(kept[:2].astype(float), step, resolution=left)
    # the stand-in is flat at both ends, so padding or period make no difference
    expected = np.mean((seen[0] - seen[1]) ** 2)
    assert np.sum((modes[0] - modes[1]) ** 2) == pytest.approx(expected, rel=1e-4)


def test_basis_reconstructs_what_it_was_made_from(kept, basis, labels):
    coefficients = emulation.whitened([kept[:100], kept[100:]], basis, FINISH)
    np.testing.assert_allclose(coefficients.std(axis=0), 1, rtol=1e-3)
    modes = emulation.scaled_modes(kept, FINISH)
    residual = np.sum((basis.decoder()(coefficients) - modes) ** 2, axis=1).mean()
    assert residual == pytest.approx(basis.total_variance * basis.unexplained[-1], rel=0.02, abs=1e-12)
    assert basis.unexplained[-1] < 1e-3


def test_emulator_learns_and_stays_within_its_basis(stand_in, draw_labels, basis, labels, kept, tmp_path):
    coefficients = emulation.whitened([kept], basis, FINISH)
    training, validation = split(len(labels), 0.2, seed=0)
    plan = Plan(epochs=150, patience=50, learning_rate=1e-2, schedule="cosine")
    design, inputs = CoefficientNetwork((48, 48)), labels[:, INTRINSIC]
    rows = training, validation
    fit = fit_coefficients(design, TABLE_1.intrinsic, inputs, coefficients, basis.deviation, *rows, plan, 60)
    emulator = emulation.assembled(TABLE_1, fit.network, basis, FINISH)
    exact = FINISH(kept[validation], *labels[validation][:, [2, 5]].T)
    error = np.abs(emulator.flux(labels[validation]) - exact).mean()
    assert error < 5e-3  # 240 spectra and seconds of training; a constant spectrum has 4e-2

    weights.save(tmp_path / "e", emulation.packed([emulator], RVS, recipe="abc", card="card"))
    model = weights.load(tmp_path / "e", family=emulation.FAMILY)
    assert (model.header.recipe, model.header.card) == ("abc", "card")
    (unpacked,) = emulation.unpacked(model)
    np.testing.assert_array_equal(unpacked.flux(labels), emulator.flux(labels))


def test_shapes_portions_and_threads(untrained, labels):
    flux = untrained.flux(labels)
    assert flux.shape == (300, 4000)
    assert flux.dtype == np.float32
    # portions of another size sum matrix products in another order
    np.testing.assert_allclose(untrained.flux(labels[7]), flux[7], atol=3e-6)
    np.testing.assert_array_equal(untrained.flux(labels.reshape(3, 100, 6), threads=1).reshape(300, -1), flux)
    assert np.isfinite(flux).all()


def test_outside_the_domain_is_an_error(untrained, labels):
    wrong = labels.copy()
    wrong[5, 0] = 25000
    with pytest.raises(OutOfRangeError, match=r"row 5 .*teff = 25000 K is outside \[3600, 15000\] K"):
        untrained.flux(wrong)


def test_radial_velocity_shifts_the_spectrum(untrained, labels):
    velocity = 40.0
    shifted = untrained.flux(labels[:3], radial_velocity=velocity)
    factor = np.sqrt((1 + velocity / 299792.458) / (1 - velocity / 299792.458))
    inside = OWN_AA[20:-20]
    there = untrained.on(inside).flux(labels[:3], radial_velocity=np.full(3, velocity))
    at_rest = untrained.on(inside / factor).flux(labels[:3])
    np.testing.assert_allclose(there, at_rest, atol=2e-6)  # float32
    np.testing.assert_allclose(shifted[:, 20:-20], there, atol=2e-6)


def test_jax_gives_the_same_flux_and_true_derivatives(untrained, labels):
    rows = jnp.asarray(labels[:2], jnp.float32)
    # labels rounded to float32: 15000 K to 1e-3 K
    np.testing.assert_allclose(jax.jit(untrained.spectrum)(rows), untrained.flux(labels[:2]), atol=5e-6)
    jacobian = jax.jit(jax.jacfwd(untrained.spectrum))(rows[0])
    assert jacobian.shape == (4000, 6)
    step = (TABLE_1.high - TABLE_1.low) * 2e-3
    for index, name in enumerate(TABLE_1.names):
        ahead, behind = labels[0].copy(), labels[0].copy()
        ahead[index] += step[index]
        behind[index] -= step[index]
        difference = (untrained.flux(ahead) - untrained.flux(behind)).astype(float) / 2
        # float32 noise of 1e-6 in each flux, and the second order of the difference
        np.testing.assert_allclose(
            jacobian[:, index] * step[index],
            difference,
            atol=5e-6 + 0.02 * np.abs(difference).max(),
            err_msg=name,
        )


def test_smooth_in_every_label(untrained, labels):
    """No step between the table's intervals: second differences fall with the square of the step."""
    for index in range(6):
        scan = np.tile(labels[0], (1001, 1))
        scan[:, index] = np.linspace(TABLE_1.low[index], TABLE_1.high[index], 1001)
        scan[:, 1] = np.maximum(scan[:, 1], 3.5)
        curvature = np.abs(np.diff(untrained.flux(scan), 2, axis=0)).max()
        assert curvature < 1e-4, TABLE_1.names[index]


def test_what_is_no_emulator_is_refused(untrained):
    wrong = Network.initial(dense_layers((4, 10), "linear"), seed=0)
    with pytest.raises(ConfigError, match="a network of 4 inputs and 10 outputs is no emulator"):
        replace(untrained, network=wrong)
    model = emulation.packed([untrained], RVS)
    for broken in (replace(model, networks={}), replace(model, header=replace(model.header, settings={}))):
        with pytest.raises(StoreError, match="is no emulator"):
            emulation.unpacked(broken)


def test_a_network_without_teff_has_no_reciprocal_of_it():
    domain = TABLE_1.only("logg", "mh")
    network = CoefficientNetwork((8,)).initial(domain, 3, seed=1)
    assert (network.inputs, network.outputs) == (2, 3)
    assert np.isfinite(network(domain.from_unit(np.full((4, 2), 0.5)))).all()
