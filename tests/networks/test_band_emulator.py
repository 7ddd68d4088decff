"""Several chunks of a band as one: against one chunk over the same range, from the same smooth spectra."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from starloom import broadening
from starloom.bands import Band
from starloom.broadening import LIMB_DARKENING, finish_of
from starloom.errors import ConfigError, OutOfRangeError, StoreError
from starloom.labels import TABLE_1, Domain
from starloom.networks import emulator as emulation
from starloom.networks import weights
from starloom.networks.band_emulator import BandEmulator, joined
from starloom.networks.emulator import CoefficientNetwork, Emulator
from starloom.networks.forward import linear
from starloom.networks.generator import Generator
from starloom.wavelength import vacuum_from_air

FINEST = 14500.0
RANGE_AA = 8400.0, 8799.9
WHOLE = Band.over("whole", *RANGE_AA)
DENSE_AA = vacuum_from_air(np.arange(8400.5, 8799.5, 0.03))


def emulators(stand_in, draw_labels, band):
    """Of each chunk: the same mixture of the same few spectra, which changes smoothly with the labels."""
    labels = draw_labels(12, seed=3)
    mixing = CoefficientNetwork((24,), "sigmoid").initial(TABLE_1.intrinsic, 12, seed=5)
    made = []
    for grid, finish in zip(band.kept, finish_of(band).chunks, strict=True):
        modes = finish.modes(stand_in(labels, grid).astype(float))
        modes = np.concatenate([modes.real, modes.imag], axis=-1) / 6
        # the modes of a spectrum that is 1 everywhere, less its lines
        continuum = np.eye(1, modes.shape[-1])[0]
        lines = modes - continuum / 6
        network = mixing.then(linear(lines, continuum + lines.sum(axis=0)))
        # kept spectra are seen at R = 40000, these modes as they are
        made.append(Emulator(TABLE_1, network, finish, LIMB_DARKENING, band.kept_resolution))
    return made


@pytest.fixture(scope="module", params=[2, 3])
def band(request):
    return Band.over("parts", *RANGE_AA, request.param)


@pytest.fixture(scope="module")
def whole(stand_in, draw_labels):
    return emulators(stand_in, draw_labels, WHOLE)


@pytest.fixture(scope="module")
def chunks(stand_in, draw_labels, band):
    return emulators(stand_in, draw_labels, band)


def stars(vsini, resolution):
    """A cool and a hot star, whose lines differ."""
    return np.array([[5000, 4.5, vsini, 0.3, 1.0, resolution], [9500, 3.5, vsini, -0.5, 3.0, resolution]])


@pytest.mark.parametrize("velocity", [0.0, 300.0, -300.0])
@pytest.mark.parametrize("resolution", [5000.0, 14500.0])
@pytest.mark.parametrize("vsini", [0.0, 300.0])
def test_the_joined_flux_is_that_of_one_chunk(whole, chunks, vsini, resolution, velocity):
    labels = stars(vsini, resolution)
    both = joined(whole, DENSE_AA), joined(chunks, DENSE_AA)
    assert isinstance(both[0], Emulator)
    first, last = (
        np.max([each.known(labels, velocity)[0] for each in both]),
        np.min([each.known(labels, velocity)[1] for each in both]),
    )
    inside = DENSE_AA[(first < DENSE_AA) & (last > DENSE_AA)]
    assert inside.size > 0.94 * DENSE_AA.size
    expected, found = (each.on(inside).flux(labels, np.full(2, velocity)) for each in both)
    assert np.ptp(expected) > 0.02
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("velocity", [0.0, 300.0, -300.0])
@pytest.mark.parametrize("resolution", [5000.0, 14500.0])
@pytest.mark.parametrize("vsini", [0.0, 300.0])
def test_the_joins_are_continuous(band, chunks, vsini, resolution, velocity):
    """On both sides of a join, where one chunk's flux ends and the next one's begins: a step of nothing."""
    labels = stars(vsini, resolution)
    edges = np.array(band.edges_aa[1:-1]) * np.exp(broadening.doppler_shift(velocity) / 299792.458)
    # wherever within 500 km/s the join is: neighbouring points 1e-5 A apart see a slope below 1e-5
    for edge in edges:
        near = edge * np.exp(np.linspace(-500, 500, 4001) / 299792.458)
        pairs = np.stack([near, near + 1e-5], axis=-1).ravel()
        flux = joined(chunks, pairs).flux(labels, np.full(2, velocity)).astype(float).reshape(2, -1, 2)
        assert np.abs(np.diff(flux, axis=-1)).max() < 1e-5


def test_float32_velocities_and_labels_give_the_same_by_jax(chunks):
    labels, velocity = stars(40.0, 9000.0), np.array([35.0, -80.0])
    emulator = joined(chunks, DENSE_AA[::5])
    given = jnp.asarray(labels, jnp.float32), jnp.asarray(velocity, jnp.float32)
    moved = jax.jit(emulator.spectrum)(*given)
    # labels in float32; places in velocity of 80 km/s to 1e-5 km/s
    np.testing.assert_allclose(moved, emulator.flux(labels, velocity), atol=1e-5)
    at_rest = jax.jit(emulator.spectrum)(given[0])
    np.testing.assert_allclose(at_rest, emulator.flux(labels), atol=1e-5)
    slope = jax.jit(jax.jacfwd(emulator.spectrum))(given[0][0])
    assert slope.shape == (DENSE_AA[::5].size, 6)
    assert np.isfinite(slope).all()


class Counting:
    """A network that counts the times it is asked."""

    def __init__(self, network):
        self.network, self.times = network, 0
        self.inputs, self.outputs = network.inputs, network.outputs

    def __call__(self, labels):
        self.times += 1
        return self.network(labels)


def test_chunks_that_are_not_needed_are_not_evaluated(band, chunks):
    counting = [replace(each, network=Counting(each.network)) for each in chunks]
    emulator, labels = joined(counting, DENSE_AA), stars(10.0, 14500.0)

    def times(wavelength_aa):
        for each in counting:
            each.network.times = 0
        emulator.on(wavelength_aa).flux(labels)
        return [each.network.times for each in counting]

    none = [0] * len(chunks)
    first, second = band.edges_aa[:2]
    assert times(np.linspace(first + 20, second - 20, 50)) == [1, *none[1:]]
    # its lines are spread over 4 A by their fade and by 2 A here
    assert times(np.linspace(second - 9, second - 7, 50)) == [1, *none[1:]]
    assert times(np.linspace(second + 7, second + 9, 50)) == [0, 1, *none[2:]]
    assert times(np.linspace(second - 1, second + 1, 50)) == [1, 1, *none[2:]]
    assert times(DENSE_AA) == [1] * len(chunks)


def test_a_motion_beyond_the_room_is_refused_with_the_known_range(chunks):
    header = emulation.packed(chunks, Band.over("parts", *RANGE_AA, len(chunks))).header
    generator = Generator("parts", header, joined(chunks, DENSE_AA))
    labels, wanted = stars(300.0, 5000.0)[0], np.arange(8470.0, 8700.0, 0.1)
    assert np.isfinite(generator.flux(labels, wavelength_aa=wanted, radial_velocity=500.0)).all()
    with pytest.raises(OutOfRangeError, match="what the model knows for these labels and"):
        generator.flux(labels, wavelength_aa=wanted, radial_velocity=900.0)
    # then one chunk alone knows, where no neighbour's lines are moved to
    low, high = generator.model.known(labels, 900.0)
    if low < high:
        inside = np.linspace(low + 0.1, high - 0.1, 100)
        moved = generator.flux(labels, wavelength_aa=inside, medium="vacuum", radial_velocity=900.0)
        assert np.isfinite(moved).all()
    slow = stars(0.0, 14500.0)[0]
    first, last = generator.model.known(slow, 0.0)
    assert first < vacuum_from_air(8400.0) < vacuum_from_air(8799.9) < last


def test_where_one_chunk_alone_knows_it_is_right(whole, chunks):
    labels = stars(10.0, 14500.0)[0]
    low, high = joined(chunks, DENSE_AA).known(labels, 1200.0)
    inside = DENSE_AA[(low < DENSE_AA) & (high > DENSE_AA)]
    expected, found = (joined(each, inside).flux(labels, 1200.0) for each in (whole, chunks))
    assert inside.size > 250
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_unknown_wavelengths_and_too_little_room_are_refused(chunks):
    emulator = joined(chunks, DENSE_AA)
    low, high = chunks[0].finish.grid.first_aa, chunks[-1].finish.grid.last_aa
    assert np.isfinite(emulator.on(np.array([low, high])).flux(stars(0.0, 14500.0))).all()
    for wrong in ([low - 1, high], [low, high + 1]):
        with pytest.raises(OutOfRangeError, match=r"A \(vacuum\) is outside \[8\d+"):
            emulator.on(np.array(wrong))
    ranges = dict(zip(TABLE_1.names, zip(TABLE_1.low, TABLE_1.high, strict=True), strict=True))
    coarse = Domain.of({**ranges, "resolution": (1000, 14500)})
    assert isinstance(joined([replace(each, domain=coarse) for each in chunks], DENSE_AA), BandEmulator)
    coarser = [replace(each, domain=Domain.of({**ranges, "resolution": (500, 14500)})) for each in chunks]
    with pytest.raises(ConfigError, match="by up to 1318 km/s, chunks have room for 925"):
        joined(coarser, DENSE_AA)


@pytest.mark.parametrize(("vsini", "resolution"), [(0.0, 1000.0), (300.0, 1000.0), (50.0, 2000.0)])
def test_low_resolutions_join_too(whole, chunks, vsini, resolution):
    """What neighbours did not synthesise far enough for: their lines add up all the same."""
    ranges = dict(zip(TABLE_1.names, zip(TABLE_1.low, TABLE_1.high, strict=True), strict=True))
    coarse, labels = Domain.of({**ranges, "resolution": (1000, 14500)}), stars(vsini, resolution)
    models = [joined([replace(each, domain=coarse) for each in made], DENSE_AA) for made in (whole, chunks)]
    first, last = (each[0] for each in models[0].known(labels))
    inside = DENSE_AA[(first < DENSE_AA) & (last > DENSE_AA)]
    expected, found = (each.on(inside).flux(labels) for each in models)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # as a fit sees stars of a low resolution
    faster = models[1].seen(inside, resolution)
    np.testing.assert_allclose(faster.flux(labels), expected, atol=1e-5)


def test_seen_for_lower_resolutions_is_the_same(chunks):
    labels = stars(30.0, 5000.0)
    faster = joined(chunks, DENSE_AA).seen(DENSE_AA, 5000.0)
    assert faster.chunks[0].finish.points < 0.5 * chunks[0].finish.points
    np.testing.assert_allclose(faster.flux(labels), joined(chunks, DENSE_AA).flux(labels), atol=1e-5)


def test_all_chunks_travel_in_one_file(band, chunks, tmp_path):
    path = tmp_path / "parts.safetensors"
    chunks = [replace(each, modes_resolution=FINEST) for each in chunks]
    weights.save(path, emulation.packed(chunks, band))
    generator, labels = Generator.load(path), stars(20.0, 11000.0)
    assert generator.header.band == band.bare == band
    expected = joined(chunks, band.points.vacuum_aa).flux(labels)
    np.testing.assert_array_equal(generator.flux(labels), expected)
    model = weights.load(path)
    networks = {name: network for name, network in model.networks.items() if name != "modes_1"}
    with pytest.raises(StoreError, match="without 'modes_1' is no emulator"):
        Generator.of(replace(model, networks=networks), "less")


def test_points_of_one_chunk_alone_are_served(band, chunks):
    """A model may show less than its band has: chunks without a point are there, and not asked."""
    model = emulation.packed([replace(each, modes_resolution=FINEST) for each in chunks], band)
    points = replace(band.points, first_aa=8410.0, last_aa=8450.0, count=401)
    less = Generator.of(replace(model, header=replace(model.header, points=points)), "less")
    labels = stars(5.0, 9000.0)
    found = less.flux(labels)
    np.testing.assert_array_equal(less.spectrum(labels[0]).wavelength, points.wavelength_aa)
    np.testing.assert_allclose(found, Generator.of(model, "all").flux(labels)[:, 100:501], atol=2e-6)
    shown = finish_of(replace(band, points=points))(
        np.ones((2, sum(grid.points for grid in band.kept)), np.float32), labels[:, 2], labels[:, 5]
    )
    np.testing.assert_allclose(shown, np.ones((2, 401)), atol=1e-6)


def test_a_lower_resolution_takes_fewer_modes(chunks):
    """The highest of the labels counts, and one with all modes is right to what is cut away."""
    model = joined(chunks, DENSE_AA)
    low, high = stars(0.0, 6000.0), stars(0.0, 14500.0)
    assert model._fast(high) is model._fast(np.concatenate([low, high])) is model
    fewer = model._fast(low)
    assert fewer.chunks[0].network.outputs < 0.6 * chunks[0].network.outputs
    assert model._fast(low) is fewer
    whole = sum(
        np.pad(each.spectrum(low) - 1, ((0, 0), (part.start, DENSE_AA.size - part.stop)))
        for part, each in model.needed(low)
    )
    np.testing.assert_allclose(model.flux(low), 1 + whole, atol=1e-5)
