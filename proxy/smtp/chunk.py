"""One chunk of a message on its way: BDAT, its octets, and the upstream's reply. RFC 3030 §2.

Octets are counted and never looked at: exactly as many are read from the client as its BDAT says, and exactly
as many go upstream behind a BDAT of ours that says the same, so both ends agree on where the next command
begins. A chunk streams as a message does; only its last octet is kept back, for `last_word`. A message is
whole with the reply to its last chunk; before that, closing the upstream leaves nothing behind there.
"""

from __future__ import annotations

import asyncio

from proxy.entrance import watched
from proxy.limits import SMTP_DRAIN_OCTETS
from proxy.log.words import SessionEnd
from proxy.smtp.ends import CLOSING, FAILED, SessionOver, UpstreamLost
from proxy.smtp.grammar import Bdat
from proxy.smtp.last_word import LastWord, SpokeEarly
from proxy.smtp.reply import Reply
from proxy.smtp.sides import ClientSide, Times, UpstreamSide


class Chunk:
    """One chunk, made when its BDAT may pass."""

    def __init__(self, client: ClientSide, upstream: UpstreamSide, times: Times, bdat: Bdat) -> None:
        self._client = client
        self._upstream = upstream
        self._times = times
        self._last = bdat.last
        self._left = bdat.octets  # of the client, still to come
        self._held = bdat.wire  # for the upstream, not yet sent
        self._word = LastWord(client, upstream, times)

    def hurry(self) -> bool:
        """Wait a short time only for the upstream's last word; False when the message is not out yet."""
        return self._word.hurry()

    async def carry(self) -> Reply:
        """Pass the chunk on, and give the upstream's reply to it.

        Whatever goes wrong before that reply closes the upstream and ends the session: `SessionOver`.
        """
        try:
            await self._word.before_the_end(self._stream())
            return await self._answer()
        except SpokeEarly as early:
            raise await self._broken(early.words, str(early)) from None
        except UpstreamLost as lost:
            raise await self._broken(FAILED, str(lost)) from None

    async def _stream(self) -> None:
        while self._left:
            octets = await self._client.octets_of(self._left)
            self._left -= len(octets)
            self._held += octets
            text, self._held = self._held[:-1], self._held[-1:]
            await self._upstream.say(text)

    async def _answer(self) -> Reply:
        if self._last:
            return await self._word.behind(self._held)
        await self._word.check_silence()
        await self._upstream.say(self._held)
        reply = await watched(self._upstream.reply(self._times.reply), self._client.hold)
        if not (reply.positive or reply.negative):
            raise UpstreamLost("answered a chunk with what is no outcome")
        return reply

    async def _broken(self, words: bytes, cause: str) -> SessionOver:
        """Close the upstream, let the client end its chunk, and give the end."""
        self._upstream.abort()
        if self._left <= SMTP_DRAIN_OCTETS:
            await self._drain()
        return SessionOver(SessionEnd.UPSTREAM_LOST, words + CLOSING, cause)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._times.drain):
                while self._left:
                    async with asyncio.timeout(self._times.drain_quiet):
                        self._left -= len(await self._client.octets_of(self._left))
        except TimeoutError:
            return


async def throw_away(client: ClientSide, octets: int) -> None:
    """Read the octets of a chunk that goes nowhere."""
    while octets:
        octets -= len(await client.octets_of(octets))
