"""A request's way to the server behind, and the answer's way back, as the wall has said.

Bodies stream: of neither direction more is held than a piece, but for XML, which is checked whole, and the
first octets of an answer, so that most faults in it still get a status. No octet goes to the client before
`confirm` has let it.
"""

from __future__ import annotations

import logging
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

    async def run(self, forward: Forward, grant: Grant) -> None:
        """Do it. Raises `Over`, `AnswerFault`, `BadBody`, `UpstreamFailure`, ConnectionLost."""
        out = await self._body(forward.body)
        fields = forward.fields
        if out.content_type is not None:
            fields = (*fields, ("content-type", out.content_type))
        named = {name for name, _ in fields}
        passed = [each for each in for_upstream(self._request.head.fields) if each[0] not in named]
        head = UpstreamHead(method=forward.method, path=forward.path, fields=(*passed, *fields))
        exchange = await self._upstream.begin(grant, head, length=out.length)
        try:
            answered = await self._sent(exchange, out)
            await self._answer(forward, answered, exchange)
        finally:
            self._limit.lift()
            self._upstream.end(exchange)

    # --- the request's body ---------------------------------------------------------------------------------

    async def _body(self, body: Body) -> _Out:
        match body:
            case NoBody():
                if self._request.incoming.announced:
                    raise Over(answering.NO_BODY)
                return _Out()
            case CheckXml():
                return await self._checked(body)
            case StreamBody():
                return await self._sniffed(body)

    async def _checked(self, body: CheckXml) -> _Out:
        octets = bytearray()
        self._within(body.limit_octets)
        while piece := await self._request.incoming.read():
            octets += piece
            self._within(body.limit_octets)
        checked = body.check(bytes(octets))
        if isinstance(checked, Answer):
            raise Over(checked)
        return _Out(octets=checked, length=len(checked), content_type=body.content_type if checked else None)

    async def _sniffed(self, body: StreamBody) -> _Out:
        incoming = self._request.incoming
        self._within(self._settings.object_octets)
        first = b""
        while len(first) < body.first_octets and (piece := await incoming.read()):
            first += piece
        refusal = body.sniff(first[: body.first_octets])
        if refusal is not None:
            raise Over(refusal)
        length = len(first) if incoming.done else self._request.head.length
        return _Out(octets=first, length=length, content_type=body.content_type, streams=True)

    def _within(self, most: int) -> None:
        if self._request.incoming.exceeds(most):
            raise Over(answering.TOO_LARGE)

    async def _sent(self, exchange: Exchange, out: _Out) -> ResponseHead:
        """Send the body; what the server answers before it has all of it is its answer too."""
        try:
            await self._send(exchange, out.octets)
            while out.streams and (piece := await self._request.incoming.read()):
                self._within(self._settings.object_octets)
                await self._send(exchange, piece)
            await exchange.finish()
        except UpstreamFailure:
            if not out.streams:
                raise
        self._limit.lift()
        self._watch()
        return await exchange.answer()

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
        await out.piece(bytes(held))
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
