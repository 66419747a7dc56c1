"""A message as it comes after DATA (RFC 5321 §4.5.2), read from a stream into one buffer.

Only CRLF.CRLF ends it. A bare CR or LF ends no line; the message is then refused, but only at its true end,
for otherwise its rest would be taken for commands. Lines may be of any length: what is longer than the
reader's buffer comes in pieces. aiosmtpd's own reading keeps an object for each line, many times the size of
a message of short lines, and refuses long ones.
"""

from __future__ import annotations

import asyncio
from typing import Final

_CRLF: Final = b"\r\n"
_BARE: Final = "550 5.6.0 the message has a bare CR or LF"
_TOO_LARGE: Final = "552 5.3.4 the message is too large"


class MessageRefusedError(Exception):
    """The message was read up to its end, and is not taken. The text is the reply."""


async def read_message(reader: asyncio.StreamReader, most: int) -> bytearray:
    """Read a message of at most `most` octets, without the dots of the transfer and without the final one.

    Raises `MessageRefusedError`, and `asyncio.IncompleteReadError` when the stream ends before.
    """
    text = bytearray()
    refusal: str | None = None
    begins = True
    while True:
        piece, ends = await _piece(reader)
        if begins and piece == b".\r\n":
            break
        line = piece[: -len(_CRLF)] if ends else piece
        if b"\r" in line or b"\n" in line:
            refusal = refusal or _BARE
        if begins:
            piece = piece.removeprefix(b".")
        if len(text) + len(piece) > most:
            refusal = refusal or _TOO_LARGE
        if refusal is None:
            text += piece
        else:
            text.clear()
        begins = ends
    if refusal is not None:
        raise MessageRefusedError(refusal)
    return text


async def _piece(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """Read up to the next CRLF, or a part of a long line; tells whether the CRLF is there.

    A CR at the end of what has come is left for the next piece: its LF may follow.
    """
    try:
        return await reader.readuntil(_CRLF), True
    except asyncio.LimitOverrunError as long:
        return await reader.readexactly(long.consumed), False
