"""The portal's front-end: what the accept loop calls with each connection.

TLS, counting and limits are the gate's own; from the handshake on aiohttp reads and writes over
`proxy.portal.transport`. Who has a session is no stranger any more. Nothing here decides who that is.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from proxy.limits import PORTAL_FIELD_OCTETS, PORTAL_FIELDS, PORTAL_REQUEST_S, TLS_HANDSHAKE_S
from proxy.net.connection import Connection, ConnectionLost
from proxy.portal.ports import PortalPorts
from proxy.portal.site import Site
from proxy.portal.transport import Wire
from proxy.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSettings:
    """What the portal is told by the config."""

    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake."""
    is_ours: Callable[[str], bool]
    """Tells of `host` or `host:port`, in lower case, whether browsers may mean the portal by it."""


class PortalFrontEnd:
    """Serves the portal's connections, TLS from the first octet; `handle` is given to the accept loop."""

    def __init__(self, ports: Ports, portal: PortalPorts, settings: PortalSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._site = Site(portal, settings.is_ours)

    async def greeted(self, connection: Connection, context: ssl.SSLContext) -> str | None:
        """Shake hands, and give the name the client asked for; the connection is closed where that fails."""
        try:
            with self._ports.registry.stranger(connection.abort):
                await connection.secure_as_server(context, timeout_s=TLS_HANDSHAKE_S)
        except ConnectionLost:
            connection.abort()
        return connection.asked_for

    async def handle(self, connection: Connection) -> None:
        """Serve one connection until it has ended; it is closed then. Raises nothing but CancelledError."""
        try:
            with self._ports.registry.stranger(connection.abort):
                if not connection.secure:
                    await connection.secure_as_server(self._settings.tls(), timeout_s=TLS_HANDSHAKE_S)
                await self._serve(connection)
        except ConnectionLost:
            pass
        finally:
            self._ports.strangers.release(connection)
            connection.abort()

    async def _serve(self, connection: Connection) -> None:
        wire = Wire(connection)
        where = "" if connection.peer is None else str(connection.peer)

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            wire.works()
            connection.working = True
            try:
                response, visit = await self._site.handle(request, where)
                if visit is not None and visit.held is not None:
                    self._ports.strangers.release(connection)
                await response.prepare(request)
                await response.write_eof()
                for call in () if visit is None else visit.after:
                    await call()
                return response
            finally:
                connection.working = False
                wire.waits()

        server = web.Server(
            answer,
            access_log=None,
            keepalive_timeout=PORTAL_REQUEST_S,
            lingering_time=0.0,
            max_line_size=PORTAL_FIELD_OCTETS,
            max_field_size=PORTAL_FIELD_OCTETS,
            max_headers=PORTAL_FIELDS,
            auto_decompress=False,
        )
        try:
            await wire.carry(server())
        finally:
            async with asyncio.timeout(PORTAL_REQUEST_S):
                await server.shutdown(0.1)
