"""One submission client, from its first command to the end of its session: the parts, joined.

Up to the sign-in it is a `proxy.conversation`; then the session has both connections. Between the gate's last
word and the moment from which a cut ends the session nothing waits.
"""

from __future__ import annotations

import asyncio
from functools import partial

from proxy.conversation import Begun, Conversation, Surroundings
from proxy.limits import SMTP_DATA_BLOCK_S
from proxy.net.connection import Connection, ConnectionLost
from proxy.ports import Ports
from proxy.smtp.client_leg import ClientLeg
from proxy.smtp.ports import NewSession, Settings, Upstream
from proxy.smtp.upstream import SignedIn
from proxy.upstreams.origin import origin_of
from scopes.model import Service


def conversation(
    connection: Connection, ports: Ports, upstream: Upstream, settings: Settings, *, secure: bool
) -> Conversation[SignedIn]:
    """Give the conversation with one client; `secure`: TLS protects it from its first octet."""
    leg = ClientLeg(settings.house, settings.offer, secure=secure)
    around = Surroundings(
        ports=ports,
        service=Service.SUBMISSION,
        tls=settings.tls,
        reach=lambda grant: upstream.sign_in(grant, origin_of(connection)),
        session=partial(_session, connection, leg, settings.session),
        now=settings.now,
        handshake_s=settings.handshake_s,
        sign_in_s=settings.sign_in_s,
    )
    return Conversation(connection, leg, around)


async def _session(
    client: Connection, leg: ClientLeg, new_session: NewSession, begun: Begun[SignedIn]
) -> None:
    """Say 235, then leave both connections to the session.

    A client that does not read its 235 is closed without a word, by a cut at once.
    """
    entrance, upstream = begun.entrance, begun.reached
    session = new_session(client, upstream, begun.grant, begun.attempt)
    session.when_over = partial(entrance.teller.ended, begun.grant.app_password_id)
    entrance.when_cut = client.abort
    entrance.granted(begun.asked, begun.grant, upstream.connection.id)
    received = leg.granted()
    try:
        async with asyncio.timeout(SMTP_DATA_BLOCK_S):
            await client.send(leg.take_output())
    except TimeoutError:
        raise ConnectionLost("does not read its 235") from None
    entrance.when_cut = session.cut
    await session.run(received)
