"""A relay between two loopback connections, with a client and an upstream to play at its far ends."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from dataclasses import dataclass

import pytest

from proxy.net.connection import Connection
from proxy.net.relay import Relayed, relay
from support.sockets import Tls, connections, turns

KINDS = pytest.mark.parametrize("kind", ["plain-plain", "tls-plain", "plain-tls", "tls-tls"])
"""Client side, upstream side."""

_SIOCOUTQNSD = 0x894B
"""Linux: what a socket has not sent yet (what it has sent lies in the peer's queue)."""
_STILL = 50
"""So many turns of the loop without a move: nothing moves any more."""


@dataclass
class Rig:
    """The far ends are the peers; the near ends belong to the relay."""

    client: Connection
    upstream: Connection
    near_client: Connection
    near_upstream: Connection

    def start(self, **options) -> asyncio.Task[Relayed]:
        """Run the relay; half a minute of idleness where the test says nothing."""
        return asyncio.create_task(relay(self.near_client, self.near_upstream, **{"idle_s": 30.0} | options))

    def leave(self) -> None:
        """Close the far ends."""
        self.client.abort()
        self.upstream.abort()

    def on_the_way_to_client(self) -> int:
        """How many octets the kernel has between the relay and the client."""
        near, far = self.near_client.channel.sock, self.client.channel.sock
        return _count(near, _SIOCOUTQNSD) + _count(far, termios.FIONREAD)


def _count(sock, request: int) -> int:
    return struct.unpack("i", fcntl.ioctl(sock, request, b"\0\0\0\0"))[0]


async def make_rig(tls: Tls, kind: str) -> Rig:
    """Both connections made, under TLS where `kind` says so."""
    client_side, upstream_side = kind.split("-")
    client, near_client = connections()
    near_upstream, upstream = connections()
    if client_side == "tls":
        await tls.secure(client, near_client)
    if upstream_side == "tls":
        await tls.secure(near_upstream, upstream)
    return Rig(client, upstream, near_client, near_upstream)


async def fill(sender: Connection, pattern: bytes) -> int:
    """Send until neither kernel nor relay takes more; how many octets they took.

    A send that stays behind in the far end itself is not counted as taken.
    """
    sent, still = 0, 0
    while still < _STILL:
        if sender.channel.flush():
            sender.channel.send(memoryview(pattern))
            sent += len(pattern)
            still = 0
        still += 1
        await turns(1)
    return sent
