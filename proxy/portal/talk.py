"""One connection's requests, one after another: aiohttp reads and writes, and what it may not do is here.

A request under way is finished when the server stops, and also when its client is gone: what was begun is
done, and the connection counts until then. Who has signed in is no stranger any more; who was refused is
doubted. What is no HTTP is answered by a page of ours and is no fault of ours in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from auth.fault import fault
from proxy.limits import (
    COMMANDS_PER_CONNECTION,
    PORTAL_FIELD_OCTETS,
    PORTAL_FIELDS,
    PORTAL_REQUEST_S,
)
from proxy.log.events import Dropped, Visitor, tell
from proxy.log.words import PORTAL, Drop
from proxy.net.connection import Connection
from proxy.portal.site import Site
from proxy.portal.transport import Patience, Wire
from proxy.ports import Attempt, Ports

log = logging.getLogger(__name__)


_NO_LOG: Any = None
"""aiohttp takes it, and says otherwise in its types."""


class Talk:
    """Serves one connection."""

    def __init__(
        self, connection: Connection, ports: Ports, site: Site, patience: Patience | None = None
    ) -> None:
        self._connection = connection
        self._ports = ports
        self._site = site
        self._wire = Wire(connection, patience)
        self._attempt: Attempt | None = None
        self._known = False
        self._answering: set[asyncio.Task[Any]] = set()
        self._requests = 0
        self._bad = False
        self._retired: Callable[[], bool] = lambda: False

    async def serve(self, retired: Callable[[], bool] = lambda: False) -> None:
        """Serve until it has ended; no further request once `retired`. Raises nothing but CancelledError."""
        self._retired = retired
        server = web.Server(self._answer)
        with self._ports.registry.attempt(self._wire.close) as self._attempt:
            try:
                await self._wire.carry(_Protocol(server, self._site, self._is_bad))
            except asyncio.CancelledError:
                await self._settle(0.0)
                raise
            await self._settle(PORTAL_REQUEST_S)
            self._tell_of_the_end()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._answering.add(task)
        self._wire.works()
        self._connection.working = True
        self._requests += 1
        try:
            return await self._answered(request)
        finally:
            self._answering.discard(task)
            self._wire.waits()
            self._connection.working = False
            if self._attempt is not None:
                self._attempt.under_way = False

    def _begins(self) -> None:
        """Know that a whole request is there, for which a stop of the server waits."""
        if self._attempt is None or self._attempt.cut:
            raise ConnectionResetError("the server stops")
        self._attempt.under_way = True

    @property
    def _stopping(self) -> bool:
        return self._attempt is not None and self._attempt.stopping

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        answered = await self._site.handle(request, visitor_of(self._connection), self._begins)
        self._connection.working = False  # it is the client's turn from here on: to read
        if answered.came_in:
            self._known = True
            self._ports.strangers.release(self._connection)
        if answered.refused:
            self._ports.strangers.doubt(self._connection)
        response = answered.response
        too_many = not self._known and self._requests >= COMMANDS_PER_CONNECTION
        changes = "Upgrade" in request.headers  # what came behind it may be lost to the parser
        if self._stopping or self._retired() or too_many or changes:
            response.force_close()
        await response.prepare(request)
        await response.write_eof()
        await self._wire.sent()
        for call in answered.after:
            try:
                await call()
            except Exception as trouble:  # noqa: BLE001 - the answer is out already
                log.warning("portal what follows an answer was not done: %s", fault(trouble))
        return response

    async def _settle(self, within_s: float) -> None:
        """Let what was begun be done, and end what is not by then, or when cancelled."""
        left = set(self._answering)
        if not left:
            return
        try:
            _, left = await asyncio.wait(left, timeout=within_s)
        finally:
            for each in left:
                each.cancel()
            if left:
                await asyncio.wait(left)

    def _is_bad(self, cause: str) -> None:
        if not self._bad:
            self._bad = True
            tell(Dropped(visitor=visitor_of(self._connection), reason=Drop.BAD_REQUEST, cause=cause))

    def _tell_of_the_end(self) -> None:
        """Tell where nothing came of it; that a browser leaves after it was answered is no news."""
        if self._requests or self._bad:
            return
        if self._wire.late:
            reason = Drop.TOO_SLOW
        elif self._stopping:
            reason = Drop.STOPPING
        elif self._wire.lost:
            reason = Drop.CLIENT_LOST
        else:
            return
        tell(Dropped(visitor=visitor_of(self._connection), reason=reason, cause=self._wire.lost))


def visitor_of(connection: Connection) -> Visitor:
    """Say of whom lines of the log are."""
    return Visitor(
        service=PORTAL,
        address=connection.peer,
        connection=connection.id,
        tls=connection.tls_version or "",
    )


class _Protocol(web.RequestHandler):
    """aiohttp's, with our limits and our words for what went wrong; `Wire` says how long it may wait."""

    __slots__ = ("_is_bad", "_site")

    def __init__(self, server: web.Server, site: Site, is_bad: Callable[[str], None]) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=_NO_LOG,
            lingering_time=0.0,
            max_line_size=PORTAL_FIELD_OCTETS,
            max_field_size=PORTAL_FIELD_OCTETS,
            max_headers=PORTAL_FIELDS,
            auto_decompress=False,
        )
        self._site = site
        self._is_bad = is_bad

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may hold what the client sent
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read, or a fault of ours."""
        if isinstance(exc, HttpProcessingError):
            self._is_bad(type(exc).__name__)
        elif exc is not None and not isinstance(exc, ConnectionError):
            log.error("portal fault cause=%s", fault(exc))
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer has begun already")
        response = self._site.unread(status)
        response.force_close()
        return response
