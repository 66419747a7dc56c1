"""ID as Dovecot's login proxy says it: who the client is, for an upstream that trusts us (RFC 2971).

Dovecot believes it from `login_trusted_networks`, before the sign-in; others pass it over. Nothing that the
client said of itself goes with it.
"""

from __future__ import annotations

from proxy.upstreams.origin import Origin
from proxy.upstreams.telling import ends_of


def id_command(origin: Origin) -> bytes:
    """Give the command, without its tag. Raises `UpstreamFailure` where the client has no address."""
    ends = ends_of(origin)
    pairs = {
        "x-session-id": origin.connection_id,
        "x-originating-ip": str(ends.client[0]),
        "x-originating-port": str(ends.client[1]),
        "x-connected-ip": str(ends.gate[0]),
        "x-connected-port": str(ends.gate[1]),
    }
    words = " ".join(f'"{name}" "{value}"' for name, value in pairs.items())
    return f"ID ({words})".encode("ascii")
