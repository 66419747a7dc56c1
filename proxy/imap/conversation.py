"""One IMAP client, from its first command to the end of its session: the parts, joined.

Up to the sign-in it is a `proxy.conversation`; then the relay has both connections, the tagged OK first, or
where commands are watched `framed` has. Between the gate's last word and the hand-over nothing waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from proxy.conversation import Begun, Conversation, Surroundings
from proxy.imap.client_leg import ClientLeg
from proxy.imap.framed import framed
from proxy.imap.permitted import Mode, shown
from proxy.imap.ports import Settings, Upstream
from proxy.imap.upstream import SignedIn
from proxy.imap.watch import Watch
from proxy.log.events import Ended, Traffic
from proxy.log.words import SessionEnd
from proxy.net.connection import Connection
from proxy.net.relay import Relayed, RelayEnd, relay
from proxy.ports import Ports
from proxy.upstreams.origin import origin_of
from scopes.model import Service


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
        session=partial(_session, connection, leg, settings),
        now=settings.now,
        handshake_s=settings.handshake_s,
        sign_in_s=settings.sign_in_s,
    )
    return Conversation(connection, leg, around)


_ENDS: Final[Mapping[RelayEnd, SessionEnd]] = MappingProxyType(
    {
        RelayEnd.CLIENT_CLOSED: SessionEnd.CLIENT_CLOSED,
        RelayEnd.CLIENT_LOST: SessionEnd.CLIENT_LOST,
        RelayEnd.UPSTREAM_CLOSED: SessionEnd.UPSTREAM_CLOSED,
        RelayEnd.UPSTREAM_LOST: SessionEnd.UPSTREAM_LOST,
        RelayEnd.CLIENT_BROKE: SessionEnd.REFUSED,
        RelayEnd.UPSTREAM_BROKE: SessionEnd.UPSTREAM_LOST,
        RelayEnd.IDLE: SessionEnd.IDLE,
        RelayEnd.CUT: SessionEnd.CUT,
    }
)


async def _session(client: Connection, leg: ClientLeg, settings: Settings, begun: Begun[SignedIn]) -> None:
    """Hand both connections to the relay, the tagged OK first; nothing waits before."""
    upstream, entrance = begun.reached.connection, begun.entrance
    ended_here: list[SessionEnd] = []

    def end(reason: SessionEnd) -> None:
        ended_here.append(reason)
        client.abort()
        upstream.abort()

    def cut() -> None:
        end(SessionEnd.STOPPING if begun.attempt.stopping else SessionEnd.CUT)

    entrance.when_cut = cut
    entrance.granted(begun.asked, begun.grant, upstream.id)
    expiry = entrance.when_expired(begun.grant, partial(end, SessionEnd.EXPIRED))
    try:
        relayed = await _joined(client, leg, settings, begun)
    finally:
        if expiry is not None:
            expiry.cancel()
    reason = ended_here[0] if relayed.end is RelayEnd.CUT and ended_here else _ENDS[relayed.end]
    traffic = Traffic(octets_in=relayed.to_upstream, octets_out=relayed.to_client)
    ended = Ended(reason=reason, traffic=traffic, cause=relayed.cause)
    entrance.teller.ended(begun.grant.app_password_id, ended)


async def _joined(client: Connection, leg: ClientLeg, settings: Settings, begun: Begun[SignedIn]) -> Relayed:
    """Join both sides in the mode that the app password and the upstream call for."""
    reached, mode, idle_s = begun.reached, _mode(begun), settings.idle_s
    alert = settings.alerts.due(begun.grant, client.peer, settings.house, settings.now())
    if mode is None:
        to_upstream = leg.granted(reached.capabilities, alert)
        to_client = leg.take_output() + reached.rest
        return await relay(
            client, reached.connection, to_upstream=to_upstream, to_client=to_client, idle_s=idle_s
        )
    pipelined = leg.granted(shown(reached.capabilities, mode), alert)
    watch = Watch(mode, greeting=leg.take_output())
    watch.upstream_said(reached.rest)
    watch.client_said(pipelined)
    return await framed(client, reached.connection, watch, idle_s=idle_s)


def _mode(begun: Begun[SignedIn]) -> Mode | None:
    """Say how commands are watched; None when they are not, and octets pass both ways."""
    if begun.grant.limits.read_only:
        return Mode.READ_ONLY
    return Mode.WHOLE if begun.reached.can_unauthenticate else None
