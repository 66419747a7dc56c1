"""A message as it comes after DATA, read from a stream into one buffer. RFC 5321 §4.5.2.

What ends it and what is a fault the gate's own decoder says, so both sides of the socket see the same end. A
faulty message is refused at its true end only, for otherwise its rest would be taken for commands. aiosmtpd's
own reading keeps an object for each line, many times a message of short lines, and refuses long ones.
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.smtp.data import DataDecoder

_ALL: Final = 1 << 30
"""More than a reader ever holds: after such a read it is empty, and what is fed to it comes next."""


class MessageRefusedError(Exception):
    """The message was read up to its end, and is not taken. The text is the reply."""


async def read_message(reader: asyncio.StreamReader, most: int) -> bytearray:
    """Read a message of at most `most` octets, without the dots of the transfer and without the final one.

    Raises `MessageRefusedError`, and `asyncio.IncompleteReadError` when the stream ends before.
    """
    text, decoder = bytearray(), DataDecoder()
    while True:
        octets = await reader.read(_ALL)
        if not octets:
            raise asyncio.IncompleteReadError(b"", None)
        taken = decoder.take(octets)
        if decoder.octets > most:
            text.clear()
        elif taken.fault is None:
            text += _undotted(taken.text, begins=not text)
        if taken.ended:
            break
    if not reader.at_eof():
        reader.feed_data(taken.rest)
    if taken.fault is not None:
        raise MessageRefusedError(f"550 5.6.0 the message has a {taken.fault}")
    if decoder.octets > most:
        raise MessageRefusedError("552 5.3.4 the message is too large")
    return text


def _undotted(piece: bytes, *, begins: bool) -> bytes:
    """Undo the dots that the decoder sets for a transfer. It never ends a piece before a dot that it sets."""
    if begins and piece.startswith(b".."):
        piece = piece[1:]
    return piece.replace(b"\r\n..", b"\r\n.")
