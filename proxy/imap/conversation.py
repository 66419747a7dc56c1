"""One IMAP client, from its first command to the end of its session: the shell that joins the parts.

It feeds the client leg and obeys it: TLS, the gate, the upstream, then the relay. While the gate and the
upstream are asked the client is watched: one that vanishes ends everything at once, and of one that goes on
talking no more is read than may be held. A cut ends a sign-in that waits for the upstream, and later the
session. Between the gate's last word (`confirm`) and the hand-over to the relay nothing waits.

No protocol is decided here, no reply is worded here, and no outcome but the gate's own makes a session.
"""

from __future__ import annotations

import asyncio
import logging

from auth.refusal import Refusal
from proxy.entrance import Asked, Entrance
from proxy.imap.client_leg import ClientLeg, HangUp, SignInAsked, SwitchToTls
from proxy.imap.ports import Settings, Upstream
from proxy.imap.upstream import SignedIn
from proxy.limits import IMAP_LINE_OCTETS
from proxy.net.connection import Connection
from proxy.net.relay import relay
from proxy.ports import Ports
from scopes.model import Grant, Service

log = logging.getLogger(__name__)


class Conversation:
    """One client up to its sign-in, and the session that follows."""

    def __init__(
        self, connection: Connection, ports: Ports, upstream: Upstream, settings: Settings, *, secure: bool
    ) -> None:
        self.leg = ClientLeg(settings.house, secure=secure)
        self._connection = connection
        self._ports = ports
        self._upstream = upstream
        self._settings = settings
        self._entrance: Entrance[SignedIn] = Entrance(
            connection, ports, service=Service.IMAP, now=settings.now
        )

    async def run(self, limit: asyncio.Timeout) -> None:
        """Obey the leg until the connection ends. `limit` is for sign-in, and is lifted after it."""
        while True:
            event = self.leg.next()
            await self._flush()
            match event:
                case None:
                    data = await self._connection.receive(IMAP_LINE_OCTETS)
                    if not data:
                        return
                    self.leg.receive(data)
                case SwitchToTls():
                    settings = self._settings
                    await self._connection.secure_as_server(settings.tls(), timeout_s=settings.handshake_s)
                    self.leg.secured()
                case SignInAsked():
                    if await self._sign_in(event, limit):
                        return
                case HangUp():
                    await self._connection.close()
                    return

    async def farewell(self, words: str) -> None:
        """Say BYE where IMAP is spoken, and close."""
        self.leg.farewell(words)
        await self._flush()
        await self._connection.close()

    async def _flush(self) -> None:
        if output := self.leg.take_output():
            await self._connection.send(output)

    # --- sign-in --------------------------------------------------------------------------------------------

    async def _sign_in(self, asked: SignInAsked, limit: asyncio.Timeout) -> bool:
        """Ask the gate and the upstream; serve the session. False when the client may try again."""
        wanted = Asked(
            name=asked.name, secret=asked.secret, authzid=asked.authzid, client_name=asked.client_name
        )
        with self._ports.registry.attempt(self._entrance.cut) as attempt:
            outcome = await self._entrance.come_in(wanted, attempt, self._upstream.sign_in, self._hold)
            if isinstance(outcome, Refusal):
                self._entrance.refused(wanted, outcome)
                self.leg.refused(outcome)
                return False
            grant, signed_in = outcome
            try:
                attempt.become_session()
                limit.reschedule(None)
                await self._session(wanted, grant, signed_in)
            finally:
                signed_in.connection.abort()
        return True

    async def _hold(self) -> None:
        """Keep what the client sends behind its sign-in, as much as there is room for; return at its end."""
        while room := self.leg.room:
            data = await self._connection.receive(min(room, IMAP_LINE_OCTETS))
            if not data:
                return
            self.leg.receive(data)
        await asyncio.Event().wait()

    async def _session(self, asked: Asked, grant: Grant, signed_in: SignedIn) -> None:
        """Hand both connections to the relay, the tagged OK first; nothing waits before."""
        client, upstream = self._connection, signed_in.connection

        def end() -> None:
            client.abort()
            upstream.abort()

        self._entrance.when_cut = end
        self._entrance.granted(asked, grant, upstream.id)
        to_upstream = self.leg.granted(signed_in.capabilities)
        to_client = self.leg.take_output() + signed_in.rest
        expiry = self._entrance.when_expired(grant, end)
        try:
            relayed = await relay(
                client, upstream, to_upstream=to_upstream, to_client=to_client, idle_s=self._settings.idle_s
            )
        finally:
            if expiry is not None:
                expiry.cancel()
        log.info(
            "imap session ended id=%s end=%s to_upstream=%d to_client=%d",
            client.id,
            relayed.end,
            relayed.to_upstream,
            relayed.to_client,
        )
