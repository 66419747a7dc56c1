"""The portal's front-end: what the accept loop calls with each connection.

TLS, counting and limits are the gate's own; from the handshake on aiohttp reads and writes over
`proxy.portal.transport`, as `proxy.portal.talk` lets it. Nothing here decides who anybody is.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.limits import TLS_HANDSHAKE_S
from proxy.log.events import Dropped, tell
from proxy.log.words import Drop
from proxy.net.connection import Connection, ConnectionLost
from proxy.portal.ports import PortalPorts
from proxy.portal.site import Site
from proxy.portal.talk import Talk, visitor_of
from proxy.portal.transport import Patience
from proxy.ports import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSettings:
    """What the portal is told by the config."""

    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake."""
    is_ours: Callable[[str], bool]
    """Tells of `host` or `host:port`, in lower case, whether browsers may mean the portal by it."""
    patience: Patience = field(default_factory=Patience)


class PortalFrontEnd:
    """Serves the portal's connections, TLS from the first octet; `handle` is given to the accept loop."""

    def __init__(self, ports: Ports, portal: PortalPorts, settings: PortalSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._retired = False
        self._site = Site(portal, settings.is_ours, body_s=settings.patience.body_s)

    def retire(self) -> None:
        """Keep no connection for a further request: another configuration answers by now."""
        self._retired = True

    async def greeted(self, connection: Connection, context: ssl.SSLContext) -> str | None:
        """Shake hands, and give the name the client asked for; the connection is closed where that fails."""
        try:
            with self._ports.registry.stranger(connection.abort):
                await connection.secure_as_server(context, timeout_s=TLS_HANDSHAKE_S)
        except ConnectionLost as lost:
            tell(Dropped(visitor=visitor_of(connection), reason=Drop.CLIENT_LOST, cause=str(lost)))
            connection.abort()
        return connection.asked_for

    async def handle(self, connection: Connection) -> None:
        """Serve one connection until it has ended; it is closed then. Raises nothing but CancelledError."""
        try:
            if not connection.secure:
                await self.greeted(connection, self._settings.tls())
            if not connection.closed:
                talk = Talk(connection, self._ports, self._site, self._settings.patience)
                await talk.serve(lambda: self._retired)
        finally:
            self._ports.strangers.release(connection)
            connection.abort()
