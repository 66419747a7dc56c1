"""Makes a PNG of a screen small: 256 colours instead of millions; of those, a page has few."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS_MOST: Final = 256
_TRUE_COLOUR: Final = b"\x08\x02\x00\x00\x00"  # 8 bits for each of red, green and blue; not interlaced
_PALETTE: Final = b"\x08\x03\x00\x00\x00"


def smaller(png: bytes) -> bytes:
    """Give the same picture with a palette. Raises ValueError for any PNG but 8 bits of three colours."""
    parts = list(_parts(png))
    head = parts[0][1]
    if head[8:] != _TRUE_COLOUR:
        raise ValueError("not a picture of 8 bits of red, green and blue")
    width = struct.unpack(">I", head[:4])[0]
    rows = list(_rows(zlib.decompress(b"".join(data for kind, data in parts if kind == b"IDAT")), width * 3))
    seen = Counter(pixel for row in rows for pixel in _pixels(row))
    palette = [pixel for pixel, _ in seen.most_common(_COLOURS_MOST)]
    index = {pixel: _nearest(pixel, palette) for pixel in seen}
    lines = b"".join(b"\0" + bytes(index[pixel] for pixel in _pixels(row)) for row in rows)
    written = (
        (b"IHDR", head[:8] + _PALETTE),
        (b"PLTE", b"".join(palette)),
        (b"IDAT", zlib.compress(lines, 9)),
    )
    return _MAGIC + b"".join(_part(kind, data) for kind, data in (*written, (b"IEND", b"")))


def _parts(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_MAGIC)
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rows(filtered: bytes, octets: int) -> Iterator[bytes]:
    """Take the filters off, as PNG §9 defines them."""
    above = bytes(octets)
    for at in range(0, len(filtered), octets + 1):
        kind, row = filtered[at], bytearray(filtered[at + 1 : at + 1 + octets])
        for n, value in enumerate(row):
            left, corner = (row[n - 3], above[n - 3]) if n >= 3 else (0, 0)
            guess = (0, left, above[n], (left + above[n]) // 2, _paeth(left, above[n], corner))[kind]
            row[n] = (value + guess) & 0xFF
        above = bytes(row)
        yield above


def _paeth(left: int, above: int, corner: int) -> int:
    whole = left + above - corner
    return min((left, above, corner), key=lambda each: abs(whole - each))


def _pixels(row: bytes) -> Iterator[bytes]:
    return (row[at : at + 3] for at in range(0, len(row), 3))


def _nearest(pixel: bytes, palette: list[bytes]) -> int:
    def distance(n: int) -> int:
        return sum((one - other) ** 2 for one, other in zip(pixel, palette[n], strict=True))

    return min(range(len(palette)), key=distance)
