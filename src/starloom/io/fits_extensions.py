"""Extensions of FITS files that grow row by row, in the memory of one portion: FITS standard 4.0 (2018)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

BLOCK = 2880  # bytes; section 3.1
COPIED = 1024 * BLOCK  # at once
NO_LETTERS = {*b":;<=>?@", *b"[\\]^_`"}  # between digits and letters in ASCII: not in a checksum


class Extension:
    """An image or a table that grows in a file of its own until ``write`` copies it into its place.

    ``header`` is that of its first portion, and may be added to; ``count`` its rows.
    """

    def __init__(self, name: str, stream: IO[bytes]):
        self.name, self.header, self.count, self._stream = name, None, 0, stream

    def append(self, hdu: Any) -> None:
        """Add the rows of an astropy HDU, which is like the first one."""
        from astropy.io import fits

        buffer = BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer)
        rows = hdu.header[f"NAXIS{hdu.header['NAXIS']}"]
        size = abs(hdu.header["BITPIX"]) // 8
        for axis in range(1, hdu.header["NAXIS"] + 1):
            size *= hdu.header[f"NAXIS{axis}"]
        start = BLOCK + len(_bytes(hdu.header))  # behind the primary header
        self._stream.write(buffer.getbuffer()[start : start + size])
        if self.header is None:
            self.header = hdu.header.copy()
            self.header["EXTNAME"] = self.name
        self.count += rows

    def write(self, stream: IO[bytes]) -> None:
        """Write header and data, with their checksums, where a file ends."""
        header = self.header
        header[f"NAXIS{header['NAXIS']}"] = self.count
        total = sum(_sum(content) for content in self._blocks())
        header["DATASUM"] = (str(_folded(total)), "sum of the data")
        header["CHECKSUM"] = ("0" * 16, "sum of header and data")
        header["CHECKSUM"] = _encoded(~_folded(total + _sum(_bytes(header))) & 0xFFFFFFFF)
        stream.write(_bytes(header))
        for content in self._blocks():
            stream.write(content)

    def _blocks(self) -> Iterator[bytes]:
        """The data, filled up to whole blocks with zeros; section 3.3.2 and 7.3.3."""
        self._stream.seek(0)
        while content := self._stream.read(COPIED):
            yield content + bytes(-len(content) % BLOCK)


@contextmanager
def growing(folder: Path, *names: str) -> Iterator[dict[str, Extension]]:
    """Extensions by name, whose files are in a folder and vanish when the block ends."""
    with ExitStack() as stack:
        yield {name: Extension(name, stack.enter_context(TemporaryFile(dir=folder))) for name in names}


def _bytes(header: Any) -> bytes:
    return header.tostring().encode("ascii")


def _sum(content: bytes) -> int:
    """The sum of 32-bit integers; section 4.4.2.7."""
    return int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))


def _folded(total: int) -> int:
    """A sum in ones' complement: what is beyond 32 bits is added again."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _encoded(value: int) -> str:
    """A complement as 16 letters and digits that, summed in their place, give it; appendix J."""
    letters = np.zeros((4, 4), int)
    for column, byte in enumerate(value.to_bytes(4)):
        four = [byte // 4 + byte % 4 + ord("0"), *[byte // 4 + ord("0")] * 3]
        for first in (0, 2):  # pairs whose sum stays
            while {four[first], four[first + 1]} & NO_LETTERS:
                four[first] += 1
                four[first + 1] -= 1
        letters[:, column] = four
    # the card's value begins one byte before a whole word
    return bytes(np.roll(letters.ravel(), 1).tolist()).decode()
