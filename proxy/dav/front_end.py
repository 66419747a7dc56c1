"""The DAV front-end: what the accept loop calls with each connection."""

from __future__ import annotations

from proxy.dav.conversation import Conversation
from proxy.dav.passage import Upstream
from proxy.dav.ports import Judge
from proxy.dav.settings import Settings
from proxy.net.connection import Connection
from proxy.ports import Ports


class DavFrontEnd:
    """Serves DAV connections, TLS from the first octet; `handle` is given to the accept loop."""

    def __init__(self, ports: Ports, upstream: Upstream, wall: Judge, settings: Settings) -> None:
        self._ports = ports
        self._upstream = upstream
        self._wall = wall
        self._settings = settings

    async def handle(self, connection: Connection) -> None:
        """Serve one connection until it has ended; it is closed then. Raises nothing but CancelledError."""
        await Conversation(connection, self._ports, self._upstream, self._wall, self._settings).serve()
