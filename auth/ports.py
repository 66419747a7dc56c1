"""What the gate is asked, and what it is joined to as it sees it: a sign-in, its attempt, the store, time."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from auth.secret import Secret
from auth.store.rows import FeedMark, Located, Standing
from scopes.model import Grant, IPAddress, Service


class Vouched(NamedTuple):
    """What the gate has granted, and where the change feed stood: there, it holds without another look."""

    grant: Grant
    mark: FeedMark
    is_first_use: bool
    """Whether it is a successor whose first use this would be."""


class Attempt(Protocol):
    """One sign-in in progress, known to the session registry."""

    vouched: Vouched | None
    """The gate's own note from `admit` to `confirm`; None at first."""

    def enter(self, app_password_id: str) -> None:
        """Be cut from now on when this app password is; a later call moves the attempt."""

    def leave(self) -> None:
        """Be cut with no app password any more: the secret was wrong."""

    @property
    def cut(self) -> bool:
        """Whether it was cut."""


class StandingStore(Protocol):
    """What the gate asks of the store. Everything raises StoreUnavailable when there is no answer."""

    async def locate(self, name: str, selector: str) -> Located | None:
        """Find the app password that a canonical name and a selector mean, tombstones included."""

    async def standing(self, app_password_id: str) -> Standing | None:
        """Read all that authorises this app password, in one statement."""

    async def feed_mark(self) -> FeedMark:
        """Give the mark of the last committed change."""

    async def replace_verifier(self, app_password_id: str, old_hash: str, new_hash: str, key_id: str) -> None:
        """Store another hash of the same secret, if `old_hash` still stands."""

    async def first_use(self, app_password_id: str, at: int, where: str) -> None:
        """End what a successor replaces, in one transaction; nothing when that was done before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """What a client wants."""

    name: str
    """As the client wrote it."""
    secret: Secret
    service: Service
    peer: IPAddress | None
    """None where the client has no address (a Unix socket)."""
    authzid: str | None = None
    """Whom the client wants to act as, as it wrote it (RFC 4616 §2); None when it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time and chance, so that tests need neither."""

    wall: Callable[[], float] = time.time
    """Seconds since 1970-01-01 UTC; only for expiry."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = secrets.SystemRandom().random
    """From 0 to 1, evenly."""
