"""What the IMAP front-end is joined to, as it sees it, and what it is told by the config."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from auth.ports import SignIn
from auth.refusal import Refusal
from auth.store.rows import SignInRecord
from proxy.failures import House
from proxy.imap.upstream import SignedIn
from proxy.limits import IMAP_IDLE_S, SIGN_IN_S, TLS_HANDSHAKE_S
from proxy.net.connection import Connection
from scopes.model import Grant


class Attempt(Protocol):
    """One sign-in in progress, known to the registry: `proxy.sessions.Attempt`."""

    def enter(self, app_password_id: str) -> None:
        """Be known under this app password from now on."""

    def leave(self) -> None:
        """Be known under none any more."""

    @property
    def cut(self) -> bool:
        """Whether its app password was revoked meanwhile."""

    def become_session(self) -> None:
        """Count as a session from now on."""


class Registry(Protocol):
    """Attempts and sessions by app password: `proxy.sessions.Registry`."""

    def attempt(self, on_cut: Callable[[], None]) -> AbstractContextManager[Attempt]:
        """Begin an attempt; it, or the session it became, is over when the context is left."""


class Gate(Protocol):
    """The one door: `auth.gate.Gate`."""

    async def admit(self, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        """Decide about a sign-in."""

    async def confirm(self, grant: Grant, sign_in: SignIn, attempt: Attempt) -> Refusal | None:
        """Decide once more, right before the tagged OK."""


class Upstream(Protocol):
    """What stands behind: `proxy.imap.upstream.ImapUpstream`."""

    async def sign_in(self, grant: Grant) -> SignedIn:
        """Sign in for the grant's account. Raises `UpstreamFailure`."""


class Recorder(Protocol):
    """Takes the history of sign-ins: `proxy.activity.Activity`. Returns at once and never fails."""

    def record(self, record: SignInRecord) -> None:
        """Take one record."""


class Strangers(Protocol):
    """Those who have not signed in: `proxy.net.strangers.Strangers`."""

    def release(self, guest: Connection) -> None:
        """Count it no longer: it has signed in."""

    def doubt(self, guest: Connection) -> None:
        """Let it give way to others from now on: it was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the front-end is joined to."""

    gate: Gate
    registry: Registry
    upstream: Upstream
    recorder: Recorder
    strangers: Strangers


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the front-end is told by the config; times in seconds."""

    house: House
    tls: Callable[[], ssl.SSLContext]
    """Gives the context for the next handshake, so that certificates can be changed while serving."""
    now: Callable[[], float] = time.time
    handshake_s: float = TLS_HANDSHAKE_S
    sign_in_s: float = SIGN_IN_S
    """From the accepted socket to the tagged OK."""
    idle_s: float = IMAP_IDLE_S
