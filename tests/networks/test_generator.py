import inspect
import os
import subprocess
import sys
import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pytest

import starloom
from starloom import bands, broadening, sampling
from starloom.errors import ConfigError, OutOfRangeError, ParseError, StoreError
from starloom.evaluation import error_map
from starloom.evaluation.errors import Cells, compare
from starloom.labels import RADIATION_LIMIT, TABLE_1
from starloom.networks import emulator as emulation
from starloom.networks import stated_error, weights
from starloom.networks.emulator import CoefficientNetwork
from starloom.networks.forward import Network, dense_layers, linear
from starloom.networks.generator import ERRORS, Generator, OutsideDomainWarning, loaded
from starloom.networks.pixels import PixelNetwork
from starloom.networks.scaling import label_scaling
from starloom.networks.weights import Header, Model, model_for
from starloom.wavelength import Points, vacuum_from_air

STAR = np.array([9950, 3.5, 2, 0.5, 1.3, 11500])
RVS = bands.load("rvs")
OWN_AA = RVS.points.wavelength_aa  # in air
FINISH = broadening.finish_of(RVS).chunks[0]
INSIDE_AA = np.arange(8420.0, 8780.0, 0.37)


@pytest.fixture(scope="module")
def emulator_model(stand_in, draw_labels):
    """Untrained: a sum of a few spectra that changes smoothly with the labels."""
    modes = FINISH.modes(stand_in(draw_labels(12, seed=3)))
    modes = np.concatenate([modes.real, modes.imag], axis=-1) / 6
    mixing = CoefficientNetwork((24,), "sigmoid").initial(TABLE_1.intrinsic, 12, seed=5)
    network = mixing.then(linear(modes, modes.sum(axis=0)))
    emulator = emulation.Emulator(TABLE_1, network, FINISH, broadening.LIMB_DARKENING, 14500.0)
    return emulation.packed([emulator], RVS, card="# A stand-in\n\nUntrained.")


@pytest.fixture(scope="module")
def paper_model(stand_in, draw_labels):
    """Untrained, but band-limited as the paper's training spectra are: a sum of a few of those."""
    labels = draw_labels(12, seed=4)
    spectra = FINISH(stand_in(labels), labels[:, 2], labels[:, 5])
    mixing = Network.initial(dense_layers((6, 12), "tanh", "sigmoid"), seed=0)
    network = label_scaling(TABLE_1).then(mixing).then(linear(spectra / 6, np.zeros(4000)))
    header = Header("generator", TABLE_1, RVS.points, card="# Pixels")
    return Model(header, {"generator": network})


@pytest.fixture(scope="module")
def generator(emulator_model):
    return Generator.of(emulator_model, "stand-in")


@pytest.fixture(scope="module", params=["emulator_model", "paper_model"])
def either(request):
    return Generator.of(request.getfixturevalue(request.param), request.param)


@pytest.fixture(scope="module")
def labels(draw_labels):
    return draw_labels(40, seed=9)


def test_loads_what_was_saved(emulator_model, generator, labels, tmp_path):
    path = tmp_path / "mine.safetensors"
    weights.save(path, emulator_model)
    loaded = Generator.load(path)
    np.testing.assert_array_equal(loaded.flux(labels), generator.flux(labels))
    assert (loaded.name, loaded.stated) == (str(path), None)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ParseError, match=r"mine\.safetensors"):
        Generator.load(path)
    with pytest.raises(ConfigError, match="model 'nothing' is not installed"):
        Generator.load("nothing")


def test_what_generates_nothing_is_refused(emulator_model):
    other = replace(emulator_model, header=replace(emulator_model.header, family="autoencoder"))
    with pytest.raises(StoreError, match="a model of the family 'autoencoder' generates no spectra"):
        Generator.of(other, "other")
    wrong = Network.initial(dense_layers((6, 10), "linear"), seed=0)
    with pytest.raises(ConfigError, match="no generator of 4000 points from 6 labels"):
        PixelNetwork(TABLE_1, wrong, RVS.points)
    few = Network.initial(dense_layers((6, 7), "linear"), seed=0)
    with pytest.raises(ConfigError, match="a generator of 7 points: at least 8 are needed"):
        PixelNetwork(TABLE_1, few, replace(RVS.points, count=7))


def test_flux_at_the_paper_points(either, labels):
    flux = either.flux(labels)
    assert (flux.shape, flux.dtype) == ((40, 4000), np.float32)
    network = either.model if isinstance(either.model, emulation.Emulator) else either.model.network
    expected = network.flux(labels) if hasattr(network, "flux") else network(labels)
    np.testing.assert_array_equal(flux, expected)
    np.testing.assert_allclose(either.flux(labels.reshape(5, 8, 6)).reshape(40, 4000), flux, atol=3e-6)


def test_air_and_vacuum_are_two_names_of_one_wavelength(either, labels):
    air = either.flux(labels, wavelength_aa=INSIDE_AA)
    vacuum = either.flux(labels, wavelength_aa=vacuum_from_air(INSIDE_AA), medium="vacuum")
    np.testing.assert_allclose(air, vacuum, atol=1e-6)
    spectrum = either.spectrum(STAR, medium="vacuum")
    np.testing.assert_allclose(spectrum.to_air().wavelength, OWN_AA, atol=1e-6)
    np.testing.assert_array_equal(spectrum.flux, either.spectrum(STAR).flux)


def test_other_wavelengths_agree_with_the_models_own(either, labels):
    """The twin: ``point_sampler``, from a grid that is uniform in the logarithm."""
    grid_aa = np.geomspace(vacuum_from_air(8400.5), vacuum_from_air(8799.0), 5000)
    fine = either.flux(labels, wavelength_aa=grid_aa, medium="vacuum").astype(float)
    there = broadening.point_sampler(grid_aa, vacuum_from_air(OWN_AA[100:-100]))(fine)
    # float32, and 1e-6 of a line's depth
    np.testing.assert_allclose(there, either.flux(labels)[:, 100:-100], atol=5e-6)


def test_a_velocity_moves_the_spectrum_as_shift_does(either, labels):
    velocity = 40.0
    moved = either.spectrum(STAR, wavelength_aa=INSIDE_AA, radial_velocity=velocity)
    back = moved.shift(-velocity, frame="rest")
    at_rest = either.spectrum(STAR, wavelength_aa=back.wavelength)
    assert (moved.frame, at_rest.frame) == ("barycentric", "rest")
    # float32 places: 1e-3 of a point of 0.1 A on slopes below 0.05 a point
    np.testing.assert_allclose(moved.flux, at_rest.flux, atol=5e-6)
    velocities = np.linspace(-50, 50, 40)
    many = either.flux(labels, wavelength_aa=INSIDE_AA, radial_velocity=velocities)
    one = either.flux(labels[7], wavelength_aa=INSIDE_AA, radial_velocity=velocities[7])
    np.testing.assert_allclose(many[7], one, atol=5e-6)


@pytest.mark.parametrize("wavelength", [[8380.0, 8500.0], [8500.0, 8820.0]])
def test_unknown_wavelengths_are_an_error(either, wavelength):
    with pytest.raises(OutOfRangeError, match=r"A \(air\) is outside \[8\d+.*\] A, what the model knows"):
        either.flux(STAR, wavelength_aa=wavelength)


def test_a_fast_rotator_is_known_in_a_smaller_range(generator):
    wide = np.array([8392.0, 8500.0])
    fast = STAR.copy()
    fast[2] = 300
    assert generator.flux(STAR, wavelength_aa=wide).shape == (2,)
    with pytest.raises(OutOfRangeError, match="what the model knows for these labels"):
        generator.flux(fast, wavelength_aa=wide)
    fast[5] = 5000  # the paper's own points are known for all labels
    assert np.isfinite(generator.flux(fast)).all()
    with pytest.raises(OutOfRangeError, match="what the model knows for these labels and radial velocity"):
        generator.flux(fast, radial_velocity=100.0)


def test_what_is_known_does_not_depend_on_what_lies_beyond(stand_in, labels):
    """Spectra that differ only beyond the kept range's ends by a jump give the same flux inside ``known``."""
    vacuum_aa = vacuum_from_air(np.arange(8390.0, 8810.0, 0.05))
    finish = broadening.finish_onto(RVS.kept[0], vacuum_aa, 14500.0, 40000.0)
    labels = labels[:12].copy()
    labels[:6, 2] = [0, 5, 50, 100, 200, 300]
    flat = np.ones((12, RVS.kept[0].points), np.float32)
    step = flat.copy()
    step[:, : round(flat.shape[1] * 1e-3)] = 0.8  # 0.4 A at the blue end
    seen = [finish(kept, labels[:, 2], labels[:, 5]) for kept in (flat, step)]
    network = _constant_network(finish)
    emulator = emulation.Emulator(TABLE_1, network, finish, broadening.LIMB_DARKENING, 14500.0)
    first, last = emulator.known(labels)
    inside = (vacuum_aa > first[:, None] + 0.5) & (vacuum_aa < last[:, None])
    # a step of 0.2 over 0.4 A, beyond 4 sigma, and modes cut off at 1e-5 of it
    assert np.abs(seen[0] - seen[1])[inside].max() < 1e-5


def _constant_network(finish):
    modes = 2 * finish.frequency.size
    return linear(np.zeros((4, modes)), np.eye(modes)[0])


def test_outside_the_domain(generator):
    hot = np.array([25000, 3.5, 2, 0.5, 1.3, 11500])
    with pytest.raises(OutOfRangeError, match=r"^teff = 25000 K is outside \[3600, 15000\] K$"):
        generator.flux(hot)
    with pytest.warns(OutsideDomainWarning, match="clipped into the domain: teff = 25000 K is outside"):
        spectrum = generator.spectrum(hot, outside="clip")
    assert spectrum.labels["teff"] == 15000
    assert "moved to its edge" in spectrum.provenance["clipped"]
    with pytest.raises(ConfigError, match="outside = 'ignore' is not one of error, clip"):
        generator.flux(hot, outside="ignore")
    for wrong in (np.full(6, np.nan), np.zeros(5)):
        with pytest.raises((OutOfRangeError, ConfigError)):
            generator.flux(wrong, outside="clip")


def test_clipping_respects_the_corner(generator):
    corner = np.array([14000, 2.0, 2, 1.5, 1.3, 11500])
    with pytest.raises(OutOfRangeError, match="near the radiation limit"):
        generator.flux(corner)
    with pytest.warns(OutsideDomainWarning):
        spectrum = generator.spectrum(corner, outside="clip")
    assert spectrum.labels["logg"] == RADIATION_LIMIT(14000, 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generator.flux(STAR, outside="clip")


def test_finite_everywhere_in_the_domain(either):
    rng = np.random.default_rng(1)
    labels = TABLE_1.from_unit(rng.uniform(0, 1, (300, 6)))
    corners = np.stack(np.meshgrid(*zip(TABLE_1.low, TABLE_1.high, strict=True)), axis=-1).reshape(-1, 6)
    labels = np.concatenate([labels, corners])
    labels[:, 1] = np.maximum(labels[:, 1], RADIATION_LIMIT(labels[:, 0], labels[:, 3]))
    assert np.isfinite(either.flux(labels)).all()


def test_jacobian_equals_differences(either, labels):
    velocity, step = 20.0, (TABLE_1.high - TABLE_1.low) * 2e-3
    view = {"wavelength_aa": INSIDE_AA, "radial_velocity": velocity}
    jacobian = either.jacobian(labels[:2], **view)
    assert (jacobian.shape, jacobian.dtype) == ((2, INSIDE_AA.size, 6), np.float32)
    for index, name in enumerate(TABLE_1.names):
        ahead, behind = labels[:2].copy(), labels[:2].copy()
        ahead[:, index] += step[index]
        behind[:, index] -= step[index]
        difference = (either.flux(ahead, **view) - either.flux(behind, **view)).astype(float) / 2
        # float32 noise of a few 1e-6 in each flux, and the second order of the difference
        close = 8e-6 + 0.02 * np.abs(difference).max()
        np.testing.assert_allclose(jacobian[..., index] * step[index], difference, atol=close, err_msg=name)


def test_spectra_hold_together(generator, labels):
    spectra = generator.spectra(labels)
    assert (len(spectra), spectra.shape) == (40, (40,))
    assert spectra[3].labels["vsini"] == labels[3, 2]
    np.testing.assert_array_equal(spectra[3].flux, spectra.flux[3])
    assert len(spectra[5:9]) == len(list(spectra[5:9])) == 4
    assert spectra[3].provenance["model"] == "stand-in"
    with pytest.raises(ValueError, match="read-only"):
        spectra.flux[0, 0] = 2
    with pytest.raises(ConfigError, match=r"labels have the shape \(40, 6\), expected \(6,\)"):
        generator.spectrum(labels)
    assert generator.spectra(labels[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"medium": "water"}, "medium = 'water' is not one of air, vacuum"),
        ({"wavelength_aa": [8600.0, 8500.0]}, "one axis of increasing wavelengths"),
        ({"wavelength_aa": [[8500.0]]}, "one axis of increasing wavelengths"),
        ({"wavelength_aa": [500.0, 8500.0]}, "is outside \\[2300, 16900\\] A"),
        ({"radial_velocity": 3e5}, r"radial_velocity = 300000.0 km/s is not inside \(-c, c\)"),
        ({"radial_velocity": np.nan}, "radial_velocity = nan"),
        ({"radial_velocity": [1.0, 2.0]}, r"radial_velocity has the shape \(2,\), the labels \(\)"),
    ],
)
def test_views_that_make_no_sense(generator, options, message):
    with pytest.raises((ConfigError, OutOfRangeError), match=message):
        generator.flux(STAR, **options)


def test_generate_broadcasts(emulator_model, tmp_path):
    path = tmp_path / "mine.safetensors"
    weights.save(path, emulator_model)
    star = {"logg": 3.5, "vsini": 2, "mh": 0.5, "vmic": 1.3, "resolution": 11500, "model": path}
    spectrum = starloom.generate(teff=9950, **star)
    assert isinstance(spectrum, starloom.Spectrum)
    spectra = starloom.generate(teff=[[5000], [9950]], **{**star, "vsini": [2, 20, 200]})
    assert spectra.shape == (2, 3)
    np.testing.assert_allclose(spectra.flux[1, 0], spectrum.flux, atol=3e-6)


def test_generate_takes_quantities(emulator_model, tmp_path):
    from astropy import units

    path = tmp_path / "mine.safetensors"
    weights.save(path, emulator_model)
    star = {"logg": 3.5, "vsini": 2, "mh": 0.5, "vmic": 1.3, "resolution": 11500, "model": path}
    quantities = {
        "teff": 9.95 * units.kK,
        "radial_velocity": 20000 * units.m / units.s,
        "wavelength_aa": np.linspace(850, 860, 50) * units.nm,
    }
    spectrum = starloom.generate(**star, **quantities)
    assert spectrum.labels["teff"] == 9950
    assert spectrum.wavelength[0] == pytest.approx(8500)
    assert spectrum.provenance["radial_velocity_kms"] == 20


def test_without_jax_derivatives_name_the_extra(emulator_model, tmp_path):
    path = tmp_path / "mine.safetensors"
    weights.save(path, emulator_model)
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "import starloom\n"
        f"generator = starloom.Generator.load({str(path)!r})\n"
        "print(generator.spectrum([9950, 3.5, 2, 0.5, 1.3, 11500]))\n"
        "generator.jacobian([9950, 3.5, 2, 0.5, 1.3, 11500])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("Spectrum(4000 wavelengths")
    assert done.stderr.splitlines()[-1].endswith("pip install 'starloom[synthesis]'")


# Errors that a model states


def noisy(generator, labels, seed):
    """Spectra as if held out: errors grow with Teff and wavelength; their tails are heavier than normal."""
    rng = np.random.default_rng(seed)
    size = 1e-3 * (labels[:, :1] / 9000) ** 1.5 * np.linspace(0.5, 1.5, 4000)
    heavy = rng.standard_t(3, size=(len(labels), 4000))
    return generator.flux(labels) + (size * heavy).astype(np.float32)


@pytest.fixture(scope="module")
def stating(emulator_model, generator, draw_labels):
    labels = draw_labels(600, seed=21)
    statement = error_map.ErrorStatement(TABLE_1, RVS.points, Cells.even(TABLE_1, teff=6, vsini=2))
    batches = [(labels[s : s + 200], noisy(generator, labels[s : s + 200], s)) for s in (0, 200, 400)]
    compare(generator.flux, batches, statement)
    return stated_error.attached(emulator_model, statement.result())


def test_stated_errors_survive_the_file(stating, tmp_path):
    for precision in ("float32", "float16"):
        weights.save(tmp_path / "model", stating, precision)
        loaded = Generator.of(weights.load(tmp_path / "model"), "loaded")
        assert loaded.stated.spectra == 600
        # half precision in the logarithm of 1e-4: 4e-3
        found, stated = loaded.stated.sizes, stated_error.stated_in(stating).sizes
        np.testing.assert_allclose(found, stated, rtol=5e-3)


def test_the_stated_error_is_true(stating, generator, draw_labels):
    """Pixels of other spectra within the stated sizes: 68 % and 99 %, also in each bin of Teff."""
    labels = draw_labels(300, seed=77)
    batches = [(labels[s : s + 100], noisy(generator, labels[s : s + 100], s + 1)) for s in (0, 100, 200)]
    found = error_map.coverage(Generator.of(stating, "stating"), batches)
    assert found.spectra == 300
    # 3600 cells and bands are measured on 600 spectra: 1 %; the tails are flat
    assert found.overall["p68"] == pytest.approx(0.6827, abs=0.01)
    assert found.overall["p99"] == pytest.approx(0.99, abs=0.003)
    # the noise's scale varies by 1.5 within a cell, where the stated error is constant
    np.testing.assert_allclose(found.by_teff["p68"], 0.6827, atol=0.06)
    np.testing.assert_allclose(found.by_teff["p99"], 0.99, atol=0.005)


def test_a_false_statement_is_found_out(stating, generator, draw_labels):
    modest = stated_error.stated_in(stating)
    modest = replace(modest, sizes=modest.sizes / 3)
    labels = draw_labels(50, seed=78)
    found = error_map.coverage(replace(generator, stated=modest), [(labels, noisy(generator, labels, 5))])
    assert found.overall["p68"] < 0.4
    with pytest.raises(ConfigError, match="states no errors"):
        error_map.coverage(generator, [])


def test_spectra_carry_the_stated_error(stating, labels):
    generator = Generator.of(stating, "stating")
    spectra = generator.spectra(labels)
    assert spectra.error.shape == spectra.flux.shape
    expected = generator.stated.at("p68", labels, RVS.points.vacuum_aa)
    np.testing.assert_array_equal(spectra.error, expected)
    assert (generator.error(labels, "mean") < generator.error(labels, "p99")).all()
    one = generator.spectrum(labels[0], wavelength_aa=OWN_AA[500:1500:7])
    np.testing.assert_allclose(one.error, spectra.error[0, 500:1500:7], rtol=1e-4)
    assert "68 %" in one.provenance["error"]


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_each_star_has_the_error_of_its_own_velocity(stating, labels, medium):
    """At +300 and -300 km/s, whose mean is at rest: the bands move by 17 A, eight of their widths."""
    points = stating.header.points
    sizes = np.random.default_rng(3).uniform(1e-5, 1e-2, (3, 2, 200))
    edges = {"teff": np.array([3600.0, 9000.0, 15000.0])}
    stated = stated_error.StatedError(TABLE_1, edges, sizes, points, 20, 9)
    generator = replace(Generator.of(stating, "stating"), stated=stated)
    velocities = np.linspace(-300, 300, 6).reshape(2, 3)
    labels = labels[:6].reshape(2, 3, 6)
    view = {"wavelength_aa": np.arange(8420.0, 8780.0, 0.37), "medium": medium}
    for measure in stated_error.MEASURES:
        together = generator.error(labels, measure, radial_velocity=velocities, **view)
        assert (together.shape, together.dtype) == ((2, 3, 973), np.float32)
        for place in np.ndindex(2, 3):
            alone = generator.error(labels[place], measure, radial_velocity=velocities[place], **view)
            np.testing.assert_array_equal(together[place], alone)
    labels[..., 2] = 2  # a slow rotator's flux is known at more velocities
    spectra = generator.spectra(labels, radial_velocity=velocities, **view)
    np.testing.assert_array_equal(spectra.error, generator.error(labels, radial_velocity=velocities, **view))
    of_rows = generator.error(labels, radial_velocity=[10, 20, 30.0])  # broadcast, as for the flux
    np.testing.assert_array_equal(of_rows[1, 2], generator.error(labels[1, 2], radial_velocity=30.0))


def test_errors_are_asked_for_as_fluxes_are(stating, labels):
    generator = Generator.of(stating, "stating")
    shapes = r"radial_velocity has the shape \(2,\), the labels \(40,\)"
    with pytest.raises(ConfigError, match=shapes):
        generator.error(labels, radial_velocity=[1.0, 2.0])
    with pytest.raises(ConfigError, match="measure = 'p50' is not one of mean, p68, p99"):
        generator.error(labels, "p50")


def test_labels_take_their_cells_error():
    points = Points("vacuum", "linear", 8400.0, 8499.0, 100)
    edges = {"teff": np.array([4000.0, 6000.0, 10000.0]), "mh": np.array([-1.0, 0.0, 1.0])}
    sizes = np.random.default_rng(0).uniform(1e-4, 1e-2, (3, 4, 10))
    stated = stated_error.StatedError(TABLE_1, edges, sizes, points, 10, 50)
    labels = np.tile(STAR, (4, 1))
    labels[:, [0, 3]] = [[5000, -0.5], [5000, 0.5], [8000, -0.5], [8000, 0.5]]
    centres = 8404.5 + 10 * np.arange(10)
    for row, measure in enumerate(stated_error.MEASURES):
        np.testing.assert_allclose(stated.at(measure, labels, centres), sizes[row], rtol=1e-5)
    elsewhere = np.array([6500, 3.5, 2, 0.9, 1.3, 11500])
    np.testing.assert_allclose(stated.at("p68", elsewhere, centres), sizes[1, 3], rtol=1e-5)
    middle = np.sqrt(sizes[2, 3, :-1] * sizes[2, 3, 1:])
    np.testing.assert_allclose(stated.at("p99", labels[3], centres[:-1] + 5), middle, rtol=1e-5)


def test_the_order_of_the_cells_survives_the_file(emulator_model, tmp_path):
    """Labels in another order than the alphabet's: each cell's error comes back as its own."""
    points = emulator_model.header.points
    edges = {"vsini": np.array([0.0, 50.0, 300.0]), "mh": np.array([-1.5, -0.5, 0.5, 1.5])}
    sizes = np.random.default_rng(0).uniform(1e-4, 1e-2, (3, 6, 200))
    stated = stated_error.StatedError(TABLE_1, edges, sizes, points, 20, 50)
    path = tmp_path / "model.safetensors"
    weights.save(path, stated_error.attached(emulator_model, stated))
    found = stated_error.stated_in(weights.load(path))
    assert list(found.edges) == ["vsini", "mh"]
    labels = np.array([[6000, 4, 10, 1.0, 1, 9000], [6000, 4, 100, -1.0, 1, 9000.0]])
    wavelengths = RVS.points.vacuum_aa
    np.testing.assert_allclose(
        found.at("p99", labels, wavelengths), stated.at("p99", labels, wavelengths), rtol=1e-5
    )


def test_cells_with_few_spectra_state_the_largest(generator, draw_labels):
    labels = draw_labels(30, seed=2)
    labels[:, 0] = np.linspace(3600, 9000, 30)
    statement = error_map.ErrorStatement(TABLE_1, RVS.points, Cells.even(TABLE_1, teff=3))
    statement.add(labels, generator.flux(labels), noisy(generator, labels, 1))
    sizes = statement.result().sizes
    np.testing.assert_array_equal(sizes[:, 2], sizes[:, :2].max(axis=1))
    few = error_map.ErrorStatement(TABLE_1, RVS.points, Cells.even(TABLE_1, teff=3))
    few.add(labels[:5], generator.flux(labels[:5]), noisy(generator, labels[:5], 1))
    with pytest.raises(ConfigError, match="5 spectra in 3 cells: none has the 10 needed"):
        few.result()


# At the ends of the domain


def worse_at_ends(generator, labels, seed):
    """Noise that is six times as large at upper log g, three times at lower [M/H]; both together 18 times."""
    place = stated_error.places(TABLE_1, labels)
    factor = 6 ** (1 - (1 - place[:, 1]) / 0.05).clip(0) * 3 ** (1 - place[:, 3] / 0.05).clip(0)
    flux = generator.flux(labels)
    return flux + (noisy(generator, labels, seed) - flux) * factor[:, None].astype(np.float32)


def at_ends(draw_labels, count, seed, share):
    rng = np.random.default_rng(seed)
    labels = sampling.at_ends(
        draw_labels(count, seed), rng.random((count, 6)), share, TABLE_1.low, TABLE_1.high
    )
    labels[:, 1] = np.maximum(labels[:, 1], RADIATION_LIMIT(labels[:, 0], labels[:, 3]))
    return labels


@pytest.fixture(scope="module")
def true_at_ends(stating, generator, draw_labels):
    reach = {"logg": 0.05, "mh": 0.05}
    correction = error_map.EndCorrection(stated_error.stated_in(stating), reach)
    for seed, share in ((31, 0.0), (32, 0.5)):
        labels = at_ends(draw_labels, 400, seed, share)
        correction.add(labels, generator.flux(labels), worse_at_ends(generator, labels, seed))
    return stated_error.attached(stating, correction.result())


def test_the_stated_error_is_true_at_the_ends(stating, true_at_ends, generator, draw_labels, tmp_path):
    weights.save(tmp_path / "model", true_at_ends)
    found = Generator.of(weights.load(tmp_path / "model"), "found")
    for share in (0.0, 0.6):
        labels = at_ends(draw_labels, 300, 90, share)
        batch = labels, worse_at_ends(generator, labels, 91)
        of_all = error_map.coverage(found, [batch])
        assert of_all.overall["p68"] == pytest.approx(0.6827, abs=0.015)
        assert of_all.overall["p99"] == pytest.approx(0.99, abs=0.004)
        place = stated_error.places(TABLE_1, labels)
        for chosen in (place[:, 1] == 1, (place[:, 1] == 1) & (place[:, 3] == 0), place[:, 3] == 0):
            if chosen.sum() < 20:
                continue
            part = error_map.coverage(found, [(labels[chosen], batch[1][chosen])]).overall
            assert part["p68"] == pytest.approx(0.6827, abs=0.04)
    before = error_map.coverage(Generator.of(stating, "before"), [batch])
    assert before.overall["p68"] < 0.5


def test_near_an_end_the_error_falls_to_its_usual_size(true_at_ends, stating):
    """Linear in the logarithm within the reach: no jump; beyond it the labels' own cell alone counts."""
    found, usual = (Generator.of(model, "model") for model in (true_at_ends, stating))
    labels = np.tile(STAR, (5, 1))
    lowest = RADIATION_LIMIT(STAR[0], STAR[3])
    labels[:, 1] = lowest + (5 - lowest) * np.array([1, 0.975, 0.95, 0.5, 0])
    end, halfway, inside, middle, floor = found.error(labels)
    np.testing.assert_allclose(halfway, np.sqrt(end * middle), rtol=1e-4)
    np.testing.assert_allclose(inside, middle, rtol=1e-4)
    np.testing.assert_allclose(middle / usual.error(STAR), 1, atol=0.1)
    np.testing.assert_allclose(floor / middle, 1, atol=0.25)
    np.testing.assert_allclose(np.median(end / middle), 6, rtol=0.1)


def test_what_states_nothing_of_its_ends_is_read_as_it_is(stating, true_at_ends):
    """Models of before have sizes alone; measuring these anew takes the correction away."""
    stated = stated_error.stated_in(stating)
    assert stated.ends is None
    assert "ends" not in stating.header.settings[stated_error.SETTING]
    again = stated_error.attached(true_at_ends, stated)
    assert stated_error.stated_in(again).ends is None
    assert set(again.networks) == set(stating.networks)


def test_corrections_that_make_no_sense(stating):
    stated = stated_error.stated_in(stating)
    factors = np.ones((3, 9, 20))
    for reach, wrong, width, message in (
        ({"mh": 0.05, "logg": 0.7}, factors, 200, "not within"),
        ({"mh": 0.05}, factors, 200, "their correction of the shape"),
        ({"mh": 0.05, "colour": 0.05}, factors, 200, "their correction of the shape"),
        ({"mh": 0.05, "logg": 0.05}, np.ones((3, 9, 134)), 30, "no multiple of 20"),
        ({"mh": 0.05, "logg": 0.05}, -factors, 200, "must be finite and above 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(stated, ends=stated_error.Correction(reach, wrong, width))
    correction = error_map.EndCorrection(stated)
    with pytest.raises(ConfigError, match="spectra at 0 of 81 nodes of ends: too few"):
        correction.result()


def test_statements_that_make_no_sense(stating):
    stated = stated_error.stated_in(stating)
    for wrong in (stated.sizes[:, 1:], -stated.sizes, stated.sizes * np.nan):
        with pytest.raises(ConfigError, match="stated errors"):
            replace(stated, sizes=wrong)
    bare = {name: network for name, network in stating.networks.items() if name != "error_p99"}
    with pytest.raises(StoreError, match="stated errors make no sense: 'error_p99'"):
        stated_error.stated_in(replace(stating, networks=bare))
    with pytest.raises(ConfigError, match="other points"):
        stated_error.attached(stating, replace(stated, points=Points("air", "linear", 8400, 8800, 4000)))


# Errors of the physics


def test_spectra_have_the_error_that_is_asked_for():
    """Of the emulator, of the physics, or both, and say which; the physics' is that of its patterns."""
    generator, sun = loaded("default-2026-lte"), np.array([5777, 4.44, 2, 0.0, 1.0, 11500])
    by = {which: generator.spectrum(sun, error=which) for which in ERRORS}
    assert all(each.provenance["error"] == ERRORS[which] for which, each in by.items())
    assert np.array_equal(by["emulator"].error, generator.spectrum(sun).error)
    physics = generator.physics_error(sun)
    np.testing.assert_allclose(by["physics"].error, physics, rtol=1e-6)
    np.testing.assert_allclose(by["both"].error, np.hypot(by["emulator"].error, physics), rtol=1e-6)
    assert physics.min() > 0.99 * generator.physics.sizes.floor
    core = np.abs(OWN_AA - 8542.09).argmin()
    assert physics[core - 20 : core + 20].max() > 1.5 * generator.physics.sizes.floor
    moved = generator.physics_error(sun, radial_velocity=100.0, wavelength_aa=OWN_AA[200:-200])
    assert np.abs(moved - physics[200:-200]).max() > 1e-3


def test_a_model_without_physics_error_says_so():
    bare = replace(loaded("default-2026-lte"), physics=None)
    assert bare.physics_error(STAR) is None
    with pytest.raises(ConfigError, match=r"^error = 'both': model default-2026-lte has no physics error$"):
        bare.spectrum(STAR, error="both")
    with pytest.raises(ConfigError, match="error = 'all' is not one of emulator, physics, both"):
        bare.spectrum(STAR, error="all")


def test_a_damaged_model_beside_hides_no_message(monkeypatch):
    """Other installed models are looked at for a hint alone."""
    monkeypatch.setattr(weights, "names", lambda: ["default-2026-lte", "broken"])
    with pytest.raises(ConfigError, match=r"^unknown label nothing: the labels are .* and outside$"):
        starloom.generate(**dict(zip(TABLE_1.names, STAR, strict=True)), nothing=1)


# What is asked for wrongly


@pytest.mark.parametrize("method", ["flux", "error", "jacobian", "spectra", "spectrum"])
def test_an_unknown_argument_is_told_with_those_known(generator, method):
    call = getattr(generator, method)
    known = "labels, (measure, |error, )?wavelength_aa, medium, radial_velocity, outside$"
    with pytest.raises(ConfigError, match=f"{method} has no argument wavelenght_aa: it has {known}"):
        call(STAR, wavelenght_aa=OWN_AA)
    assert "wavelength_aa" in inspect.signature(call).parameters


def test_an_unknown_argument_of_generate_is_told_with_labels_and_arguments():
    labels = dict(zip(TABLE_1.names, STAR, strict=True))
    arguments = "model, error, correction, wavelength_aa, medium, band, radial_velocity"
    known = f"the labels are teff, .*; further arguments are {arguments}"
    with pytest.raises(ConfigError, match=f"unknown label wavelenght_aa: {known} and outside"):
        starloom.generate(**labels, wavelenght_aa=OWN_AA)
    with pytest.raises(ConfigError, match=r"no label teff: the labels are [A-Za-z, ]*$"):
        starloom.generate(logg=4, vsini=2, mh=0, vmic=1, resolution=11500)


@pytest.mark.parametrize("model", [3, ["default"], 1.5])
def test_a_model_that_is_no_name_is_told(model):
    for call in (Generator.load, lambda model: starloom.generate(model=model, teff=5000)):
        with pytest.raises(ConfigError, match="neither the name of a model nor the path of its file"):
            call(model)
    with pytest.raises(ConfigError, match="neither the name of a model nor the path of its file"):
        Generator.load(None)  # of `generate` it is the model that is usual


def test_more_than_the_memory_holds_is_refused_before_the_work(generator, monkeypatch):
    """With a stand-in for the computer's memory, which differs: 16 GB."""
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 3906250}.__getitem__)
    many = np.broadcast_to(STAR, (10**7, 6))
    told = "10000000 spectra of 4000 wavelengths need {} GB of memory, this computer has 16 GB"
    for call, size in ((generator.flux, 160), (generator.spectra, 160), (generator.jacobian, 960)):
        with pytest.raises(OutOfRangeError, match=told.format(size)):
            call(many)
    stars = dict(zip(TABLE_1.names, STAR, strict=True))
    stars |= {"teff": np.full((10**5, 1), 5777.0), "vsini": np.zeros(10**4)}
    with pytest.raises(OutOfRangeError, match="the labels of 1000000000 spectra need 168 GB"):
        starloom.generate(**stars)
    assert generator.flux(STAR).shape == (4000,)


def test_a_system_that_does_not_tell_its_memory_is_not_asked(generator, monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    assert generator.flux(STAR).shape == (4000,)


def test_a_model_that_was_written_anew_is_read_anew(emulator_model, paper_model, tmp_path):
    labels = dict(zip(TABLE_1.names, STAR, strict=True))
    path = tmp_path / "mine.safetensors"
    made = []
    for model in (emulator_model, paper_model):
        weights.save(path, model)
        made.append(starloom.generate(model=path, **labels))
        np.testing.assert_array_equal(made[-1].flux, Generator.of(model, "mine").flux(STAR))
    assert not np.array_equal(made[0].flux, made[1].flux)
    assert loaded(path) is loaded(str(path))
    with pytest.raises(ParseError, match=r"absent\.safetensors"):
        loaded(tmp_path / "absent.safetensors")


def test_stated_errors_hold_little_more_than_themselves(stating):
    """A portion of what they are made of, for any number: of 2000 spectra they held five times their size."""
    generator = Generator.of(stating, "stating")
    labels = np.broadcast_to([5777.0, 4.44, 2.0, 0.0, 1.0, 11500.0], (2000, 6))
    generator.error(labels[:2])
    tracemalloc.start()
    error = generator.error(labels)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.3 * error.nbytes
    np.testing.assert_array_equal(error[1999], generator.error(labels[0]))
    assert generator.error(labels[:0]).shape == (0, 4000)


def test_a_band_gives_wavelengths_and_its_model():
    sun = {"teff": 5777, "logg": 4.44, "vsini": 2, "mh": 0, "vmic": 1, "resolution": 11500}
    found = starloom.generate(**sun, band="rvs")
    np.testing.assert_array_equal(found.flux, starloom.generate(**sun).flux)
    assert (model_for("galah"), model_for("rvs"), model_for(None)) == ("optical", "default", "default")
    with pytest.raises(ConfigError, match="band and wavelength_aa exclude each other"):
        starloom.generate(**sun, band="rvs", wavelength_aa=[8500.0, 8501.0])
