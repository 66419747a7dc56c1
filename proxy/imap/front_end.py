"""The IMAP front-end: what the accept loop calls with each connection."""

from __future__ import annotations

from proxy.imap.conversation import conversation
from proxy.imap.ports import Settings, Upstream
from proxy.net.connection import Connection
from proxy.ports import Ports


class ImapFrontEnd:
    """Serves IMAP connections; `handle` is given to the accept loop."""

    def __init__(self, ports: Ports, upstream: Upstream, settings: Settings) -> None:
        self._ports = ports
        self._upstream = upstream
        self._settings = settings

    async def handle(self, connection: Connection, *, implicit_tls: bool) -> None:
        """Serve one connection until it has ended; it is closed then. Raises nothing but CancelledError."""
        served = conversation(connection, self._ports, self._upstream, self._settings, secure=implicit_tls)
        await served.serve(implicit_tls=implicit_tls)
