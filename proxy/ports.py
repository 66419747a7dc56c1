"""What every front-end is joined to, as it sees it: the gate, the registry, the history, the strangers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from auth.ports import SignIn, Vouched
from auth.refusal import Refusal
from auth.store.rows import SignInRecord
from proxy.net.connection import Connection
from proxy.sessions import Live
from scopes.model import Grant


class Attempt(Protocol):
    """One sign-in in progress, known to the registry: `proxy.sessions.Attempt`."""

    under_way: bool
    """Whether something is being done that a stop of the server waits for."""
    vouched: Vouched | None
    """The gate's."""

    def enter(self, app_password_id: str) -> None:
        """Be known under this app password from now on."""

    def leave(self) -> None:
        """Be known under none any more."""

    @property
    def cut(self) -> bool:
        """Whether its app password was revoked meanwhile."""

    @property
    def stopping(self) -> bool:
        """Whether the server stops, and so the reason of a cut."""

    def become_session(self, live: Live) -> None:
        """Count as a session from now on."""


class Registry(Protocol):
    """Attempts and sessions by app password: `proxy.sessions.Registry`."""

    def attempt(self, on_cut: Callable[[], None]) -> AbstractContextManager[Attempt]:
        """Begin an attempt; it, or the session it became, is over when the context is left."""

    def stranger(self, on_stop: Callable[[], object]) -> AbstractContextManager[None]:
        """Know somebody who has not signed in, to whom a stop of the server is told."""


class Gate(Protocol):
    """The one door: `auth.gate.Gate`."""

    async def admit(self, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        """Decide about a sign-in."""

    async def confirm(self, grant: Grant, sign_in: SignIn, attempt: Attempt) -> Refusal | None:
        """Decide once more, right before the client is told yes."""


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
    """What a front-end is joined to; the same for all of them, so failures are counted together."""

    gate: Gate
    registry: Registry
    recorder: Recorder
    strangers: Strangers
