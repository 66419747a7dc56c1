"""One message on its way: from the client's first octet behind DATA to the upstream's last word about it.

It streams: a piece is read from the client when the upstream has taken the one before, so a message costs one
piece of memory, whatever its size. The final dot goes out alone (`last_word`). What is refused in mid-body is
drained to its true end, within bounds, before the client is told.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from proxy.limits import SMTP_DRAIN_OCTETS, SMTP_HEADER_OCTETS
from proxy.log.words import SessionEnd
from proxy.smtp.data import BareNewlines, DataDecoder, Taken
from proxy.smtp.ends import CLOSING, FAILED, SessionOver, UpstreamLost
from proxy.smtp.last_word import LastWord, SpokeEarly
from proxy.smtp.reply import Reply
from proxy.smtp.sides import ClientSide, Times, UpstreamSide
from proxy.smtp.transaction import too_large

_DOT: Final = b".\r\n"
_FAULT: Final = b"554 5.6.0 %b in the message: lines end with CRLF, and NUL is not allowed\r\n"


class _RefusedError(Exception):
    """Nothing more of this message may go upstream; `words` is the reply to it."""

    def __init__(self, words: bytes) -> None:
        super().__init__("message refused")
        self.words = words


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What messages are held to."""

    most_octets: int
    """0 is no limit."""
    bare_newlines: BareNewlines = BareNewlines.REFUSE


class Message:
    """One message, made when the client's DATA has been answered with 354."""

    def __init__(self, client: ClientSide, upstream: UpstreamSide, times: Times, terms: Terms) -> None:
        self._client = client
        self._upstream = upstream
        self._times = times
        self._most = terms.most_octets
        self._decoder = DataDecoder(terms.bare_newlines)
        self._held = bytearray()  # for the upstream, not yet sent
        self._ended = False
        self._word = LastWord(client, upstream, times)

    def hurry(self) -> bool:
        """Wait a short time only for the upstream's last word; False when the final dot has not gone out."""
        return self._word.hurry()

    async def header(self, *, strict: bool) -> bytes | None:
        """Hold the message back until its header is whole, and give that. Raises `SessionOver`.

        The empty line that ends a header is not part of it (RFC 5322 §2.1). One that is too long to be held
        is refused, or where the rule is not `strict` None.
        """
        try:
            return await self._header(strict=strict)
        except _RefusedError as refused:
            raise await self._broken(SessionEnd.REFUSED, refused.words) from None

    async def carry(self) -> Reply:
        """Pass the message on, and give the upstream's reply to all of it.

        Whatever goes wrong before that reply closes the upstream and ends the session: `SessionOver`.
        """
        try:
            await self._word.before_the_end(self._stream())
            return await self._word.behind(_DOT)
        except _RefusedError as refused:
            raise await self._broken(SessionEnd.REFUSED, refused.words) from None
        except SpokeEarly as early:
            raise await self._broken(SessionEnd.UPSTREAM_LOST, early.words, str(early)) from None
        except UpstreamLost as lost:
            raise await self._broken(SessionEnd.UPSTREAM_LOST, FAILED, str(lost)) from None

    async def drain(self) -> bool:
        """Throw the rest of the message away; False when its end was not found within bounds."""
        self._held.clear()
        left = SMTP_DRAIN_OCTETS
        try:
            async with asyncio.timeout(self._times.drain):
                while not self._ended and left > 0:
                    async with asyncio.timeout(self._times.drain_quiet):
                        data = await self._client.block()
                    left -= len(data)
                    self._note(self._decoder.take(data))
        except TimeoutError:
            return False
        return self._ended

    async def _header(self, *, strict: bool) -> bytes | None:
        while not self._ended and len(self._held) <= SMTP_HEADER_OCTETS:
            before = len(self._held)
            self._held += (await self._next()).text
            if (end := _header_end(self._held, before)) >= 0:
                return bytes(self._held[:end])
        if self._ended:
            return bytes(self._held)
        if strict:
            raise _RefusedError(b"554 5.6.0 the header is longer than %d octets\r\n" % SMTP_HEADER_OCTETS)
        return None

    async def _stream(self) -> None:
        while True:
            if self._held:
                text = bytes(self._held)
                self._held.clear()
                await self._upstream.say(text)
            if self._ended:
                return
            self._held += (await self._next()).text

    async def _next(self) -> Taken:
        """Read one piece and look at it. Raises `_RefusedError`."""
        taken = self._decoder.take(await self._client.block())
        self._note(taken)
        if taken.fault is not None:
            raise _RefusedError(_FAULT % taken.fault.encode("ascii"))
        if 0 < self._most < self._decoder.octets:
            raise _RefusedError(too_large(self._most))
        return taken

    def _note(self, taken: Taken) -> None:
        if taken.ended:
            self._ended = True
            self._client.framer.feed(taken.rest)

    async def _broken(self, end: SessionEnd, words: bytes, cause: str = "") -> SessionOver:
        """Close the upstream without the final dot, let the client end its message, and give the end."""
        self._upstream.abort()
        await self.drain()
        return SessionOver(end, words + CLOSING, cause)


def _header_end(text: bytearray, before: int) -> int:
    """Give where the empty line behind a header begins, if it ends behind `before`; else -1."""
    return 0 if text[:2] == b"\r\n" else text.find(b"\r\n\r\n", max(0, before - 3))
