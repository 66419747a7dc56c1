"""The two connections of a session: octets of the client, replies of the upstream, and every wait bounded.

Nothing is decided here. `ConnectionLost` is always the client's; whatever goes wrong with the upstream is
`UpstreamLost`. Cancelled, neither side loses anything it has heard.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy import limits
from proxy.log.words import SessionEnd
from proxy.logtext import quoted
from proxy.net.connection import Connection, ConnectionLost
from proxy.smtp.ends import IDLE, SessionOver, UpstreamLost
from proxy.smtp.grammar import Framer, LineLimits
from proxy.smtp.reply import Reply, ReplyFault, ReplyReader
from proxy.smtp.upstream import SignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a session waits, in seconds; the reasons stand in `proxy.limits`."""

    command: float = limits.SMTP_COMMAND_S
    reply: float = limits.SMTP_REPLY_S
    data_start: float = limits.SMTP_DATA_START_S
    data_block: float = limits.SMTP_DATA_BLOCK_S
    data_end: float = limits.SMTP_DATA_END_S
    data_end_gone: float = limits.SMTP_DATA_END_GONE_S
    drain: float = limits.SMTP_DRAIN_S
    drain_quiet: float = limits.SMTP_DRAIN_QUIET_S


class ClientSide:
    """What the client says: commands by way of `framer`, messages by `block`, chunks by `octets_of`."""

    def __init__(self, connection: Connection, times: Times) -> None:
        self.framer = Framer(LineLimits(command=limits.SMTP_LINE_OCTETS, sasl=limits.SMTP_SASL_LINE_OCTETS))
        self.connection = connection
        self.octets = 0
        """Said to the client in the session."""
        self._times = times

    async def say(self, octets: bytes) -> None:
        """Send replies. A client that does not read them is lost."""
        self.octets += len(octets)
        try:
            async with asyncio.timeout(self._times.data_block):
                await self.connection.send(octets)
        except TimeoutError:
            raise ConnectionLost("does not read its replies") from None

    async def hear(self) -> None:
        """Wait for more of a command."""
        try:
            async with asyncio.timeout(self._times.command):
                data = await self.connection.receive(limits.SMTP_LINE_OCTETS)
        except TimeoutError:
            raise SessionOver(*IDLE) from None
        self.framer.feed(_some(data))

    async def hold(self) -> None:
        """Keep what the client sends while an answer is due, as far as there is room; return at its end."""
        while (room := limits.SMTP_PIPELINE_OCTETS - self.framer.held) > 0:
            data = await self.connection.receive(min(room, limits.SMTP_LINE_OCTETS))
            if not data:
                return
            self.framer.feed(data)
        await asyncio.Event().wait()

    async def block(self) -> bytes:
        """Give the next octets of a message, first what was held while an answer was due."""
        return self.framer.unread() or await self._receive(limits.SMTP_BLOCK_OCTETS)

    async def octets_of(self, left: int) -> bytes:
        """Give the next octets of a chunk that has `left` more, likewise; never one behind it."""
        most = min(left, limits.SMTP_BLOCK_OCTETS)
        return self.framer.take(most) or await self._receive(most)

    async def _receive(self, most: int) -> bytes:
        try:
            async with asyncio.timeout(self._times.data_block):
                return _some(await self.connection.receive(most))
        except TimeoutError:
            raise SessionOver(*IDLE) from None


def _some(data: bytes) -> bytes:
    if not data:
        raise SessionOver(SessionEnd.CLIENT_CLOSED)
    return data


class UpstreamSide:
    """What the upstream is told, and its replies in their order."""

    def __init__(self, signed_in: SignedIn, times: Times) -> None:
        self.extensions = signed_in.extensions
        self.octets = 0
        """Said to the upstream in the session."""
        self._connection = signed_in.connection
        self._times = times
        self._replies = ReplyReader()
        self._replies.feed(signed_in.rest)

    @property
    def pipelines(self) -> bool:
        """Whether several commands may be sent at once (RFC 2920)."""
        return "PIPELINING" in self.extensions

    @property
    def silent(self) -> bool:
        """Whether it has said nothing that was not asked for."""
        return self._replies.empty

    async def say(self, octets: bytes) -> None:
        """Send commands, or a part of a message; returns when the kernel has it."""
        self.octets += len(octets)
        try:
            async with asyncio.timeout(self._times.data_block):
                await self._connection.send(octets)
        except TimeoutError:
            raise UpstreamLost("takes nothing any more") from None
        except ConnectionLost as lost:
            raise UpstreamLost(f"was lost: {lost}") from None

    async def ask(self, commands: list[bytes], within_s: float) -> list[Reply]:
        """Send commands, and give the reply to each. What was said unasked before answers none of them.

        One reply is awaited `within_s` at most.
        """
        if not self.silent:
            raise UpstreamLost("spoke unasked")
        await self.say(b"".join(commands))
        replies: list[Reply] = []
        try:
            while len(replies) < len(commands):
                replies.append(await self.reply(within_s))
        except UpstreamLost as lost:
            raise UpstreamLost(str(lost), replies) from None
        return replies

    async def reply(self, within_s: float | None) -> Reply:
        """Give the next reply; 421 is the upstream's end (RFC 5321 §3.8)."""
        try:
            async with asyncio.timeout(within_s):
                reply = await self.hear()
        except TimeoutError:
            raise UpstreamLost("did not answer in time") from None
        if reply.code == 421:
            raise UpstreamLost(f"closes: {quoted(b' '.join(reply.lines))}")
        return reply

    async def hear(self) -> Reply:
        """Give the next reply, whatever it is and however long it takes."""
        try:
            while (reply := self._replies.next()) is None:
                data = await self._connection.receive(limits.SMTP_LINE_OCTETS)
                if not data:
                    raise UpstreamLost("closed the connection")
                self._replies.feed(data)
        except ReplyFault as fault:
            raise UpstreamLost(str(fault)) from None
        except ConnectionLost as lost:
            raise UpstreamLost(f"was lost: {lost}") from None
        return reply

    def abort(self) -> None:
        """Close at once; what was not sent is never sent."""
        self._connection.abort()
