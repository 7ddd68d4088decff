"""The emulators of a band's chunks as one: each wavelength from the chunk that knows it best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from starloom.arrays import array_library, one_line
from starloom.errors import ConfigError, OutOfRangeError
from starloom.labels import Domain
from starloom.networks.emulator import Emulator, Ends, in_portions
from starloom.networks.reduction import Reduction
from starloom.wavelength import LogGrid

ROUNDING_AA = 1e-6  # of air to vacuum and back


def joined(chunks: Sequence[Emulator], vacuum_aa: np.ndarray) -> "Emulator | BandEmulator":
    """The emulators of a band's chunks, in order, as one at increasing vacuum wavelengths [A].

    One chunk is its own emulator. Raises ``ConfigError`` where neighbours overlap too little for the fastest
    rotation and the lowest resolution of their labels, ``OutOfRangeError`` for unknown wavelengths.
    """
    return chunks[0].on(vacuum_aa) if len(chunks) == 1 else BandEmulator(tuple(chunks), vacuum_aa)


@dataclass(frozen=True, eq=False)
class BandEmulator:
    """Labels to flux over several chunks of a band; used like an ``Emulator``.

    At rest and in motion, neighbours meet in the middle of what both know of the star. ``ends_aa``: of
    pixels, over which the flux is averaged.
    """

    chunks: tuple[Emulator, ...]
    vacuum_aa: np.ndarray
    ends_aa: Ends | None = None

    __repr__ = one_line

    def __post_init__(self):
        broadest = np.where(
            [name == "resolution" for name in self.domain.names], self.domain.low, self.domain.high
        )
        first, last = self._ends(broadest, 0.0)
        if (gap := first[1:] > last[:-1]).any():
            where = float(self.chunks[int(gap.argmax())].finish.grid.last_aa)
            raise ConfigError(
                f"chunks overlap too little near {where:.1f} A for the broadening of their labels"
            )
        low, high = self.chunks[0].finish.known_aa[0], self.chunks[-1].finish.known_aa[1]
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
        """As ``Emulator.known``; the widest range without a gap where a motion opens one."""
        first, last = self._ends(labels, radial_velocity)
        xp = array_library(first)
        low, high = widest = first[0], last[0]
        for start, end in zip(first[1:], last[1:], strict=True):
            low, high = xp.where(start <= high, low, start), end
            wider = high - low > widest[1] - widest[0]
            widest = xp.where(wider, low, widest[0]), xp.where(wider, high, widest[1])
        return widest

    def flux(self, labels: np.ndarray, radial_velocity: Any = 0.0, threads: int | None = None) -> np.ndarray:
        """Normalised flux float32[..., wavelength] of ``labels[..., label]``: see ``in_portions``."""
        return in_portions(self, self.vacuum_aa.size, labels, radial_velocity, threads)

    def spectrum(self, labels: Any, radial_velocity: Any = None) -> Any:
        """Flux ``[..., wavelength]`` as a pure function of ``labels[..., label]``, which are not checked."""
        xp, flux = array_library(labels), 0.0
        for part, emulator, mine in self.shares(labels, radial_velocity):
            values = xp.where(mine, emulator.spectrum(labels, radial_velocity), np.float32(0))
            ends = [(0, 0)] * (values.ndim - 1) + [(part.start, self.vacuum_aa.size - part.stop)]
            flux = flux + xp.pad(values, ends)
        return flux

    def patterns(
        self, halves: Mapping[LogGrid, np.ndarray], labels: np.ndarray, velocity: np.ndarray
    ) -> np.ndarray:
        """As ``Emulator.patterns``."""
        count = next(iter(halves.values())).shape[1]
        found = np.zeros((len(labels), count, self.vacuum_aa.size), np.float32)
        for part, emulator, mine in self.shares(labels, velocity):
            found[..., part] += np.where(mine[:, None], emulator.patterns(halves, labels, velocity), 0)
        return found

    def shares(self, labels: Any, radial_velocity: Any = None) -> Iterator[tuple[slice, Emulator, Any]]:
        """Of each chunk: wavelengths that it knows, its emulator there, and which are its own [..., n]."""
        xp = array_library(labels)
        first, last = self._ends(labels, 0.0 if radial_velocity is None else radial_velocity)
        joins = [xp.sqrt(low * high)[..., None] for low, high in zip(first[1:], last[:-1], strict=True)]
        for number, (part, emulator) in enumerate(self._placed):
            if emulator is None:
                continue
            mine = np.ones(part.stop - part.start, bool)
            if number > 0:
                mine = mine & (self.vacuum_aa[part] >= joins[number - 1])
            if number < len(joins):
                mine = mine & (self.vacuum_aa[part] < joins[number])
            if xp is not np or mine.any():
                yield part, emulator, mine

    def _ends(self, labels: Any, radial_velocity: Any) -> tuple[Any, Any]:
        """First and last vacuum wavelength that each chunk knows: [chunk, ...]."""
        xp = array_library(labels, radial_velocity)
        first, last = zip(*(each.known(labels, radial_velocity) for each in self.chunks), strict=True)
        return xp.stack(first), xp.stack(last)

    @cached_property
    def _placed(self) -> list[tuple[slice, Emulator | None]]:
        """Each chunk's wavelengths among all, and its emulator at them; None where it has none."""
        found = []
        lowest, highest = self.ends_aa or (self.vacuum_aa, self.vacuum_aa)
        for each in self.chunks:
            low, high = each.finish.known_aa
            first = np.searchsorted(lowest, low - ROUNDING_AA)
            part = slice(int(first), int(np.searchsorted(highest, high + ROUNDING_AA)))
            ends = self.ends_aa and (lowest[part], highest[part])
            there = part.stop > part.start
            seen = each.seen(self.vacuum_aa[part], each.finish.finest_resolution, ends) if there else None
            found.append((part, seen))
        return found
