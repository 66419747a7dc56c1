"""Where a client came from, for the upstreams that are told. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.net.connection import Connection, address_of
from proxy.net.proxy_header import SocketAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One client's connection as an upstream may hear of it. None: it came over a Unix socket."""

    connection_id: str = ""
    """As in our log."""
    client: SocketAddress | None = None
    gate: SocketAddress | None = None
    """Where the client connected to."""


def origin_of(connection: Connection) -> Origin:
    """Give the origin of a client's connection, by its load balancer's word where there is one."""
    if (told := connection.announced) is not None:
        return Origin(connection_id=connection.id, client=told.client, gate=told.gate)
    if connection.local or connection.peer is None or connection.closed:
        return Origin(connection_id=connection.id)
    sock = connection.channel.sock
    try:
        port, here = sock.getpeername()[1], sock.getsockname()
        gate = (address_of(here[0]), here[1])
    except (OSError, ValueError):  # gone meanwhile
        return Origin(connection_id=connection.id)
    return Origin(connection_id=connection.id, client=(connection.peer, port), gate=gate)
