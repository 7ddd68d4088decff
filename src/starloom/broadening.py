"""What rotation, macroturbulence, motion and the instrument do to a spectrum: convolutions in Fourier space.

On a grid uniform in :math:`\\ln\\lambda` every one of these kernels is the same at all wavelengths, and the
velocity :math:`u = c \\ln(\\lambda/\\lambda_0)` is the relativistic radial velocity to :math:`v^3/3c^2` (1e-4
km/s at 300 km/s). A spectrum's transform is multiplied by the kernel's own transform in closed form, never by
that of a sampled kernel: a rotation far below the pixel is as exact as a fast one. Wavelengths are in vacuum
[Angstrom], velocities in km/s, frequencies in cycles per km/s. NumPy and JAX arrays are accepted alike,
float32 or float64; what comes back is of the flux's own kind.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from math import inf, log, pi

import numpy as np

from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.units import plain
from starloom.wavelength import PAPER_GRID_AA, SYNTHESIS_GRID_AA, vacuum_from_air

LIMB_DARKENING = 0.6  # the fixed value of SYNSPEC's ROTIN, with which the paper's spectra were made
FINEST_RESOLUTION = 14500.0  # the largest of the label domain: what sets how many Fourier modes are needed
KEPT_RESOLUTION = 40000.0  # of the spectra in a store
KEPT_STRIDE = 3
KEPT_GRID_AA = SYNTHESIS_GRID_AA[1::KEPT_STRIDE]  # vacuum, 7290 points of 2.03 km/s
TAPS = 32  # points of the grid that one interpolated value is made of
# Kaiser's parameter for a passband up to 0.645 of the Nyquist frequency with this many points
KAISER_SHAPE = pi * TAPS / 2 * (1 - 0.645)


def uniform_step(wavelength_aa) -> float:
    """Step [km/s] of a grid uniform in ln(wavelength); ``ConfigError`` unless it is so to 1e-3 of a step."""
    logarithm = np.log(np.asarray(wavelength_aa, dtype=float))
    step = (logarithm[-1] - logarithm[0]) / (logarithm.size - 1)
    uneven = np.max(np.abs(logarithm - logarithm[0] - step * np.arange(logarithm.size)))
    if not (step > 0 and uneven < 1e-3 * step):
        raise ConfigError("wavelength: the grid is not uniform in ln(wavelength), as broadening needs it")
    return float(step * SPEED_OF_LIGHT_KMS)


def instrument_variance(resolution):
    r"""Variance [km2 s-2] of a Gaussian profile with FWHM = lambda / R: :math:`(c/R)^2 / (8 \ln 2)`."""
    return (SPEED_OF_LIGHT_KMS / resolution) ** 2 / (8 * log(2))


def doppler_shift(radial_velocity):
    r"""Shift of :math:`c \ln\lambda` [km/s] by a velocity [km/s] away from us: c artanh(v/c).

    Relativistic and radial: :math:`\lambda'/\lambda = \sqrt{(1+\beta)/(1-\beta)}` (Einstein 1905).
    """
    array = _namespace(radial_velocity)
    return SPEED_OF_LIGHT_KMS * array.arctanh(array.asarray(radial_velocity) / SPEED_OF_LIGHT_KMS)


def rotation_transfer(frequency, vsini, limb_darkening=LIMB_DARKENING):
    r"""Transform of the profile of a rigidly rotating sphere with linear limb darkening :math:`\epsilon`.

    .. math:: \left[(1-\epsilon)\frac{2J_1(x)}{x} + 2\epsilon\frac{\sin x - x\cos x}{x^3}\right]
              \Big/ \left(1-\frac{\epsilon}{3}\right), \qquad x = 2\pi f\, v\sin i

    which is the cosine transform of :math:`[2(1-\epsilon)\sqrt{1-w^2} + \tfrac{\pi}{2}\epsilon(1-w^2)] /
    [\pi(1-\epsilon/3)]`, w = v / (v sin i): Gray (2005), eq. 18.14; the transform goes back to Carroll
    (1933). The spectrum is assumed the same over the disk but for its brightness. Absolute error below 3e-8.
    """
    x = 2 * pi * frequency * vsini
    uniform = 2 * _bessel_j1_over_x(x)
    darkened = 2 * _spherical_j1_over_x(x)
    return ((1 - limb_darkening) * uniform + limb_darkening * darkened) / (1 - limb_darkening / 3)


def gaussian_transfer(frequency, variance):
    r"""Transform of a Gaussian: :math:`\exp(-2\pi^2\sigma^2 f^2)`, ``variance`` = sigma^2 [km2 s-2]."""
    array = _namespace(frequency, variance)
    # below e-80 the float32 result would be a denormal number, a hundred times slower to multiply
    return array.exp(array.maximum(-2 * pi**2 * frequency**2 * variance, -80.0))


def macroturbulence_transfer(frequency, macroturbulence):
    r"""Transform of radial-tangential macroturbulence: :math:`(1 - e^{-a}) / a, a = (\pi\zeta f)^2`.

    Half of the surface moves radially, half tangentially, each with a Gaussian of most probable speed zeta,
    so that the line-of-sight Gaussian is exp(-v^2 / (zeta cos theta)^2) or exp(-v^2 / (zeta sin theta)^2);
    weighting its transform with the projected area 2 mu dmu gives the same closed form for both. The profile
    is that of Gray (2005), chapter 17 (Gray 1975); limb darkening and the coupling with rotation are left
    out, as in the convolution used there.
    """
    array = _namespace(frequency, macroturbulence)
    exponent = (pi * macroturbulence * frequency) ** 2
    safe = array.where(exponent > 1e-4, exponent, 1.0)
    return array.where(exponent > 1e-4, -array.expm1(-safe) / safe, 1 - exponent / 2)


def broaden(
    flux,
    step_kms: float,
    *,
    vsini=0.0,
    resolution=inf,
    macroturbulence=0.0,
    radial_velocity=0.0,
    limb_darkening=LIMB_DARKENING,
    native_resolution=inf,
    reach_kms: float = 600.0,
):
    """Spectra as a rotating, moving star shows them to an instrument, on the grid they are given on.

    ``flux[..., wavelength]`` lies on a grid uniform in ln(wavelength) with ``step_kms`` (see
    ``uniform_step``). The keywords are numbers, or arrays of the flux's leading shape: ``vsini``,
    ``macroturbulence``, ``radial_velocity`` in km/s; ``resolution`` = lambda/FWHM of a Gaussian,
    ``native_resolution`` the one that the flux already has. Beyond its ends the spectrum is continued with
    its end values over ``reach_kms`` (more than v sin i + 5 sigma + |velocity|), so results this near to an
    end rest on that. Raises ``OutOfRangeError`` for a negative speed, a resolution above the native one, or a
    limb darkening outside 0..1. Error: that of the rotation's transform, 3e-8.
    """
    _check(vsini, resolution, macroturbulence, limb_darkening, native_resolution)
    _check_between("radial_velocity", radial_velocity, -SPEED_OF_LIGHT_KMS, SPEED_OF_LIGHT_KMS, " km/s")
    array = _namespace(flux, vsini, resolution, macroturbulence, radial_velocity, limb_darkening)
    flux = array.asarray(flux)
    size = flux.shape[-1]
    padded = _padded(array, flux, _fast_length(size + round(3 * reach_kms / step_kms)))
    frequency = np.fft.rfftfreq(padded.shape[-1], step_kms).astype(flux.dtype)
    column = [_column(array, value, flux.dtype) for value in (vsini, macroturbulence, limb_darkening)]
    variance = _remaining_variance(array, resolution, native_resolution, flux.dtype)
    transfer = rotation_transfer(frequency, column[0], column[2]) * gaussian_transfer(frequency, variance)
    transfer = transfer * macroturbulence_transfer(frequency, column[1])
    modes = array.fft.rfft(padded, axis=-1) * transfer
    if not (isinstance(radial_velocity, float | int) and radial_velocity == 0):
        modes = modes * _phase(array, frequency, radial_velocity, flux.dtype)
    return array.fft.irfft(modes, n=padded.shape[-1], axis=-1)[..., :size]


def keep(flux):
    """Spectra of the synthesis grid as a store keeps them: seen at R = 40000, every third point.

    ``flux[..., 21870]`` -> ``[..., 7290]`` on ``KEPT_GRID_AA``. The Gaussian passes 6e-6 at the kept grid's
    Nyquist frequency, so every later broadening to R <= 14500 finds the same modes in it as in the original.
    """
    if flux.shape[-1] != SYNTHESIS_GRID_AA.size:
        raise ConfigError(f"flux: {flux.shape[-1]} points, the synthesis grid has {SYNTHESIS_GRID_AA.size}")
    seen = broaden(flux, uniform_step(SYNTHESIS_GRID_AA), resolution=KEPT_RESOLUTION)
    return seen[..., 1::KEPT_STRIDE]


@dataclass(frozen=True, eq=False)
class Sampler:
    """A linear map from a uniform grid to other points: a banded matrix in dense blocks, fast in BLAS.

    Made by ``point_sampler``, ``pixel_sampler`` and ``instrument_sampler``; called with ``flux[..., grid]``
    it gives ``[..., target]``.
    """

    size: int
    targets: int
    columns: np.ndarray  # [block, window]: the grid points that a block of targets is made of
    weights: np.ndarray  # [block, window, target of the block]

    @cached_property
    def _single(self) -> np.ndarray:
        return self.weights.astype(np.float32)

    def __call__(self, flux):
        """Values at the target points, in the flux's own precision."""
        if flux.shape[-1] != self.size:
            raise ConfigError(f"flux: {flux.shape[-1]} points, the sampler was made for {self.size}")
        weights = self._single if flux.dtype == np.float32 else self.weights
        spectra = flux.reshape(-1, self.size)
        values = _namespace(flux).matmul(spectra[:, self.columns].swapaxes(0, 1), weights).swapaxes(0, 1)
        return values.reshape(len(spectra), -1)[:, : self.targets].reshape(*flux.shape[:-1], self.targets)


def point_sampler(grid_aa, wavelength_aa) -> Sampler:
    """Interpolation from a grid uniform in ln(wavelength) to increasing vacuum wavelengths within it.

    A sinc of 32 points in a Kaiser (1974) window, its weights scaled to sum to one: the error is below 1e-7
    of the amplitude for all that varies slower than one cycle in 3.1 points; a constant is exact. Sixteen
    points of margin are needed on either side (``OutOfRangeError``).
    """
    wavelength_aa = np.asarray(wavelength_aa, dtype=float)
    columns, weights = _sinc_weights(np.asarray(grid_aa, dtype=float), wavelength_aa)
    rows = np.repeat(np.arange(wavelength_aa.size), TAPS)
    return _sampler(len(grid_aa), wavelength_aa.size, rows, columns.ravel(), weights.ravel())


def pixel_sampler(grid_aa, edges_aa) -> Sampler:
    """Mean flux per unit wavelength in pixels: the interpolated spectrum integrated between ``edges_aa``.

    ``edges_aa`` are n + 1 increasing vacuum wavelengths of n touching pixels; the sum of value times width is
    the integral over all of them, so flux is conserved. Four Gauss-Legendre nodes in each grid step: error
    below 1e-7.
    """
    grid_aa, edges_aa = np.asarray(grid_aa, dtype=float), np.asarray(edges_aa, dtype=float)
    width = np.diff(edges_aa)
    if not np.all(width > 0):
        raise ConfigError("edges: not strictly increasing")
    cells = np.ceil(width / np.min(np.diff(grid_aa))).astype(int)
    pixel = np.repeat(np.arange(width.size), cells)
    order = np.arange(pixel.size) - np.repeat(np.cumsum(cells) - cells, cells)
    node, node_weight = np.polynomial.legendre.leggauss(4)
    place = (order[:, None] + (node + 1) / 2) / cells[pixel, None]
    wavelength_aa = edges_aa[pixel, None] + width[pixel, None] * place
    columns, weights = _sinc_weights(grid_aa, wavelength_aa.ravel())
    weights = weights * np.broadcast_to(node_weight / 2 / cells[pixel, None], place.shape).reshape(-1, 1)
    rows = np.repeat(np.repeat(pixel, node.size), TAPS)
    return _sampler(grid_aa.size, width.size, rows, columns.ravel(), weights.ravel())


def instrument_sampler(grid_aa, wavelength_aa, resolution) -> Sampler:
    """The spectrum as an instrument of any resolution R(wavelength) sees it at increasing vacuum wavelengths.

    ``resolution`` is a number or an array like ``wavelength_aa``: each point has its own Gaussian of FWHM =
    lambda/R, summed over the grid to 6 sigma. While sigma is at least one step (``OutOfRangeError``
    otherwise) the sum equals the integral to 6e-9, by Poisson's formula; the cut leaves 2e-9.
    """
    grid_aa, wavelength_aa = np.asarray(grid_aa, dtype=float), np.asarray(wavelength_aa, dtype=float)
    step = uniform_step(grid_aa)
    sigma = np.broadcast_to(np.sqrt(instrument_variance(resolution)) / step, wavelength_aa.shape)
    if np.min(sigma) < 1:
        highest = np.sqrt(instrument_variance(1.0)) / step
        raise OutOfRangeError(
            f"resolution = {np.max(resolution):g} is above {highest:.0f}, too fine for the grid"
        )
    half = int(np.ceil(6 * np.max(sigma)))
    columns, distance = _neighbours(grid_aa, wavelength_aa, half)
    weights = np.exp(-0.5 * (distance / sigma[:, None]) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(wavelength_aa.size), 2 * half)
    return _sampler(grid_aa.size, wavelength_aa.size, rows, columns.ravel(), weights.ravel())


@dataclass(frozen=True, eq=False)
class Finish:
    """The last step from a kept spectrum to an observed one: rotation, resolution, an observer's points.

    ``modes(kept)`` gives the Fourier coefficients below the frequency beyond which R <= 14500 passes less
    than 1e-5 (1287 of 3646), ``from_modes`` the flux; calling the object does both. A model that predicts a
    spectrum as a sum of basis spectra may enter with the same sum over the basis' modes. The flux error of
    leaving out the rest is below 2e-6 for a line of 2 km/s width and full depth. Made by ``finish_onto``.
    NumPy is fastest with 32 to 64 spectra a call.
    """

    frequency: np.ndarray  # [mode], cycles per km/s
    points: int  # of the uniform grid over the same range that the modes are transformed back to
    sampler: Sampler
    finest_resolution: float

    @property
    def known_aa(self) -> tuple[float, float]:
        """First and last vacuum wavelength [A] that can be asked for, whatever the broadening."""
        return _known_aa(self.points)

    def modes(self, kept):
        """Fourier coefficients complex[..., mode] of ``kept[..., 7290]``, in units of flux."""
        array = _namespace(kept)
        return array.fft.rfft(kept, axis=-1)[..., : self.frequency.size] / kept.shape[-1]

    def from_modes(
        self,
        modes,
        vsini,
        resolution,
        radial_velocity=0.0,
        limb_darkening=LIMB_DARKENING,
        native_resolution=KEPT_RESOLUTION,
    ):
        """Flux[..., target] of spectra given by their ``modes``: see ``broaden`` for the other arguments.

        A velocity moves what lies beyond the kept range into view: trust only what started at 8388-8812 A
        (air).
        """
        _check(vsini, resolution, 0.0, limb_darkening, native_resolution)
        _check_between("resolution", resolution, 1.0, self.finest_resolution)
        array = _namespace(modes, vsini, resolution, radial_velocity, limb_darkening)
        dtype = modes.real.dtype
        frequency = self.frequency.astype(dtype)
        variance = _remaining_variance(array, resolution, native_resolution, dtype)
        rotation = rotation_transfer(
            frequency, _column(array, vsini, dtype), _column(array, limb_darkening, dtype)
        )
        modes = modes * (rotation * gaussian_transfer(frequency, variance) * self.points)
        if not (isinstance(radial_velocity, float | int) and radial_velocity == 0):
            modes = modes * _phase(array, frequency, radial_velocity, dtype)
        return self.sampler(array.fft.irfft(modes, n=self.points, axis=-1))

    def __call__(self, kept, vsini, resolution, **options):
        """Flux[..., target] of kept spectra ``kept[..., 7290]``; ``options`` as in ``from_modes``."""
        return self.from_modes(self.modes(kept), vsini, resolution, **options)


def finish_onto(wavelength_aa, finest_resolution: float = FINEST_RESOLUTION) -> Finish:
    """The ``Finish`` onto increasing vacuum wavelengths, good for every resolution up to the finest one."""
    frequency, points = _modes_for(finest_resolution)
    step, size = uniform_step(KEPT_GRID_AA), KEPT_GRID_AA.size
    grid_aa = KEPT_GRID_AA[0] * np.exp(np.arange(points) * (size / points) * step / SPEED_OF_LIGHT_KMS)
    return Finish(frequency, points, point_sampler(grid_aa, wavelength_aa), finest_resolution)


def known_range(finest_resolution: float = FINEST_RESOLUTION) -> tuple[float, float]:
    """First and last vacuum wavelength [A] that ``finish_onto`` takes: narrower where lines are wider."""
    return _known_aa(_modes_for(finest_resolution)[1])


def _modes_for(finest_resolution: float) -> tuple[np.ndarray, int]:
    """Frequencies [cycles per km/s] that a resolution needs, and the points of their uniform grid."""
    step, size = uniform_step(KEPT_GRID_AA), KEPT_GRID_AA.size
    if not 0 < finest_resolution < KEPT_RESOLUTION:
        raise OutOfRangeError(f"resolution = {finest_resolution:g} is outside ]0, {KEPT_RESOLUTION:g}[")
    cutoff = np.sqrt(log(1e5) / (2 * pi**2 * instrument_variance(finest_resolution)))
    count = min(int(np.ceil(cutoff * step * size)) + 1, size // 2 + 1)
    # 3.1 points per cycle of the fastest mode is what the interpolation needs
    return np.fft.rfftfreq(size, step)[:count], _fast_length(int(np.ceil(3.1 * count)))


def _known_aa(points: int) -> tuple[float, float]:
    """The kept range without what interpolation from a uniform grid of so many points needs at its ends."""
    step = uniform_step(KEPT_GRID_AA) * KEPT_GRID_AA.size / points
    margin = np.exp((TAPS / 2 + 1) * step / SPEED_OF_LIGHT_KMS)
    return float(KEPT_GRID_AA[0] * margin), float(KEPT_GRID_AA[-1] / margin)


@cache
def paper_finish() -> Finish:
    """The ``Finish`` onto the paper's 4000 points."""
    return finish_onto(vacuum_from_air(PAPER_GRID_AA))


def finish(kept, vsini, resolution, **options):
    """Kept spectra ``[..., 7290]`` with rotation and resolution at the paper's points: ``[..., 4000]``.

    ``options`` as in ``Finish.from_modes``.
    """
    return paper_finish()(kept, vsini, resolution, **options)


def _namespace(*values):
    """The array library the values belong to: JAX where one of them comes from there, else NumPy."""
    for value in values:
        if hasattr(value, "__array_namespace__") and not isinstance(value, np.ndarray | np.generic):
            return value.__array_namespace__()
    return np


def _check(vsini, resolution, macroturbulence, limb_darkening, native_resolution) -> None:
    _check_between("vsini", vsini, 0.0, inf, " km/s")
    _check_between("macroturbulence", macroturbulence, 0.0, inf, " km/s")
    _check_between("limb_darkening", limb_darkening, 0.0, 1.0)
    if _namespace(native_resolution) is np:
        _check_between("resolution", resolution, 1.0, np.asarray(native_resolution))


def _check_between(name: str, value, low: float, high, unit: str = "") -> None:
    """Raise for the first value outside; JAX arrays, which may be traced, are let through."""
    if _namespace(value) is not np:
        return
    value, high = np.broadcast_arrays(plain(name, value, ""), high)
    outside = ~((value >= low) & (value <= high))
    if np.any(outside):
        wrong, limit = value[outside][0], high[outside][0]
        raise OutOfRangeError(f"{name} = {wrong:g}{unit} is outside [{low:g}, {limit:g}]{unit}")


def _column(array, value, dtype):
    return array.asarray(value, dtype=dtype)[..., None]


def _remaining_variance(array, resolution, native_resolution, dtype):
    """What is left to convolve with: Gaussians add in variance."""
    variance = instrument_variance(array.asarray(resolution)) - instrument_variance(
        array.asarray(native_resolution)
    )
    return _column(array, variance, dtype)


def _phase(array, frequency, radial_velocity, dtype):
    shift = _column(array, doppler_shift(radial_velocity), dtype)
    return array.exp(-2j * pi * frequency * shift)


def _bessel_j1_over_x(x):
    """J1(x)/x for x >= 0: Abramowitz & Stegun (1964), 9.4.4 and 9.4.6, absolute error below 3e-8."""
    array = _namespace(x)
    near = array.minimum(x, 3.0) / 3
    inner = (0.5, -0.56249985, 0.21093573, -0.03954289, 0.00443319, -0.00031761, 0.00001109)
    far = array.maximum(x, 3.0)
    ratio = 3 / far
    size = (0.79788456, 0.00000156, 0.01659667, 0.00017105, -0.00249511, 0.00113653, -0.00020033)
    turn = (-2.35619449, 0.12499612, 0.00005650, -0.00637879, 0.00074348, 0.00079824, -0.00029166)
    outer = _polynomial(size, ratio) * array.cos(far + _polynomial(turn, ratio)) / (far * array.sqrt(far))
    return array.where(x < 3, _polynomial(inner, near * near), outer)


def _spherical_j1_over_x(x):
    """(sin x - x cos x) / x^3 for x >= 0; below 1 by its power series, whose first term left out is 2e-9."""
    array = _namespace(x)
    near, far = array.minimum(x, 1.0), array.maximum(x, 1.0)
    series = (1 / 3, -1 / 30, 1 / 840, -1 / 45360, 1 / 3991680)
    closed = (array.sin(far) - far * array.cos(far)) / far**3
    return array.where(x < 1, _polynomial(series, near * near), closed)


def _polynomial(coefficients, x):
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _padded(array, flux, length: int):
    """The flux continued flat beyond both ends, with a smooth way back between: no jump in the period."""
    way = np.clip(np.linspace(-1, 2, length - flux.shape[-1]), 0, 1).astype(flux.dtype)
    smooth = way * way * (3 - 2 * way)
    last, first = flux[..., -1:], flux[..., :1]
    return array.concatenate([flux, last + (first - last) * smooth], axis=-1)


def _fast_length(size: int) -> int:
    """The smallest number 2^a 3^b 5^c that is not below ``size``: such transforms are the fast ones."""
    power = range(size.bit_length() + 1)
    return min(n for a in power for b in power for c in power if (n := 2**a * 3**b * 5**c) >= size)


def _neighbours(grid_aa, wavelength_aa, half: int):
    """Indices [target, 2 half] of the grid points around each target, and their distances in steps."""
    step = np.log(grid_aa[-1] / grid_aa[0]) / (grid_aa.size - 1)
    place = np.log(wavelength_aa / grid_aa[0]) / step
    if not np.all(np.diff(place) > 0):
        raise ConfigError("wavelength: not strictly increasing")
    columns = np.floor(place).astype(int)[:, None] + np.arange(1 - half, half + 1)
    if columns[0, 0] < 0 or columns[-1, -1] >= grid_aa.size:
        low, high = grid_aa[half - 1], grid_aa[grid_aa.size - half - 1]
        asked = f"wavelength = {wavelength_aa[0]:.3f}..{wavelength_aa[-1]:.3f} A (vacuum)"
        raise OutOfRangeError(f"{asked} is outside [{low:.3f}, {high:.3f}] A")
    return columns, place[:, None] - columns


def _sinc_weights(grid_aa, wavelength_aa):
    uniform_step(grid_aa)
    columns, distance = _neighbours(grid_aa, wavelength_aa, TAPS // 2)
    window = np.i0(KAISER_SHAPE * np.sqrt(np.maximum(0, 1 - (distance / (TAPS / 2)) ** 2)))
    weights = np.sinc(distance) * window
    return columns, weights / weights.sum(axis=1, keepdims=True)


def _sampler(size: int, targets: int, rows, columns, weights, block: int = 64) -> Sampler:
    """Dense blocks of ``block`` targets each, from the matrix' entries in the order of their rows."""
    entries = [slice(*np.searchsorted(rows, [first, first + block])) for first in range(0, targets, block)]
    window = max(int(np.ptp(columns[entry])) + 1 for entry in entries)
    starts = np.array([min(columns[entry].min(), size - window) for entry in entries])
    dense = np.zeros((len(entries), window, block))
    np.add.at(dense, (rows // block, columns - starts[rows // block], rows % block), weights)
    # 32 bits, because JAX mixes 64-bit indices badly between its two precisions
    columns = (starts[:, None] + np.arange(window)).astype(np.int32)
    return Sampler(size, targets, columns, dense)
