"""The IMAP front-end: what the accept loop calls with each connection.

It bounds the time to a sign-in, answers for faults of ours, and leaves no descriptor behind. The dialog
itself is in `conversation`, what may be said in the legs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from auth.fault import fault
from proxy.imap.conversation import Conversation
from proxy.imap.ports import Settings, Upstream
from proxy.limits import CLOSE_S, STOP_S
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Ports

log = logging.getLogger(__name__)


class ImapFrontEnd:
    """Serves IMAP connections; `handle` is given to the accept loop."""

    def __init__(self, ports: Ports, upstream: Upstream, settings: Settings) -> None:
        self._ports = ports
        self._upstream = upstream
        self._settings = settings

    async def handle(self, connection: Connection, *, implicit_tls: bool) -> None:
        """Serve one connection until it has ended; it is closed then. Raises nothing but CancelledError."""
        try:
            await self._serve(connection, implicit_tls=implicit_tls)
        except ConnectionLost as lost:
            log.info("imap connection ended id=%s cause=%s", connection.id, lost)
        finally:
            connection.abort()

    async def _serve(self, connection: Connection, *, implicit_tls: bool) -> None:
        conversation = Conversation(
            connection, self._ports, self._upstream, self._settings, secure=implicit_tls
        )
        try:
            async with asyncio.timeout(self._settings.sign_in_s) as limit:
                if implicit_tls:
                    await self._handshake(connection)
                await conversation.run(limit)
        except ConnectionLost:
            raise
        except asyncio.CancelledError:  # the server stops (RFC 9051 §7.1.5)
            await _farewell(conversation, "the server is stopping", within_s=STOP_S)
            raise
        except TimeoutError:
            log.info("imap sign-in took too long id=%s state=%s", connection.id, conversation.leg.state)
            await _farewell(conversation, "sign-in took too long")
        except Exception as bug:  # noqa: BLE001 - one connection ends, the server does not
            log.error("imap connection ended by a fault id=%s %s", connection.id, fault(bug))  # noqa: TRY400
            await _farewell(conversation, "internal error")

    async def _handshake(self, connection: Connection) -> None:
        settings = self._settings
        await connection.secure_as_server(settings.tls(), timeout_s=settings.handshake_s)


async def _farewell(conversation: Conversation, words: str, *, within_s: float = CLOSE_S) -> None:
    with contextlib.suppress(TimeoutError, ConnectionLost):
        async with asyncio.timeout(within_s):
            await conversation.farewell(words)
