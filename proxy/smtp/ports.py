"""What the submission front-end is joined to beside what all are, and what it is told by the config."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.failures import House
from proxy.limits import SIGN_IN_S, TLS_HANDSHAKE_S
from proxy.log.events import Ended
from proxy.net.connection import Connection
from proxy.ports import Attempt
from proxy.smtp.offer import Offer
from proxy.smtp.upstream import SignedIn
from proxy.upstreams.origin import Origin
from scopes.model import Grant


class Upstream(Protocol):
    """What stands behind: `proxy.smtp.upstream.SmtpUpstream`."""

    async def sign_in(self, grant: Grant, origin: Origin) -> SignedIn:
        """Sign in for the grant's account, whose client came from `origin`. Raises `UpstreamFailure`."""


class Session(Protocol):
    """One client from the 235 on: `proxy.smtp.session.Submission`."""

    when_over: Callable[[Ended], None]
    """Told once how it ends, unless `run` raises."""

    async def run(self, received: bytes) -> None:
        """Serve until the end, which the grant's expiry is too. Raises ConnectionLost.

        `received` came behind the client's sign-in. Cancelled, it leaves the client to be told.
        """

    def cut(self) -> None:
        """End it, without waiting; before `run` too."""


NewSession = Callable[[Connection, SignedIn, Grant, Attempt], Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the front-end is told by the config; times in seconds."""

    house: House
    offer: Offer
    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake, so that certificates can be changed while serving."""
    session: NewSession
    now: Callable[[], float] = time.time
    handshake_s: float = TLS_HANDSHAKE_S
    sign_in_s: float = SIGN_IN_S
    """From the accepted socket to the 235."""
