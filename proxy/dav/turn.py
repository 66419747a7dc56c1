"""One request of a DAV client, from its head to the last octet of its answer.

Every request is authenticated anew: the gate is asked before anything else is looked at, the wall decides
what may go upstream, and the gate is asked once more right before the first octet of the answer goes out.
Without good credentials nothing of the body is read. A revocation ends the request at once: with the gate's
refusal where nothing was sent, else with the connection. What goes wrong is answered by fixed texts of ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from auth.fault import fault
from auth.refusal import Reason, Refusal
from proxy.dav import answering, basic
from proxy.dav.answering import Answering
from proxy.dav.client import Client, Incoming
from proxy.dav.deadline import Deadline
from proxy.dav.framing import BadBody
from proxy.dav.head import Head
from proxy.dav.passage import Over, Passage, Request, Upstream
from proxy.dav.ports import Answer, AnswerFault, Forward, Judge, WallRequest
from proxy.dav.sessions import Sessions
from proxy.dav.settings import Settings
from proxy.entrance import Asked, Entrance, Reached
from proxy.failures import http_refusal
from proxy.log.words import SessionEnd
from proxy.net.connection import ConnectionLost
from proxy.ports import Attempt, Ports
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant

log = logging.getLogger(__name__)


class Ending(StrEnum):
    """Why a connection ends before its client wants it to."""

    GONE = "client vanished"
    SLOW = "client too slow"
    SIGN_IN = "sign-in took too long"
    UPSTREAM_SLOW = "upstream too slow"
    CUT = "cut"
    STOPPING = "the server is stopping"


ENDS: Final[Mapping[Ending, SessionEnd]] = MappingProxyType(
    {
        Ending.GONE: SessionEnd.CLIENT_LOST,
        Ending.SLOW: SessionEnd.IDLE,
        Ending.SIGN_IN: SessionEnd.IDLE,
        Ending.UPSTREAM_SLOW: SessionEnd.UPSTREAM_LOST,
        Ending.CUT: SessionEnd.CUT,
        Ending.STOPPING: SessionEnd.STOPPING,
    }
)
"""How the log calls them."""


class Visit(Protocol):
    """The connection that a request came on: `proxy.dav.conversation.Conversation`."""

    ports: Ports
    upstream: Upstream
    wall: Judge
    settings: Settings
    client: Client
    entrance: Entrance[Reached]
    sessions: Sessions
    upstream_limit: Deadline
    ending: Ending | None
    """Why its task was cancelled by `end`."""

    def end(self, why: Ending) -> None:
        """Cancel what goes on. The first reason stands."""

    def recovered(self) -> bool:
        """Take that cancelling back; False when somebody else cancelled too."""

    def granted(self, asked: Asked, fields: Mapping[str, str], grant: Grant) -> None:
        """Know that this app password was good on this connection."""


class _RefusedError(Exception):
    """The gate said no in the last moment."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class Turn:
    """One request."""

    def __init__(self, visit: Visit, head: Head) -> None:
        self._visit = visit
        self._head = head
        self._incoming = Incoming(visit.client, head)
        self._answering = self._begin(keep=head.keep_alive)
        self._may_be_cut = False

    async def run(self) -> bool:
        """Answer it. True: another may follow on this connection. Raises ConnectionLost."""
        head, visit = self._head, self._visit
        request = WallRequest(
            method=head.method, target=head.target, fields=head.fields, has_body=self._incoming.announced
        )
        if (answer := visit.wall.unsigned(request)) is not None:
            self._answering.keep = self._answering.keep and not request.has_body
            await self._answering.whole(answer)
        elif (asked := basic.asked(head.fields)) is None:
            await self._last(answering.ASK)
        else:
            visit.client.watch_soon()
            with visit.ports.registry.attempt(self._cut) as attempt:
                await self._sign_in(request, asked, attempt)
        if not self._answering.keep:
            visit.sessions.ending(SessionEnd.REFUSED if head.keep_alive else SessionEnd.QUIT)
        return self._answering.keep

    def be_last(self) -> None:
        """Say in the answer, if it has not begun, that the connection ends with it."""
        self._answering.keep = False

    async def _sign_in(self, request: WallRequest, asked: Asked, attempt: Attempt) -> None:
        try:
            grant = await self._visit.entrance.admit(asked, attempt)
        except Exception as bug:  # noqa: BLE001 - answered as a fault of ours
            grant = Refusal(reason=Reason.BUG, cause=fault(bug))
        if isinstance(grant, Refusal):
            await self._refuse(asked, grant)
            return
        attempt.under_way = True
        attempt.become_session(self._visit.entrance.live(basic.agent(self._head.fields)))
        self._may_be_cut = True
        expiry = self._visit.entrance.when_expired(grant, self._expired)
        try:
            self._visit.granted(asked, self._head.fields, grant)
            await self._serve(request, asked, grant, attempt)
        except ConnectionLost:
            raise
        except asyncio.CancelledError:
            await self._ended(asked, grant, attempt)
        except _RefusedError as refused:
            self._visit.sessions.ending(_end_by(refused.refusal))
            await self._refuse(asked, refused.refusal)
        except Exception as trouble:  # noqa: BLE001 - answered as what it is, or as a fault of ours
            await self._last(self._answer_to(trouble))
        finally:
            self._may_be_cut = False
            if expiry is not None:
                expiry.cancel()
            attempt.under_way = False

    async def _serve(self, request: WallRequest, asked: Asked, grant: Grant, attempt: Attempt) -> None:
        visit = self._visit

        async def confirm() -> None:
            refusal = await visit.entrance.confirm(asked, attempt, grant)
            if refusal is not None:
                raise _RefusedError(refusal)

        try:
            answer = await visit.wall.judge(request, grant)
            if isinstance(answer, Forward):
                await self._forward(request, answer, grant, confirm)
                return
        except Over as over:
            answer = over.answer
        self._answering.keep = self._answering.keep and await self._incoming.skip()
        await confirm()
        await self._answering.whole(answer)

    async def _forward(
        self, asked: WallRequest, forward: Forward, grant: Grant, confirm: Callable[[], Awaitable[None]]
    ) -> None:
        visit = self._visit
        passage = Passage(
            visit.upstream,
            Request(
                head=self._head,
                incoming=self._incoming,
                answering=self._answering,
                confirm=confirm,
                judge=partial(visit.wall.judge, asked, grant),
            ),
            limit=visit.upstream_limit,
            watch=visit.client.watch_soon,
            settings=visit.settings,
        )
        try:
            await passage.run(forward, grant)
        finally:
            forward.after()

    def _cut(self) -> None:
        """The app password was revoked or has expired, or the server stops; the gate looks out for itself."""
        if self._may_be_cut:
            self._visit.end(Ending.CUT)

    def _expired(self) -> None:
        self._visit.sessions.ending(SessionEnd.EXPIRED)
        self._cut()

    # --- what went wrong ------------------------------------------------------------------------------------

    async def _ended(self, asked: Asked, grant: Grant, attempt: Attempt) -> None:
        """Say the last word to a request that was ended from outside, where there is one to say."""
        visit, why = self._visit, self._visit.ending
        if why not in (Ending.CUT, Ending.SLOW, Ending.UPSTREAM_SLOW) or not visit.recovered():
            raise asyncio.CancelledError
        stopped = why is Ending.CUT and attempt.stopping
        visit.sessions.ending(SessionEnd.STOPPING if stopped else ENDS[why])
        if why is Ending.CUT:
            refusal = await visit.entrance.confirm(asked, attempt, grant)
            if refusal is not None:
                await self._refuse(asked, refusal)
                return
        await self._last(answering.TOO_SLOW if why is Ending.SLOW else answering.UNAVAILABLE)

    def _answer_to(self, trouble: Exception) -> Answer:
        connection, sessions = self._visit.client.connection.id, self._visit.sessions
        match trouble:
            case UpstreamFailure():
                log.warning("dav request failed connection=%s cause=%s", connection, trouble)
                sessions.ending(SessionEnd.UPSTREAM_LOST, str(trouble))
                return answering.UNAVAILABLE
            case AnswerFault():
                log.warning("dav answer kept back connection=%s cause=%s", connection, trouble)
                sessions.ending(SessionEnd.UPSTREAM_LOST, str(trouble))
                return answering.BAD_GATEWAY
            case BadBody():
                sessions.ending(SessionEnd.REFUSED, "bad body")
                return answering.BAD_BODY
            case _:
                sessions.ending(SessionEnd.FAULT, fault(trouble))
                return answering.BUG

    async def _refuse(self, asked: Asked, refusal: Refusal) -> None:
        self._visit.entrance.refused(basic.introduced(asked, self._head.fields), refusal)
        told = http_refusal(refusal, self._visit.settings.house)
        await self._last(Answer(status=told.status, fields=told.fields, body=told.body))

    async def _last(self, answer: Answer) -> None:
        """Give an answer after which the connection ends; half an answer is not made whole by another."""
        if self._answering.begun:
            self._answering.keep = False
            raise ConnectionLost("closed here within an answer")
        self._answering = self._begin(keep=False)
        await self._answering.whole(answer)

    def _begin(self, *, keep: bool) -> Answering:
        head = self._head
        return Answering(self._visit.client.send, method=head.method, modern=head.modern, keep=keep)


def _end_by(refusal: Refusal) -> SessionEnd:
    """Name the end of a session whose grant does not hold any more."""
    return SessionEnd.EXPIRED if refusal.reason is Reason.EXPIRED else SessionEnd.CUT
