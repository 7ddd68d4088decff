"""The emulators of a band's chunks as one: their lines, each chunk's share of them, added up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.broadening import COARSEST, ROUNDING_AA, doppler_shift, reached, summed
from starloom.constants import SPEED_OF_LIGHT_KMS
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import Domain
from starloom.networks.emulator import Emulator, Ends, in_portions
from starloom.networks.reduction import Reduction
from starloom.wavelength import LogGrid

STEP = 2 ** (1 / 3)  # in resolution, from one set of modes to the next


def joined(chunks: Sequence[Emulator], vacuum_aa: np.ndarray) -> "Emulator | BandEmulator":
    """The emulators of a band's chunks, in order, as one at increasing vacuum wavelengths [A].

    One chunk is its own emulator. Raises ``ConfigError`` where neighbours have too little room for the
    fastest rotation and the lowest resolution of their labels, ``OutOfRangeError`` for unknown wavelengths.
    """
    return chunks[0].on(vacuum_aa) if len(chunks) == 1 else BandEmulator(tuple(chunks), vacuum_aa)


@dataclass(frozen=True, eq=False)
class BandEmulator:
    """Labels to flux over several chunks of a band; used like an ``Emulator``.

    Every chunk knows its window's share of the lines, and gives what rotation, instrument and motion make of
    that, wherever it reaches: see ``broadening.Finish``. ``ends_aa``: of pixels, over which the flux is
    averaged.
    """

    chunks: tuple[Emulator, ...]
    vacuum_aa: np.ndarray
    ends_aa: Ends | None = None

    __repr__ = one_line

    def __post_init__(self):
        if any(each.finish.window is None for each in self.chunks):
            raise ConfigError("chunks without a window do not add up to a band")
        broadest = np.where(
            [name == "resolution" for name in self.domain.names], self.domain.low, self.domain.high
        )
        if (reach := float(self.chunks[0].reach(broadest))) > self._room_kms:
            told = f"labels spread light by up to {reach:.0f} km/s, chunks have room for {self._room_kms:.0f}"
            raise ConfigError(told)
        low, high = self.chunks[0].finish.grid.first_aa, self.chunks[-1].finish.grid.last_aa
        lowest, highest = self.ends_aa or (self.vacuum_aa, self.vacuum_aa)
        asked = lowest[0], highest[-1]
        if not low - ROUNDING_AA < asked[0] <= asked[1] < high + ROUNDING_AA:
            raise OutOfRangeError(
                f"wavelength = {asked[0]:.3f}..{asked[1]:.3f} A (vacuum) is outside [{low:.3f}, {high:.3f}] A"
            )

    @property
    def domain(self) -> Domain:
        """The labels and their ranges."""
        return self.chunks[0].domain

    def reduced(self, reduction: Reduction) -> "BandEmulator":
        """The same emulator as one of fewer labels."""
        return replace(self, chunks=tuple(each.reduced(reduction) for each in self.chunks))

    def on(self, wavelength_vacuum_aa: np.ndarray) -> "BandEmulator":
        """The same emulator at other wavelengths [A], in vacuum."""
        return replace(self, vacuum_aa=wavelength_vacuum_aa, ends_aa=None)

    def seen(
        self, wavelength_vacuum_aa: np.ndarray, finest_resolution: float, ends_aa: Ends | None = None
    ) -> "BandEmulator":
        """As ``Emulator.seen``."""
        faster = tuple(
            each.seen(np.array([each.finish.grid.wavelength_aa.mean()]), finest_resolution)
            for each in self.chunks
        )
        return BandEmulator(faster, wavelength_vacuum_aa, ends_aa)

    def known(self, labels: np.ndarray, radial_velocity: Any = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """As ``Emulator.known``; of the middle chunk alone where a motion exceeds the room beside it."""
        xp = array_library(labels, radial_velocity)
        first, _ = self.chunks[0].known(labels, radial_velocity)
        _, last = self.chunks[-1].known(labels, radial_velocity)
        shift = doppler_shift(radial_velocity)
        spread = self.chunks[0].reach(labels) + xp.abs(shift)
        middle = self.chunks[len(self.chunks) // 2].finish.window
        away = xp.exp((spread + self._room_kms) / SPEED_OF_LIGHT_KMS)
        alone = first if middle.start is None else middle.start.join_aa * away
        until = last if middle.stop is None else middle.stop.join_aa / away
        wide = spread > self._room_kms
        return xp.where(wide, xp.maximum(first, alone), first), xp.where(wide, xp.minimum(last, until), last)

    @cached_property
    def _room_kms(self) -> float:
        """How far the light of a chunk may spread beyond the lines that it gives."""
        rooms = []
        for each in self.chunks:
            window, known = each.finish.window, each.finish.known_aa
            for fade, end in ((window.start, known[0]), (window.stop, known[1])):
                if fade:
                    rooms.append(SPEED_OF_LIGHT_KMS * abs(np.log(end / fade.join_aa)) - fade.width_kms)
        return float(min(rooms))

    def flux(self, labels: np.ndarray, radial_velocity: Any = 0.0, threads: int | None = None) -> np.ndarray:
        """Normalised flux float32[..., wavelength] of ``labels[..., label]``: see ``in_portions``."""
        return in_portions(self, self.vacuum_aa.size, labels, radial_velocity, threads)

    def spectrum(self, labels: Any, radial_velocity: Any = None) -> Any:
        """Flux ``[..., wavelength]`` as a pure function of ``labels[..., label]``, which are not checked."""
        parts, emulators = zip(*self._fast(labels).needed(labels, radial_velocity), strict=True)
        blurred = emulators[0].blur(labels, radial_velocity) if self._alike else None
        fluxes = [each.spectrum(labels, radial_velocity, blurred) for each in emulators]
        return summed(fluxes, parts, self.vacuum_aa.size)

    def _fast(self, labels: Any) -> "BandEmulator":
        """The same with no more modes than the resolutions of these labels need, to a step of ``STEP``.

        A long band is read from memory anew for each spectrum: half of the modes are half of the time.
        """
        if array_library(labels) is not np or "resolution" not in self.domain.names:
            return self
        finest = self.chunks[0].finish.finest_resolution
        asked = max(COARSEST, float(np.max(self.chunks[0].profile(labels, "resolution"), initial=0.0)))
        steps = int(np.log(finest / asked) / np.log(STEP)) if asked < finest else 0
        if steps and steps not in self._coarser:
            self._coarser[steps] = self.seen(self.vacuum_aa, finest / STEP**steps, self.ends_aa)
        return self._coarser[steps] if steps else self

    @cached_property
    def _coarser(self) -> "dict[int, BandEmulator]":
        """Those of lower resolutions that were needed, by the number of steps."""
        return {}

    @cached_property
    def _alike(self) -> bool:
        """Whether all chunks have the same modes."""
        first = self.chunks[0].finish
        return all(
            each.finish.points == first.points and np.array_equal(each.finish.frequency, first.frequency)
            for each in self.chunks
        )

    def needed(self, labels: Any, radial_velocity: Any = None) -> list[tuple[slice, Emulator]]:
        """Of each chunk whose lines reach some wavelengths: those around it, and its emulator there."""
        velocity = 0.0 if radial_velocity is None else radial_velocity
        if array_library(labels, velocity) is not np:
            return self._placed
        spread = float(np.max(self.chunks[0].reach(labels) + np.abs(doppler_shift(velocity)), initial=0.0))
        found = []
        for part, emulator in self._placed:
            low, high = emulator.finish.window.reached(spread)
            if self.vacuum_aa[part][-1] > low and self.vacuum_aa[part][0] < high:
                found.append((part, emulator))
        return found

    def patterns(
        self, halves: Mapping[LogGrid, np.ndarray], labels: np.ndarray, velocity: np.ndarray
    ) -> np.ndarray:
        """As ``Emulator.patterns``."""
        count = next(iter(halves.values())).shape[1]
        found = np.zeros((len(labels), count, self.vacuum_aa.size), np.float32)
        for part, each in self.needed(labels, velocity):
            found[..., part] += each.patterns(halves, labels, velocity)
        return found

    @cached_property
    def _placed(self) -> list[tuple[slice, Emulator]]:
        """Of each chunk that reaches some: its wavelengths among all, and its emulator at them."""
        found = []
        lowest, highest = self.ends_aa or (self.vacuum_aa, self.vacuum_aa)
        for each in self.chunks:
            part = reached(each.finish.known_aa, lowest, highest)
            if part.stop > part.start:
                ends = self.ends_aa and (lowest[part], highest[part])
                found.append((part, each.seen(self.vacuum_aa[part], each.finish.finest_resolution, ends)))
        return found
