"""One client after its sign-in: commands forwarded in line, messages streamed, and an end that is told.

The shell around `transaction` and `message`. One command is dealt with at a time, but for RCPTs behind a
MAIL, which go upstream together where it pipelines; every reply goes back in its order. While the upstream is
asked the client is heard, up to a bound, so one that vanishes ends the session at once.

A 250 is only ever the upstream's own. When the upstream is lost the client hears 451, then 421. A cut closes
the upstream in the same moment, and with it every message whose end has not gone out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from proxy.entrance import ClientGoneError, watched
from proxy.failures import House
from proxy.limits import CLOSE_S, SMTP_PIPELINE_COMMANDS
from proxy.log.events import Ended, Traffic
from proxy.log.teller import end_of
from proxy.log.words import SessionEnd
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Attempt
from proxy.smtp import ends
from proxy.smtp.chunk import Chunk, throw_away
from proxy.smtp.data import BareNewlines
from proxy.smtp.ends import SessionOver, UpstreamLost
from proxy.smtp.grammar import Bdat, Line, NeedData, Rejected
from proxy.smtp.message import Message, Terms
from proxy.smtp.offer import AUTH, Extra, Offer, helo
from proxy.smtp.reply import Reply
from proxy.smtp.sender import SenderRule, Senders
from proxy.smtp.sender_check import SenderCheck
from proxy.smtp.sides import ClientSide, Times, UpstreamSide
from proxy.smtp.steps import (
    Forward,
    HangUp,
    Introduce,
    Leave,
    Say,
    SkipChunk,
    TakeChunk,
    TakeMessage,
)
from proxy.smtp.transaction import Transaction
from proxy.smtp.upstream import SignedIn
from scopes.model import Grant

_DATA: Final = b"DATA\r\n"
_GO_ON: Final = b"354 end with <CR><LF>.<CR><LF>\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What a session is told by the config."""

    house: House
    offer: Offer
    """What EHLO says, after sign-in too; its size is the largest message that is taken, 0 any."""
    rule: SenderRule = SenderRule.UPSTREAM
    senders: Senders | None = None
    """Needed for every rule but `upstream`."""
    bare_newlines: BareNewlines = BareNewlines.REFUSE
    now: Callable[[], float] = time.time
    times: Times = field(default_factory=Times)

    def __post_init__(self) -> None:
        if self.senders is None and self.rule is not SenderRule.UPSTREAM:
            raise ValueError(f"the sender rule {self.rule} needs to know the addresses of accounts")
        if Extra.CHUNKING in self.offer.extras and self.rule is not SenderRule.UPSTREAM:
            raise ValueError(f"the sender rule {self.rule} looks at the header, and of chunks none is seen")


class Submission:
    """One session. `run` takes over both connections, and has closed them when it returns."""

    def __init__(
        self,
        client: Connection,
        upstream: SignedIn,
        grant: Grant,
        attempt: Attempt,
        settings: SessionSettings,
    ) -> None:
        self.when_over: Callable[[Ended], None] = _nothing
        """Told how the session ends, before the last word to the client, which may take its time."""
        self._client = ClientSide(client, settings.times)
        self._upstream = UpstreamSide(upstream, settings.times)
        self._grant = grant
        self._attempt = attempt
        self._settings = settings
        self._transaction = Transaction(upstream.extensions, settings.offer)
        self._check = SenderCheck(self._client, grant, settings.rule, settings.senders)
        self._asked: list[Forward] = []  # for the upstream, their replies not yet given to the client
        self._message: Message | Chunk | None = None
        self._messages = 0
        self._task: asyncio.Task[None] | None = None
        self._over: tuple[SessionEnd, bytes] | None = None  # decided by others: cut, expiry, stop

    async def run(self, received: bytes) -> None:
        """Serve until the session ends. `received` came behind the sign-in; the client has heard 235.

        Raises nothing that peers cause. Cancelled, it closes the upstream and leaves the client to be told.
        """
        self._client.framer.feed(received)
        if self._attempt.cut:
            self.cut()
        expiry = self._when_expired()
        self._task = asyncio.ensure_future(self._serve())
        try:
            over = await self._outcome(self._task)
        finally:
            self._upstream.abort()
            if expiry is not None:
                expiry.cancel()
        await self._farewell(over)

    def cut(self) -> None:
        """End now, without waiting: revoked, or the server stops. Idempotent; the first reason stands."""
        self._end(ends.STOPPED if self._attempt.stopping else ends.CUT)

    # --- the end --------------------------------------------------------------------------------------------

    def _end(self, over: tuple[SessionEnd, bytes]) -> None:
        if self._over is not None:
            return
        self._over = over
        if self._message is not None and self._message.hurry():
            return  # the final dot has gone out: what became of the message is still to be told
        self._upstream.abort()
        if self._task is not None:
            self._task.cancel()

    def _when_expired(self) -> asyncio.TimerHandle | None:
        """End with the app password, not at some later sign-in."""
        if self._grant.expires_at is None:
            return None
        left_s = max(0.0, self._grant.expires_at - self._settings.now())
        return asyncio.get_running_loop().call_later(left_s, self._end, ends.EXPIRED)

    async def _outcome(self, task: asyncio.Task[None]) -> SessionOver:
        try:
            await task
        except SessionOver as over:
            return over
        except ClientGoneError:
            return SessionOver(SessionEnd.CLIENT_CLOSED)
        except ConnectionLost as lost:
            return SessionOver(end_of(lost), cause=str(lost))
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if self._over is None or (me is not None and me.cancelling()):
                raise
        return SessionOver(*(self._over or (SessionEnd.QUIT, b"")))

    async def _farewell(self, over: SessionOver) -> None:
        octets = self._client.octets + len(over.words)
        traffic = Traffic(octets_in=self._upstream.octets, octets_out=octets, messages=self._messages)
        self.when_over(Ended(reason=over.end, traffic=traffic, cause=over.cause))
        with contextlib.suppress(TimeoutError, ConnectionLost):
            async with asyncio.timeout(CLOSE_S):
                await self._client.say(over.words)
        await self._client.connection.close()

    # --- commands -------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        if self._over is not None:
            raise SessionOver(*self._over)
        while True:
            self._mark()
            line = self._client.framer.next()
            if not isinstance(line, NeedData):
                await self._obey(line)
            elif self._asked:
                await self._settle()  # meanwhile more may have come
            else:
                await self._client.hear()

    async def _obey(self, line: Line | Rejected) -> None:
        if not self._may_follow(line):
            await self._settle()
        step = self._transaction.step(line)
        if isinstance(step, Forward):
            await self._forward(step)
            return
        await self._settle()
        match step:
            case Say(reply):
                await self._client.say(reply)
            case HangUp(words):
                raise SessionOver(SessionEnd.REFUSED, words)
            case Introduce(extended, reset):
                await self._introduce(extended=extended, reset=reset)
            case TakeMessage():
                await self._take_message()
            case TakeChunk(bdat):
                await self._take_chunk(bdat)
            case SkipChunk():
                await self._skip_chunk(step)
            case Leave():
                await self._leave()

    def _may_follow(self, line: Line | Rejected) -> bool:
        """Tell whether a command may go upstream before the replies to those before it (RFC 2920 §3.1)."""
        return (
            isinstance(line, Line)
            and line.octets[:5].upper() == b"RCPT "
            and self._upstream.pipelines
            and len(self._asked) < SMTP_PIPELINE_COMMANDS
        )

    async def _forward(self, step: Forward) -> None:
        if step.sender is not None:
            refusal = await self._check.envelope(step.sender, utf8=step.utf8)
            if refusal is not None:
                self._transaction.closed()
                await self._client.say(refusal)
                return
        self._asked.append(step)

    async def _settle(self) -> None:
        """Send what is to go upstream, and give the client the replies."""
        asked, self._asked = self._asked, []
        if not asked:
            return
        replies = await self._ask([each.command for each in asked], self._settings.times.reply)
        for each, reply in zip(asked, replies, strict=True):
            if not (reply.positive or reply.negative):
                raise SessionOver(SessionEnd.UPSTREAM_LOST, ends.FAILED + ends.CLOSING, "gave no outcome")
            self._transaction.answered(each.verb, reply)
        told = zip(asked, replies, strict=True)
        await self._client.say(b"".join(said.wire_utf8 if each.utf8 else said.wire for each, said in told))

    async def _ask(self, commands: list[bytes], within_s: float, due: bytes = ends.FAILED) -> list[Reply]:
        """Ask the upstream while the client is heard. One that is lost ends the session, `due` being said."""
        try:
            return await watched(self._upstream.ask(commands, within_s), self._client.hold)
        except UpstreamLost as lost:
            said = b"".join(reply.wire for reply in lost.before)
            raise SessionOver(SessionEnd.UPSTREAM_LOST, said + due + ends.CLOSING, str(lost)) from None

    async def _introduce(self, *, extended: bool, reset: bool) -> None:
        if reset:
            await self._reset_upstream(ends.FAILED)
        house = self._settings.house
        await self._client.say(self._settings.offer.ehlo(house, AUTH) if extended else helo(house))
        await asyncio.sleep(0)  # nobody else is asked here, and this may be said without end

    async def _reset_upstream(self, due: bytes) -> None:
        """End what is open there; without that it is of no use, and `due` is said to the client."""
        (reply,) = await self._ask([b"RSET\r\n"], self._settings.times.reply, due)
        if not reply.positive:
            raise SessionOver(SessionEnd.UPSTREAM_LOST, due + ends.CLOSING, "refused RSET")

    async def _leave(self) -> None:
        """Pass QUIT on; whatever the upstream makes of it, the client may go (RFC 5321 §4.1.1.10)."""
        words = ends.GOODBYE
        with contextlib.suppress(SessionOver):
            (reply,) = await self._ask([b"QUIT\r\n"], CLOSE_S)
            words = reply.wire if reply.code == 221 else words
        raise SessionOver(SessionEnd.QUIT, words)

    # --- messages -------------------------------------------------------------------------------------------

    async def _take_message(self) -> None:
        """Take one message; a stop of the server waits for it."""
        self._attempt.under_way = True
        try:
            if self._settings.rule is SenderRule.UPSTREAM:
                await self._pass_message()
            else:
                await self._check_message()
        finally:
            self._message = None
            self._attempt.under_way = False

    async def _pass_message(self) -> None:
        opened = await self._open_data()
        await self._client.say(opened.wire)
        if opened.code == 354:
            await self._carry(self._new_message())

    async def _check_message(self) -> None:
        """Say 354 ourselves, look at the header, and only then ask the upstream."""
        await self._client.say(_GO_ON)
        message = self._new_message()
        header = await message.header(strict=self._check.strict)
        refusal = await self._check.header(header, utf8=self._transaction.utf8)
        if refusal is None:
            opened = await self._open_data_behind(message)
            if opened.code == 354:
                await self._carry(message)
                return
            refusal = opened.wire
        if not await message.drain():
            raise SessionOver(SessionEnd.REFUSED, refusal + ends.CLOSING)
        self._transaction.closed()
        await self._client.say(refusal)
        await self._reset_upstream(b"")

    async def _open_data(self) -> Reply:
        (reply,) = await self._ask([_DATA], self._settings.times.data_start)
        if reply.code != 354 and not reply.negative:
            cause = "answers DATA with no answer"
            raise SessionOver(SessionEnd.UPSTREAM_LOST, ends.FAILED + ends.CLOSING, cause)
        return reply

    async def _open_data_behind(self, message: Message) -> Reply:
        """Open DATA for a message that the client is sending; an outage is told when it has done so."""
        try:
            return await self._open_data()
        except SessionOver:
            await message.drain()
            raise

    def _new_message(self) -> Message:
        settings = self._settings
        terms = Terms(most_octets=settings.offer.size_octets, bare_newlines=settings.bare_newlines)
        self._message = Message(self._client, self._upstream, settings.times, terms)
        return self._message

    async def _carry(self, message: Message) -> None:
        reply = await message.carry()
        if reply.positive:
            self._messages += 1
            self._transaction.accepted()
        else:
            self._transaction.closed()
        await self._tell(reply)

    async def _tell(self, reply: Reply) -> None:
        """Give the upstream's word about a message; then end, if that was decided meanwhile."""
        await self._client.say(reply.wire)
        if self._over is not None:
            raise SessionOver(*self._over)

    # --- messages in chunks, RFC 3030 -----------------------------------------------------------------------

    def _mark(self) -> None:
        """A stop of the server waits for a message whose last chunk is still to come."""
        if self._attempt.under_way != self._transaction.awaits_chunks:
            self._attempt.under_way = self._transaction.awaits_chunks

    async def _take_chunk(self, bdat: Bdat) -> None:
        self._mark()
        self._message = chunk = Chunk(self._client, self._upstream, self._settings.times, bdat)
        try:
            reply = await chunk.carry()
        finally:
            self._message = None
        self._transaction.chunk_answered(bdat, reply)
        self._messages += bdat.last and reply.positive
        await self._tell(reply)
        if bdat.last and reply.negative:
            await self._reset_upstream(b"")  # where a failed BDAT leaves it nobody knows

    async def _skip_chunk(self, step: SkipChunk) -> None:
        self._mark()
        await throw_away(self._client, step.octets)
        await self._client.say(step.reply)
        if step.resets:
            self._transaction.closed()
            await self._reset_upstream(b"")
        await asyncio.sleep(0)  # nobody else is asked here, and empty chunks may come without end


def _nothing(_: Ended) -> None:
    return None
