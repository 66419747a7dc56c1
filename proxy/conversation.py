"""One mail client from its first octet to the end of its session: the shell around a client leg.

It feeds the leg and obeys it: TLS, then the gate and the upstream (`proxy.entrance`), then the session. It
bounds the time to a sign-in, answers for faults of ours, and leaves no descriptor behind. Who has not signed
in when the server stops is told so and leaves at once; a session ends by itself (`proxy.sessions`).

No protocol is spoken here and no reply is worded here: that is the leg's part, and later the session's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from auth.fault import fault
from auth.refusal import Refusal
from proxy.dialog import ClientState, Ending, Event, HangUp, SwitchToTls
from proxy.entrance import Asked, Entrance, Reached
from proxy.limits import CLOSE_S, RECEIVE_OCTETS, SIGN_IN_S, STOP_S, TLS_HANDSHAKE_S
from proxy.log.events import Ended
from proxy.log.teller import end_of
from proxy.log.words import Drop, SessionEnd
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Attempt, Ports
from scopes.model import Grant, Service

R = TypeVar("R", bound=Reached)


class Leg(Protocol):
    """The client's side before sign-in, pure: `proxy.imap.client_leg` and `proxy.smtp.client_leg`."""

    state: ClientState

    @property
    def room(self) -> int:
        """How many octets may still be fed while nothing is read."""

    def receive(self, data: bytes) -> None:
        """Take octets of the client."""

    def take_output(self) -> bytes:
        """Give what is to be sent to the client now."""

    def next(self) -> Event | None:
        """Give the next event, or None when more octets are needed."""

    def secured(self) -> None:
        """The TLS handshake is done."""

    def refused(self, refusal: Refusal) -> None:
        """Say why not."""

    def farewell(self, ending: Ending) -> None:
        """Say a last word where there is one to say, and close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun(Generic[R]):
    """A sign-in that is done but for the word to the client; `session` is called with it."""

    asked: Asked
    grant: Grant
    reached: R
    attempt: Attempt
    entrance: Entrance[R]
    """For `when_cut`, `granted` and `when_expired`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings(Generic[R]):
    """What one kind of conversation is joined to."""

    ports: Ports
    service: Service
    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake, so that certificates can be changed while serving."""
    reach: Callable[[Grant], Coroutine[Any, Any, R]]
    """Signs in upstream. Raises `UpstreamFailure`."""
    session: Callable[[Begun[R]], Awaitable[None]]
    """Tells the client, serves it, and tells `entrance.teller` how that ended unless it raises.

    Nothing may wait before `when_cut` is set.
    """
    now: Callable[[], float] = time.time
    handshake_s: float = TLS_HANDSHAKE_S
    sign_in_s: float = SIGN_IN_S
    """From the accepted socket to the client's being told."""


class Conversation(Generic[R]):
    """One client up to its sign-in, and the session that follows."""

    def __init__(self, connection: Connection, leg: Leg, around: Surroundings[R]) -> None:
        self.leg = leg
        self._connection = connection
        self._around = around
        self._entrance: Entrance[R] = Entrance(
            connection, around.ports, service=around.service, now=around.now
        )
        self._known = contextlib.ExitStack()  # as a stranger

    async def serve(self, *, implicit_tls: bool) -> None:
        """Serve until the connection has ended; it is closed then. Raises nothing but CancelledError."""
        try:
            await self._bounded(implicit_tls=implicit_tls)
        except ConnectionLost as lost:
            self._entrance.teller.dropped(Drop.CLIENT_LOST, str(lost))
        finally:
            self._connection.abort()

    async def run(self, limit: asyncio.Timeout) -> None:
        """Obey the leg until the connection ends. `limit` is for sign-in, and is lifted after it."""
        while True:
            event = self.leg.next()
            await self._flush()
            match event:
                case None:
                    data = await self._connection.receive(RECEIVE_OCTETS)
                    if not data:
                        return
                    self.leg.receive(data)
                case SwitchToTls():
                    await self._handshake()
                    self.leg.secured()
                case Asked():
                    if await self._sign_in(event, limit):
                        return
                case HangUp():
                    await self._connection.close()
                    return

    # --- around it ------------------------------------------------------------------------------------------

    async def _bounded(self, *, implicit_tls: bool) -> None:
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._around.sign_in_s) as limit:
                with self._known:
                    if task is not None:
                        self._known.enter_context(self._around.ports.registry.stranger(task.cancel))
                    if implicit_tls:
                        await self._handshake()
                    await self.run(limit)
        except ConnectionLost:
            raise
        except asyncio.CancelledError:
            self._entrance.teller.dropped(Drop.STOPPING)
            await self._farewell(Ending.STOPPING, within_s=STOP_S)
            raise
        except TimeoutError:
            self._entrance.teller.dropped(Drop.TOO_SLOW, f"in the state {self.leg.state}")
            await self._farewell(Ending.TOO_SLOW)
        except Exception as bug:  # noqa: BLE001 - one connection ends, the server does not
            self._entrance.teller.dropped(Drop.FAULT, fault(bug))
            await self._farewell(Ending.FAULT)

    async def _handshake(self) -> None:
        around = self._around
        await self._connection.secure_as_server(around.tls(), timeout_s=around.handshake_s)

    async def _flush(self) -> None:
        if output := self.leg.take_output():
            await self._connection.send(output)

    async def _farewell(self, ending: Ending, *, within_s: float = CLOSE_S) -> None:
        with contextlib.suppress(TimeoutError, ConnectionLost):
            async with asyncio.timeout(within_s):
                self.leg.farewell(ending)
                await self._flush()
                await self._connection.close()

    # --- sign-in --------------------------------------------------------------------------------------------

    async def _sign_in(self, asked: Asked, limit: asyncio.Timeout) -> bool:
        """Ask the gate and the upstream; serve the session. False when the client may try again."""
        around, entrance = self._around, self._entrance
        with around.ports.registry.attempt(entrance.cut) as attempt:
            outcome = await entrance.come_in(asked, attempt, around.reach, self._hold)
            if isinstance(outcome, Refusal):
                entrance.refused(asked, outcome)
                self.leg.refused(outcome)
                return False
            grant, reached = outcome
            try:
                attempt.become_session(entrance.live(asked.client_name))
                self._known.close()
                limit.reschedule(None)
                await self._serve_session(
                    Begun(asked=asked, grant=grant, reached=reached, attempt=attempt, entrance=entrance)
                )
            finally:
                reached.connection.abort()
        return True

    async def _serve_session(self, begun: Begun[R]) -> None:
        """Serve it, and tell of the ends that it cannot tell of itself."""
        ended = Ended(reason=SessionEnd.STOPPING)
        try:
            await self._around.session(begun)
        except ConnectionLost as lost:
            ended = Ended(reason=end_of(lost), cause=str(lost))
            raise
        except Exception as bug:
            ended = Ended(reason=SessionEnd.FAULT, cause=fault(bug))
            raise
        finally:
            begun.entrance.teller.ended(begun.grant.app_password_id, ended)

    async def _hold(self) -> None:
        """Keep what the client sends behind its sign-in, as much as there is room for; return at its end."""
        while room := self.leg.room:
            data = await self._connection.receive(min(room, RECEIVE_OCTETS))
            if not data:
                return
            self.leg.receive(data)
        await asyncio.Event().wait()
