"""One DAV connection: TLS, then request after request, in order, until one of us ends it.

Before its first request with good credentials it is a stranger, with one time limit for all it does. What
ends it from outside (a client that vanished or is too slow, a cut, a stop of the server) cancels its task
with a reason; whoever is at work then says the last word. No descriptor, task or timer is left behind.
"""

from __future__ import annotations

import asyncio
import logging
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
from proxy.dav.settings import Settings
from proxy.dav.turn import Ending, Turn
from proxy.entrance import Asked, Entrance, Reached
from proxy.limits import COMMANDS_PER_CONNECTION
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Ports
from scopes.model import Grant, Service

log = logging.getLogger(__name__)


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
        self._good: set[str] = set()

    async def serve(self) -> None:
        """Serve until the connection has ended; it is closed then. Raises nothing but CancelledError."""
        connection = self.client.connection
        self._task = asyncio.current_task()
        self._sign_in_limit.within(self.settings.sign_in_s)
        try:
            with self.ports.registry.stranger(self._stop):
                await connection.secure_as_server(self.settings.tls(), timeout_s=self.settings.handshake_s)
                await self._converse()
        except ConnectionLost as lost:
            log.info("dav connection ended id=%s cause=%s", connection.id, lost)
        except asyncio.CancelledError:
            why = self.ending
            if why is None or not self.recovered():
                raise
            await self._farewell(why)
        except Exception as bug:  # noqa: BLE001 - one connection ends, the server does not
            log.error("dav connection ended by a fault id=%s %s", connection.id, fault(bug))  # noqa: TRY400
        finally:
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
        if grant.app_password_id in self._good:
            return
        self._sign_in_limit.lift()
        self._good.add(grant.app_password_id)
        self.entrance.granted(basic.introduced(asked, fields), grant)

    async def _converse(self) -> None:
        turns = 0
        keep = True
        while keep:
            try:
                head = await self.client.head()
            except BadHead as bad:
                log.info("dav request refused id=%s cause=%s", self.client.connection.id, bad.fault)
                await self._say(answering.bad_head(bad.status, bad.fault))
                break
            if head is None:
                return
            turns += 1
            if not self._good and turns > COMMANDS_PER_CONNECTION:
                break
            self._turn = Turn(self, head)
            self.client.connection.working = True
            keep = await self._turn.run()
            self._turn = None
            self.client.connection.working = False
        await self.client.part()

    def _stop(self) -> None:
        """The server stops: a request is finished, one that has not begun is not waited for."""
        if self._turn is None:
            self.end(Ending.STOPPING)
        else:
            self._turn.be_last()

    async def _farewell(self, why: Ending) -> None:
        log.info("dav connection ended id=%s end=%s", self.client.connection.id, why)
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
