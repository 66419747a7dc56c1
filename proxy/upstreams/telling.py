"""How an upstream is told who the client is, where the config says that it believes us.

By the PROXY protocol before everything else, TLS too, or by a command of the upstream's own protocol: ID for
IMAP (`proxy.imap.introduction`), XCLIENT for submission (`proxy.smtp.xclient`). A client without an address
is never passed off as the gate: the sign-in fails. Where the gate itself has a look at the upstream there is
no client, and it speaks for itself.
"""

from __future__ import annotations

from enum import StrEnum

from proxy.net.connection import Connection, ConnectionLost, address_of
from proxy.net.proxy_header import Ends, Header, Itself, write_v1, write_v2
from proxy.upstreams.origin import Origin
from proxy.upstreams.place import First, UpstreamFailure


class Telling(StrEnum):
    """The words of `client_address` in the config."""

    PROXY_V1 = "proxy-v1"
    PROXY_V2 = "proxy-v2"
    ID = "id"
    XCLIENT = "xclient"


def header_for(telling: Telling | None, origin: Origin | None) -> First | None:
    """Give what makes the header, once connected, where there is to be one. Raises `UpstreamFailure`."""
    if telling is Telling.PROXY_V2:
        header = write_v2(Itself() if origin is None else ends_of(origin))
        return lambda _: header
    if telling is Telling.PROXY_V1:
        told = None if origin is None else ends_of(origin)
        return lambda connection: write_v1(told or _our_own(connection))
    return None


def ends_of(origin: Origin) -> Ends:
    """Give both ends of the client's connection. Raises `UpstreamFailure` where they are not known."""
    if origin.client is None or origin.gate is None:
        raise UpstreamFailure("the upstream is to be told the client's address, and there is none")
    return Ends(client=origin.client, gate=origin.gate)


def _our_own(connection: Connection) -> Header:
    """Give the ends of our connection to the upstream: version 1 has no LOCAL, and servers refuse UNKNOWN.

    PROXY §2.1 recommends so.
    """
    if connection.local:
        return Itself()
    sock = connection.channel.sock
    try:
        here, there = sock.getsockname(), sock.getpeername()
    except OSError:
        raise ConnectionLost("closed by the peer") from None
    return Ends(client=(address_of(here[0]), here[1]), gate=(address_of(there[0]), there[1]))
