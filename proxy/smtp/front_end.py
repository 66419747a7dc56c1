"""The submission front-end: what the accept loop calls with each connection.

It stands on `proxy.net` and pure legs, as IMAP does, and not on aiosmtpd, of which everything would have to
be overridden here: it knows no implicit TLS, asks its authenticator synchronously, compares mechanism names
by case, sends exception text to clients, holds a whole message and refuses long lines; and asyncio's TLS
costs an idle connection some 280 KiB and cannot say who is waiting. It serves the built-in delivery instead.
"""

from __future__ import annotations

from proxy.net.connection import Connection
from proxy.ports import Ports
from proxy.smtp.conversation import conversation
from proxy.smtp.ports import Settings, Upstream


class SubmissionFrontEnd:
    """Serves submission connections; `handle` is given to the accept loop."""

    def __init__(self, ports: Ports, upstream: Upstream, settings: Settings) -> None:
        self._ports = ports
        self._upstream = upstream
        self._settings = settings

    async def handle(self, connection: Connection, *, implicit_tls: bool) -> None:
        """Serve one connection until it has ended; it is closed then. Raises nothing but CancelledError."""
        served = conversation(connection, self._ports, self._upstream, self._settings, secure=implicit_tls)
        await served.serve(implicit_tls=implicit_tls)
