"""How an upstream is told who the client is, where the config says that it believes us.

By the PROXY protocol before everything else, TLS too, or by a command of the upstream's own protocol: ID for
IMAP (`proxy.imap.introduction`), XCLIENT for submission (`proxy.smtp.xclient`). A client without an address
is never passed off as the gate: the sign-in fails. Where the gate itself has a look at the upstream there is
no client, and nobody is named.
"""

from __future__ import annotations

from enum import StrEnum

from proxy.net.proxy_header import Ends, Itself, write_v1, write_v2
from proxy.upstreams.origin import Origin
from proxy.upstreams.place import UpstreamFailure


class Telling(StrEnum):
    """The words of `client_address` in the config."""

    PROXY_V1 = "proxy-v1"
    PROXY_V2 = "proxy-v2"
    ID = "id"
    XCLIENT = "xclient"


def header_for(telling: Telling | None, origin: Origin | None) -> bytes:
    """Give what goes before the first octet of the protocol or of TLS. Raises `UpstreamFailure`."""
    match telling:
        case Telling.PROXY_V1:
            return write_v1(_whose(origin))
        case Telling.PROXY_V2:
            return write_v2(_whose(origin))
        case _:
            return b""


def ends_of(origin: Origin) -> Ends:
    """Give both ends of the client's connection. Raises `UpstreamFailure` where they are not known."""
    if origin.client is None or origin.gate is None:
        raise UpstreamFailure("the upstream is to be told the client's address, and there is none")
    return Ends(client=origin.client, gate=origin.gate)


def _whose(origin: Origin | None) -> Ends | Itself:
    return Itself() if origin is None else ends_of(origin)
