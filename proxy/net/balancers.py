"""The load balancers that may say for whom they connect, and how their word is taken from a connection.

Who is none of them is never believed: a header from anywhere else is what a client says, and no client begins
so. Who is one must begin with a header, in time, before TLS and before our greeting; what follows it stays in
the connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.limits import PROXY_HEADER_S
from proxy.net.connection import Connection
from proxy.net.proxy_header import Bad, Header, HeaderReader
from scopes.model import IPAddress, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancers:
    """By their networks; none is the default."""

    networks: tuple[Network, ...] = ()
    header_s: float = PROXY_HEADER_S

    def __contains__(self, peer: IPAddress | None) -> bool:
        return peer is not None and any(peer in network for network in self.networks)

    async def header_of(self, connection: Connection) -> Header | Bad | None:
        """Take the header, to its last octet; None when it was closed without a word. ConnectionLost."""
        reader = HeaderReader()
        begun = False
        try:
            async with asyncio.timeout(self.header_s):
                while octets := await connection.receive(reader.wants):
                    begun = True
                    if (said := reader.feed(octets)) is not None:
                        return said
        except TimeoutError:
            return Bad("no whole header in time")
        return Bad("closed within the header") if begun else None
