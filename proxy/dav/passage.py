"""A request's way to the server behind, and the answer's way back, as the wall has said.

Bodies stream: of neither direction more is held than a piece, but for XML, which is checked whole, and the
first octets of an answer, so that most faults in it still get a status. No octet goes to the client before
`confirm` has let it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.dav import answering
from proxy.dav.answering import Answering
from proxy.dav.client import Incoming
from proxy.dav.deadline import Deadline
from proxy.dav.exchange import Exchange, ResponseHead
from proxy.dav.fields import for_client, for_upstream, is_encoded
from proxy.dav.head import Head
from proxy.dav.ports import (
    Answer,
    AnswerFault,
    Body,
    CheckXml,
    FilterAnswer,
    Forward,
    NoBody,
    PassAnswer,
    StreamBody,
)
from proxy.dav.settings import Settings
from proxy.dav.upstream import UpstreamHead
from proxy.limits import DAV_HOLD_OCTETS
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant

log = logging.getLogger(__name__)

_BODILESS: Final = frozenset({204, 304})


class Upstream(Protocol):
    """The server behind: `proxy.dav.upstream.DavUpstream`."""

    async def begin(self, grant: Grant, head: UpstreamHead, *, length: int | None = 0) -> Exchange:
        """Send a head as the account. Raises `UpstreamFailure`."""

    def end(self, exchange: Exchange) -> None:
        """Give an exchange back, however it went."""


class Over(Exception):  # noqa: N818 - a way out, not an error
    """The request is over with this answer of ours. Raised before anything was sent."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came, and how its answer goes out."""

    head: Head
    incoming: Incoming
    answering: Answering
    confirm: Callable[[], Awaitable[None]]
    """Asks the gate once more; raises when it says no."""
    judge: Callable[[], Awaitable[Answer | Forward]]
    """Asks the wall once more what may become of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Out:
    """The request's body as it goes upstream."""

    octets: bytes = b""
    """All of it, or its begin."""
    length: int | None = 0
    content_type: str | None = None
    streams: bool = False
    """Whether more may come from the client."""


class Passage:
    """One request that may go upstream."""

    def __init__(
        self,
        upstream: Upstream,
        request: Request,
        *,
        limit: Deadline,
        watch: Callable[[], None],
        settings: Settings,
    ) -> None:
        """`limit` is set while the upstream takes what we send; it, and who comes to `watch`, end this."""
        self._upstream = upstream
        self._request = request
        self._limit = limit
        self._watch = watch
        self._settings = settings
        self._judged = time.monotonic()

    async def run(self, forward: Forward, grant: Grant) -> None:
        """Do it. Raises `Over`, `AnswerFault`, `BadBody`, `UpstreamFailure`, ConnectionLost."""
        forward, out = await self._body(forward)
        fields = forward.fields
        if out.content_type is not None:
            fields = (*fields, ("content-type", out.content_type))
        named = {name for name, _ in fields}
        passed = [each for each in for_upstream(self._request.head.fields) if each[0] not in named]
        head = UpstreamHead(method=forward.method, path=forward.path, fields=(*passed, *fields))
        exchange = await self._upstream.begin(grant, head, length=out.length)
        try:
            answered = await self._sent(exchange, forward, out)
            await self._answer(forward, answered, exchange)
        finally:
            self._limit.lift()
            self._upstream.end(exchange)

    # --- the request's body ---------------------------------------------------------------------------------

    async def _body(self, forward: Forward) -> tuple[Forward, _Out]:
        match forward.body:
            case NoBody():
                if self._request.incoming.announced:
                    raise Over(answering.NO_BODY)
                return forward, _Out()
            case CheckXml() as body:
                octets = await self._whole(body)
                forward = await self._still(forward)
                return forward, _checked(forward.body, octets)
            case StreamBody() as body:
                first = await self._first(body)
                forward = await self._still(forward)
                return forward, self._sniffed(forward.body, first)

    async def _still(self, forward: Forward) -> Forward:
        """Have the request judged again if its body took its time: the path may be something else by now."""
        if time.monotonic() - self._judged < self._settings.judged_s:
            return forward
        self._watch()
        again = await self._request.judge()
        self._judged = time.monotonic()
        if isinstance(again, Answer):
            raise Over(again)
        return again

    async def _whole(self, body: CheckXml) -> bytes:
        octets = bytearray()
        self._within(body.limit_octets)
        while piece := await self._request.incoming.read():
            octets += piece
            self._within(body.limit_octets)
        return bytes(octets)

    async def _first(self, body: StreamBody) -> bytes:
        self._within(self._settings.object_octets)
        first = b""
        while len(first) < body.first_octets and (piece := await self._request.incoming.read()):
            first += piece
        return first

    def _sniffed(self, body: Body, first: bytes) -> _Out:
        content_type = _of_own_kind(body, first)
        length = len(first) if self._request.incoming.done else self._request.head.length
        return _Out(octets=first, length=length, content_type=content_type, streams=True)

    def _within(self, most: int) -> None:
        if self._request.incoming.exceeds(most):
            raise Over(answering.TOO_LARGE)

    async def _sent(self, exchange: Exchange, forward: Forward, out: _Out) -> ResponseHead:
        """Send the body; what the server answers before it has all of it is its answer too."""
        try:
            await self._send(exchange, out.octets)
            if out.streams:
                await self._stream(exchange, forward, out)
            await exchange.finish()
        except UpstreamFailure:
            if not out.streams:
                raise
        self._limit.lift()
        self._watch()
        return await exchange.answer()

    async def _stream(self, exchange: Exchange, forward: Forward, out: _Out) -> None:
        """Send what comes; the end of it only if the path is still what it was."""
        incoming = self._request.incoming
        while piece := await incoming.read():
            self._within(self._settings.object_octets)
            if incoming.done and out.length is not None:
                await self._last_look(forward, out)
            await self._send(exchange, piece)
        if out.length is None:
            await self._last_look(forward, out)

    async def _last_look(self, forward: Forward, out: _Out) -> None:
        try:
            _of_own_kind((await self._still(forward)).body, out.octets)
        except UpstreamFailure as failed:  # of the wall's question, not of what is being sent
            log.warning("the wall could not ask once more: %s", failed)
            raise Over(answering.UNAVAILABLE) from None

    async def _send(self, exchange: Exchange, octets: bytes) -> None:
        self._limit.within(self._settings.upstream_s)
        await exchange.send(octets)
        self._limit.lift()

    # --- the answer -----------------------------------------------------------------------------------------

    async def _answer(self, forward: Forward, answered: ResponseHead, exchange: Exchange) -> None:
        status = answered.status
        if status in (401, 407):
            raise UpstreamFailure(f"the DAV server refuses our sign-in: {status}")
        if status >= 500:
            log.warning("the DAV server failed: %d", status)
            raise Over(answering.for_upstream_fault(status))
        if is_encoded(answered.fields):
            raise AnswerFault("a coded body that nobody asked for")
        plan = forward.answer(status, for_client(answered.fields))
        match plan:
            case Answer():
                await _drain(exchange)
                raise Over(plan)
            case PassAnswer():
                await self._pass(status, plan, answered, exchange)
            case FilterAnswer():
                await self._filter(status, plan, exchange)

    async def _pass(self, status: int, plan: PassAnswer, answered: ResponseHead, exchange: Exchange) -> None:
        length = answered.length
        if self._request.head.method == "HEAD":
            length = _length_of(answered)
        piece = await exchange.read()
        out = await self._begin(status, plan.fields, length)
        while piece:
            await out.piece(piece)
            piece = await exchange.read()
        await out.finish()

    async def _filter(self, status: int, plan: FilterAnswer, exchange: Exchange) -> None:
        if self._request.head.method == "HEAD" or status in _BODILESS:
            out = await self._begin(status, plan.fields, None)
            await out.finish()
            return
        held = bytearray()
        while len(held) < DAV_HOLD_OCTETS and (piece := await exchange.read()):
            held += plan.filter.feed(piece)
        if not piece:
            held += plan.filter.finish()
        out = await self._begin(status, plan.fields, None if piece else len(held))
        first = bytes(held)
        held.clear()
        await out.piece(first)
        del first
        if piece:
            while piece := await exchange.read():
                await out.piece(plan.filter.feed(piece))
            await out.piece(plan.filter.finish())
        await out.finish()

    async def _begin(self, status: int, fields: tuple[tuple[str, str], ...], length: int | None) -> Answering:
        """Begin the answer, if the gate still says yes; nothing waits between that and the first octet."""
        request = self._request
        request.answering.keep = request.answering.keep and await request.incoming.skip()
        await request.confirm()
        request.answering.start(status, _unframed(fields), length)
        return request.answering


def _checked(body: Body, octets: bytes) -> _Out:
    if not isinstance(body, CheckXml):
        raise AnswerFault("the path has become something else")
    checked = body.check(octets)
    if isinstance(checked, Answer):
        raise Over(checked)
    return _Out(octets=checked, length=len(checked), content_type=body.content_type if checked else None)


def _of_own_kind(body: Body, first: bytes) -> str:
    """Give the media type of an object that begins so."""
    if not isinstance(body, StreamBody):
        raise AnswerFault("the path has become something else")
    refusal = body.sniff(first[: body.first_octets])
    if refusal is not None:
        raise Over(refusal)
    return body.content_type


def _unframed(fields: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(each for each in fields if each[0] not in ("content-length", "transfer-encoding"))


def _length_of(answered: ResponseHead) -> int | None:
    """What a GET would have had."""
    return next((int(value) for name, value in answered.fields if name == "content-length"), None)


async def _drain(exchange: Exchange) -> None:
    """Read what is left of an answer that is not passed on, if it is little, to keep the connection."""
    left = DAV_HOLD_OCTETS
    while left > 0 and (piece := await exchange.read()):
        left -= len(piece)
