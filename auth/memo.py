"""What one process remembers of good sign-ins, so that argon2 is not paid for every request.

A proof says: this account and this whole secret match version v of app password a. It is kept under a keyed
digest of account and secret, so two accounts never share one, and only good secrets are kept. A reading says:
at this mark of the change feed these were the rows; it is true for as long as the feed stands there, which
the gate asks before every use. Nothing is dropped when a password is revoked, because nothing here grants
anything without that question. The key is drawn at start and lives nowhere else; both maps have an end.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from auth.apppassword import AppPassword
from auth.recent import Recent
from auth.seal import KEY_OCTETS, framed
from auth.store.rows import FeedMark, Located, Standing

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a client says it is; nothing is known of it yet."""

    name: str
    """Canonical."""
    acts_as: str
    """Whom it wants to act as, canonical: the same name, or another one of the same account."""
    password: AppPassword


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The rows of one claim, read after the feed stood at `mark`."""

    mark: FeedMark
    located: Located
    standing: Standing


class Memo:
    """Proofs and readings, at most `most` of each."""

    def __init__(self, most: int, *, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._key = random(KEY_OCTETS)
        self._proofs: Recent[bytes, tuple[str, int]] = Recent(most)
        self._readings: Recent[tuple[str, str, str], Reading] = Recent(most)

    def digest(self, purpose: str, owner: str, password: AppPassword) -> bytes:
        """Digest an owner (account id or name) and a whole secret under this process's own key."""
        secret = password.text().reveal_bytes()
        return hmac.digest(self._key, framed(purpose, owner, secret), "sha256")

    def proves(self, claim: Claim, reading: Reading) -> bool:
        """Tell whether the claim's secret is known to be the one of the row read."""
        return self._proofs.get(self._proof_key(claim, reading)) == _row_of(reading)

    def proved(self, claim: Claim, reading: Reading) -> None:
        """Remember that argon2 found the claim's secret to be the one of the row read."""
        self._proofs.put(self._proof_key(claim, reading), _row_of(reading))

    def recall(self, claim: Claim) -> Reading | None:
        """Give the reading of a proven claim. It holds only while the feed still stands at its mark."""
        reading = self._readings.get(_names_in(claim))
        return reading if reading is not None and self.proves(claim, reading) else None

    def remember(self, claim: Claim, reading: Reading) -> None:
        """Keep the reading of a proven claim."""
        self._readings.put(_names_in(claim), reading)

    def _proof_key(self, claim: Claim, reading: Reading) -> bytes:
        return self.digest("proof", reading.located.account_id, claim.password)


def _names_in(claim: Claim) -> tuple[str, str, str]:
    return claim.name, claim.acts_as, claim.password.selector


def _row_of(reading: Reading) -> tuple[str, int]:
    row = reading.standing.app_password
    return row.id, row.version


@dataclass(slots=True)
class _Running(Generic[T]):
    task: asyncio.Task[T]
    waiters: int = 0


class Shared(Generic[T]):
    """Work that several ask for at the same time is done once; it ends when nobody waits for it any more."""

    def __init__(self) -> None:
        self._running: dict[bytes, _Running[T]] = {}

    async def run(self, key: bytes, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Give the result of `work`, or of the same key's work already under way."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _Running(asyncio.create_task(work()))
            running.task.add_done_callback(lambda task: self._over(key, task))
        running.waiters += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiters -= 1
            if running.waiters == 0 and not running.task.done():
                del self._running[key]
                running.task.cancel()

    def _over(self, key: bytes, task: asyncio.Task[T]) -> None:
        running = self._running.get(key)
        if running is not None and running.task is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also when the last waiter left in the same turn
