"""One IMAP client, from its first command to the end of its session: the parts, joined.

Up to the sign-in it is a `proxy.conversation`; then the relay has both connections, the tagged OK first.
Between the gate's last word and the hand-over to the relay nothing waits.
"""

from __future__ import annotations

import logging
from functools import partial

from proxy.conversation import Begun, Conversation, Surroundings
from proxy.imap.client_leg import ClientLeg
from proxy.imap.ports import Settings, Upstream
from proxy.imap.upstream import SignedIn
from proxy.net.connection import Connection
from proxy.net.relay import relay
from proxy.ports import Ports
from proxy.upstreams.origin import origin_of
from scopes.model import Service

log = logging.getLogger(__name__)


def conversation(
    connection: Connection, ports: Ports, upstream: Upstream, settings: Settings, *, secure: bool
) -> Conversation[SignedIn]:
    """Give the conversation with one client; `secure`: TLS protects it from its first octet."""
    leg = ClientLeg(settings.house, secure=secure)
    around = Surroundings(
        ports=ports,
        service=Service.IMAP,
        tls=settings.tls,
        reach=lambda grant: upstream.sign_in(grant, origin_of(connection)),
        session=partial(_session, connection, leg, settings.idle_s),
        now=settings.now,
        handshake_s=settings.handshake_s,
        sign_in_s=settings.sign_in_s,
    )
    return Conversation(connection, leg, around)


async def _session(client: Connection, leg: ClientLeg, idle_s: float, begun: Begun[SignedIn]) -> None:
    """Hand both connections to the relay, the tagged OK first; nothing waits before."""
    upstream, entrance = begun.reached.connection, begun.entrance

    def end() -> None:
        client.abort()
        upstream.abort()

    entrance.when_cut = end
    entrance.granted(begun.asked, begun.grant, upstream.id)
    to_upstream = leg.granted(begun.reached.capabilities)
    to_client = leg.take_output() + begun.reached.rest
    expiry = entrance.when_expired(begun.grant, end)
    try:
        relayed = await relay(client, upstream, to_upstream=to_upstream, to_client=to_client, idle_s=idle_s)
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
