"""One DAV connection: TLS, then request after request, in order, until one of us ends it.

Before its first request with good credentials it is a stranger, with one time limit for all it does. What
ends it from outside (a client that vanished or is too slow, a cut, a stop of the server) cancels its task
with a reason; whoever is at work then says the last word. No descriptor, task or timer is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from auth.fault import fault
from proxy.dav import answering, basic
from proxy.dav.answering import Answering
from proxy.dav.client import Client
from proxy.dav.deadline import Deadline
from proxy.dav.head import BadHead
from proxy.dav.passage import Upstream
from proxy.dav.ports import Answer, Judge
from proxy.dav.sessions import Sessions
from proxy.dav.settings import Settings
from proxy.dav.turn import ENDS, Ending, Turn
from proxy.entrance import Asked, Entrance, Reached
from proxy.limits import COMMANDS_PER_CONNECTION
from proxy.log.teller import end_of
from proxy.log.words import Drop, SessionEnd
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Ports
from scopes.model import Grant, Service


class Conversation:
    """One connection; a `proxy.dav.turn.Visit`."""

    def __init__(
        self, connection: Connection, ports: Ports, upstream: Upstream, wall: Judge, settings: Settings
    ) -> None:
        self.ports = ports
        self.upstream = upstream
        self.wall = wall
        self.settings = settings
        self.ending: Ending | None = None
        self.entrance: Entrance[Reached] = Entrance(connection, ports, service=Service.DAV, now=settings.now)
        self.client = Client(
            connection,
            settings,
            slow=partial(self.end, Ending.SLOW),
            gone=partial(self.end, Ending.GONE),
        )
        self.upstream_limit = Deadline(partial(self.end, Ending.UPSTREAM_SLOW))
        self._sign_in_limit = Deadline(partial(self.end, Ending.SIGN_IN))
        self._task: asyncio.Task[None] | None = None
        self._turn: Turn | None = None
        self.sessions = Sessions(self.entrance, self.client)

    async def serve(self) -> None:
        """Serve until the connection has ended; it is closed then. Raises nothing but CancelledError."""
        connection = self.client.connection
        self._task = asyncio.current_task()
        self._sign_in_limit.within(self.settings.sign_in_s)
        try:
            with self.ports.registry.stranger(self._stop):
                if not connection.secure:
                    tls = self.settings.tls()
                    await connection.secure_as_server(tls, timeout_s=self.settings.handshake_s)
                await self._converse()
        except ConnectionLost as lost:
            self.sessions.ending(end_of(lost), str(lost))
        except asyncio.CancelledError:
            why = self.ending
            self.sessions.ending(ENDS[why or Ending.STOPPING])
            if why is None or not self.recovered():
                raise
            await self._farewell(why)
        except Exception as bug:  # noqa: BLE001 - one connection ends, the server does not
            self.sessions.ending(SessionEnd.FAULT, fault(bug))
        finally:
            self.sessions.over()
            for each in (self.client, self.upstream_limit, self._sign_in_limit):
                each.close()
            connection.abort()

    def end(self, why: Ending) -> None:
        """See `Visit`."""
        if self.ending is None and self._task is not None:
            self.ending = why
            self._task.cancel()

    def recovered(self) -> bool:
        """See `Visit`."""
        if self._task is None or self._task.uncancel() > 0:
            return False
        self.ending = None
        return True

    def granted(self, asked: Asked, fields: Mapping[str, str], grant: Grant) -> None:
        """See `Visit`: recorded once for each app password, not for each request."""
        self._sign_in_limit.lift()
        self.sessions.request(grant, partial(basic.introduced, asked, fields))

    async def _converse(self) -> None:
        turns = 0
        keep = True
        while keep:
            try:
                head = await self.client.head()
            except BadHead as bad:
                self.sessions.ending(SessionEnd.REFUSED, bad.fault)
                self.entrance.teller.dropped(Drop.BAD_REQUEST, bad.fault)
                await self._say(answering.bad_head(bad.status, bad.fault))
                break
            if head is None:
                return
            turns += 1
            if not self.sessions and turns > COMMANDS_PER_CONNECTION:
                break
            self._turn = Turn(self, head)
            self.client.connection.working = True
            keep = await self._turn.run()
            self._turn = None
            self.client.connection.working = False
            self.sessions.served()
        await self.client.part()

    def _stop(self) -> None:
        """The server stops: a request is finished, one that has not begun is not waited for."""
        if self._turn is None:
            self.end(Ending.STOPPING)
        else:
            self.sessions.ending(SessionEnd.STOPPING)
            self._turn.be_last()

    async def _farewell(self, why: Ending) -> None:
        if self._turn is not None or why is Ending.GONE or not self.client.connection.secure:
            return
        try:
            if why in (Ending.SLOW, Ending.SIGN_IN) and self.client.received:
                await self._say(answering.TOO_SLOW)
            await self.client.part()
        except ConnectionLost:
            pass

    async def _say(self, answer: Answer) -> None:
        """Answer something that is no request."""
        await Answering(self.client.send, method="", modern=True, keep=False).whole(answer)
