"""What the DAV front-end is told by the config; times in seconds."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy.dav.head import IsOurs
from proxy.failures import House
from proxy.limits import (
    DAV_IDLE_S,
    DAV_JUDGED_S,
    DAV_OBJECT_OCTETS,
    DAV_QUIET_S,
    DAV_UPSTREAM_ANSWER_S,
    DAV_WATCH_S,
    SIGN_IN_S,
    TLS_HANDSHAKE_S,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One front-end's."""

    house: House
    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake, so that certificates can be changed while serving."""
    is_ours: IsOurs
    """Tells of `host` or `host:port`, in lower case, whether clients may mean us by it."""
    now: Callable[[], float] = time.time
    handshake_s: float = TLS_HANDSHAKE_S
    sign_in_s: float = SIGN_IN_S
    """From the accepted socket to the first request with good credentials."""
    idle_s: float = DAV_IDLE_S
    """From one answer to the next request."""
    quiet_s: float = DAV_QUIET_S
    """For a client's next octets of a body, or to take the next of an answer."""
    upstream_s: float = DAV_UPSTREAM_ANSWER_S
    """For the server behind to take the next octets of a body."""
    watch_s: float = DAV_WATCH_S
    """After this long without an answer to give, the client is watched for its end."""
    judged_s: float = DAV_JUDGED_S
    """How long what the wall said is good while a body comes."""
    object_octets: int = DAV_OBJECT_OCTETS
    """The most of one PUT."""
