"""What a weights file says of itself is what its model does: points, ranges, resolutions, limb darkening."""

from dataclasses import replace

import numpy as np
import pytest

from starloom import bands, broadening
from starloom.errors import OutOfRangeError, StoreError
from starloom.labels import RADIATION_LIMIT, TABLE_1, Domain
from starloom.networks import weights
from starloom.networks.emulator import unpacked
from starloom.networks.forward import Network, dense_layers, linear
from starloom.networks.generator import Generator, OutsideDomainWarning
from starloom.networks.scaling import label_scaling
from starloom.networks.weights import Header, Model
from starloom.wavelength import Points

RVS = bands.load("rvs")
GRID = RVS.kept[0]
STAR = np.array([4200, 4.5, 40, 0.2, 1.3, 9000.0])
NARROWER = Points("air", "linear", 8420.0, 8779.9, 3600)  # of the band's 4000 points from 8400 A


def ranges(**others):
    bounds = zip(TABLE_1.low.tolist(), TABLE_1.high.tolist(), strict=True)
    return dict(zip(TABLE_1.names, bounds, strict=True)) | others


def emulator(kept, domain=TABLE_1, points=RVS.points, finest=14500.0, kept_resolution=40000.0, limb=0.6):
    """A model of one spectrum, whatever the labels: what is left is what the header says of it."""
    band = replace(RVS, kept_resolution=kept_resolution, finest_resolution=finest)
    modes = broadening.finish_onto(GRID, points.vacuum_aa, finest, kept_resolution).modes(kept)
    modes = np.concatenate([modes.real, modes.imag])
    settings = {"limb_darkening": limb, "modes_resolution": finest}
    header = Header("emulator", domain, points, band, settings=settings)
    return Model(header, {"modes": linear(np.zeros((4, modes.size)), modes)})


def pixels(spectra, domain=TABLE_1, points=RVS.points):
    mixing = Network.initial(dense_layers((6, len(spectra)), "tanh", "sigmoid"), seed=0)
    network = label_scaling(domain).then(mixing).then(linear(spectra, np.zeros(points.count)))
    return Model(Header("generator", domain, points), {"generator": network})


@pytest.fixture(scope="module")
def kept(stand_in):
    return stand_in(STAR[None])[0].astype(float)


@pytest.fixture(params=[1, 2])
def travelled(request, tmp_path, save_first_format):
    """Through a file of either format."""

    def travel(model, **first):
        path = tmp_path / "model.safetensors"
        save_first_format(path, model, **first) if request.param == 1 else weights.save(path, model)
        return Generator.load(path)

    return travel


def exact(kept, points, labels, native, limb=0.6):
    seen = broadening.broaden(
        kept,
        GRID.step_kms,
        vsini=labels[2],
        resolution=labels[5],
        native_resolution=native,
        limb_darkening=limb,
    )
    return broadening.point_sampler(GRID.wavelength_aa, points.vacuum_aa)(seen)


def test_the_files_points_are_served(travelled, kept):
    served = travelled(emulator(kept, points=NARROWER)).spectrum(STAR)
    np.testing.assert_array_equal(served.wavelength, NARROWER.wavelength_aa)
    assert served.wavelength[[0, -1]] == pytest.approx([8420.0, 8779.9], abs=1e-9)
    # modes left out: 2e-6; float32
    np.testing.assert_allclose(served.flux, exact(kept, NARROWER, STAR, 14500.0), atol=4e-6)
    assert np.ptp(served.flux) > 0.1


def test_the_points_of_pixels_are_served(travelled, stand_in, draw_labels):
    spectra = broadening.finish_of(RVS)(stand_in(draw_labels(4, 1)), 10.0, 9000.0)
    less = travelled(pixels(spectra[:, 200:3800], points=NARROWER))
    every = Generator.of(pixels(spectra), "every")
    np.testing.assert_array_equal(less.spectrum(STAR).wavelength, NARROWER.wavelength_aa)
    np.testing.assert_allclose(less.flux(STAR), every.flux(STAR)[200:3800], atol=1e-6)
    # between the points too, and nothing beyond them
    asked = {"wavelength_aa": np.arange(8430.03, 8770.0, 0.1)}
    np.testing.assert_allclose(less.flux(STAR, **asked), every.flux(STAR, **asked), atol=2e-6)
    with pytest.raises(OutOfRangeError, match=r"is outside \[8420, 8779\.9\] A, what the model knows"):
        less.flux(STAR, wavelength_aa=np.array([8410.0, 8500.0]))


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_points_of_another_spacing_and_medium(tmp_path, kept, medium):
    points = Points(medium, "logarithmic", 8430.0, 8770.0, 2500)
    path = tmp_path / "model.safetensors"
    weights.save(path, emulator(kept, points=points))
    served = Generator.load(path).spectrum(STAR, medium=medium)
    np.testing.assert_array_equal(served.wavelength, np.geomspace(8430.0, 8770.0, 2500))
    np.testing.assert_allclose(served.flux, exact(kept, points, STAR, 14500.0), atol=4e-6)


@pytest.mark.parametrize("kind", ["emulator", "pixels"])
def test_the_trained_ranges_are_the_models(travelled, kept, stand_in, draw_labels, kind):
    domain = Domain.of(ranges(teff=(3600.0, 4600.0)), RADIATION_LIMIT)
    made = emulator(kept, domain) if kind == "emulator" else pixels(np.ones((2, 4000)), domain)
    generator = travelled(made)
    assert generator.domain == domain
    assert np.isfinite(generator.flux(STAR)).all()
    hotter = STAR.copy()
    hotter[0] = 5000.0
    with pytest.raises(OutOfRangeError, match=r"^teff = 5000 K is outside \[3600, 4600\] K$"):
        generator.flux(hotter)
    with pytest.warns(OutsideDomainWarning, match="teff = 5000 K is outside"):
        assert generator.spectrum(hotter, outside="clip").labels["teff"] == 4600.0


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"limb_darkening": None}, "the emulator's header makes no sense: .*float"),
        ({"limb_darkening": "x"}, "the emulator's header makes no sense: .*'x'"),
        ({"modes_resolution": []}, "the emulator's header makes no sense: .*float"),
        ({"modes_resolution": 3.0}, "the emulator's header makes no sense: a grid of .* points is too short"),
    ],
)
def test_settings_that_are_none(kept, setting, reason):
    model = emulator(kept)
    settings = {**model.header.settings, **setting}
    with pytest.raises(StoreError, match=reason):
        unpacked(replace(model, header=replace(model.header, settings=settings)))


@pytest.mark.parametrize(
    ("finest", "kept_resolution", "limb"),
    [(14500.0, 40000.0, 0.6), (20000.0, 40000.0, 0.6), (14500.0, 30000.0, 0.6), (14500.0, 40000.0, 0.2)],
)
def test_resolutions_and_limb_darkening_count(travelled, kept, finest, kept_resolution, limb):
    """The modes are those seen at the file's resolution, to be broadened with its limb darkening."""
    model = emulator(kept, finest=finest, kept_resolution=kept_resolution, limb=limb)
    generator = travelled(model, kept_resolution=kept_resolution)
    assert generator.header.band.kept_resolution == kept_resolution
    assert generator.header.band.finest_resolution == finest
    flux = generator.flux(STAR)
    np.testing.assert_allclose(flux, exact(kept, RVS.points, STAR, finest, limb), atol=4e-6)
    usual = Generator.of(emulator(kept), "usual").flux(STAR)
    differs = np.abs(flux - usual).max() > 1e-3
    assert differs == (finest != 14500.0 or limb != 0.6)


def test_a_stores_kept_resolution_counts(kept):
    band = replace(RVS, kept_resolution=30000.0)
    seen = broadening.finish_of(band)(kept[None], STAR[2:3], STAR[5:])[0]
    np.testing.assert_allclose(seen, exact(kept, RVS.points, STAR, 30000.0), atol=4e-6)
    assert np.abs(seen - broadening.finish_of(RVS)(kept[None], STAR[2:3], STAR[5:])[0]).max() > 1e-4


def test_headers_that_cannot_be_are_refused(kept):
    model = emulator(kept)
    for header, message in (
        (replace(model.header, settings={"modes_resolution": 14500.0}), "without 'limb_darkening'"),
        (replace(model.header, settings={**model.header.settings, "modes_resolution": 40000.0}), "no sense"),
        (replace(model.header, points=replace(RVS.points, first_aa=8300.0)), "no sense"),
        (replace(model.header, band=None), "without a band and points"),
        (replace(model.header, domain=TABLE_1.only("teff", "logg", "vsini")), "no sense"),
    ):
        with pytest.raises(StoreError, match=message):
            Generator.of(replace(model, header=header), "wrong")


def test_a_model_without_broadening_labels_is_seen_at_its_own_resolution(kept):
    domain = TABLE_1.only("teff", "logg", "mh", "vmic")
    generator = Generator.of(emulator(kept, domain), "bare")
    found, sharp = generator.flux(STAR[[0, 1, 3, 4]]), STAR.copy()
    sharp[[2, 5]] = 0, 14500
    np.testing.assert_allclose(found, Generator.of(emulator(kept), "usual").flux(sharp), atol=1e-6)
    lower = generator.model.seen(RVS.points.vacuum_aa, 5000.0).flux(STAR[[0, 1, 3, 4]])
    np.testing.assert_array_equal(lower, found)


def test_macroturbulence_is_a_label_like_the_others(kept):
    domain = Domain.of(ranges(vmac=(0.0, 20.0)), RADIATION_LIMIT)
    generator = Generator.of(emulator(kept, domain), "vmac")
    seen = broadening.broaden(
        kept, GRID.step_kms, vsini=10.0, resolution=12000.0, macroturbulence=15.0, native_resolution=14500.0
    )
    expected = broadening.point_sampler(GRID.wavelength_aa, RVS.points.vacuum_aa)(seen)
    labels = domain.array(teff=4200, logg=4.5, vsini=10.0, mh=0, vmic=1, resolution=12000.0, vmac=15.0)
    np.testing.assert_allclose(generator.flux(labels), expected, atol=4e-6)
