"""What the IMAP front-end is joined to beside what all are, and what it is told by the config."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from proxy.failures import House
from proxy.imap.alerts import Alerts
from proxy.imap.upstream import SignedIn
from proxy.limits import IMAP_IDLE_S, SIGN_IN_S, TLS_HANDSHAKE_S
from proxy.upstreams.origin import Origin
from scopes.model import Grant


class Upstream(Protocol):
    """What stands behind: `proxy.imap.upstream.ImapUpstream`."""

    async def sign_in(self, grant: Grant, origin: Origin) -> SignedIn:
        """Sign in for the grant's account, whose client came from `origin`. Raises `UpstreamFailure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the front-end is told by the config; times in seconds."""

    house: House
    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake, so that certificates can be changed while serving."""
    alerts: Alerts = field(default_factory=Alerts)
    """What apps were warned of; it outlives a reading of the config."""
    now: Callable[[], float] = time.time
    handshake_s: float = TLS_HANDSHAKE_S
    sign_in_s: float = SIGN_IN_S
    """From the accepted socket to the tagged OK."""
    idle_s: float = IMAP_IDLE_S
