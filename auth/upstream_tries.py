"""Tries at the servers behind by an owner who replaces what is stored: counted in the store, so they end.

Whoever holds a session of the portal must not be able to guess at the password of the mailbox through us, nor
to hammer its server or its provider: they would take us for the attacker, and let nobody of this house in. So
every try counts before it is made, whatever comes of it, an outage too, and only what was right clears the
count. It is kept apart by account and by what is tried at, as a keyed digest that no change of the current
key makes forget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from auth.deed import AccountError, Problem
from auth.seal import KeyRing, framed
from auth.store import proofs
from auth.store.proofs import Failures
from auth.store.store import Store, Tx
from auth.throttle import Ladder, Wait, failures_carried, primary_verdict
from auth.tries import in_words

UPSTREAM_TRIES: Final = Ladder(free=3, lock_after=8, lock_s=900.0, forget_s=86_400.0)
"""Three at once, for slips of the hand, then waits of 1, 2, 4 … s, then 15 minutes a try: 100 a day."""


class UpstreamTries:
    """The counts. `now` gives seconds since 1970-01-01 UTC; all calls raise StoreUnavailable."""

    def __init__(self, store: Store, keys: KeyRing, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    async def begin(self, account_id: str, at: Collection[str]) -> None:
        """Count a try at each of these, by their names; none where it is too early for one: AccountError."""

        def count(tx: Tx) -> None:
            now = self._now()
            carried = {name: self._carried(tx, account_id, name, now) for name in at}
            waits = [self._wait(failures, now) for failures in carried.values()]
            if (longest := max(waits, default=0.0)) > 0:
                raise AccountError(
                    Problem.TOO_MANY_TRIES,
                    "this was tried too often",
                    f"try again in {in_words(longest)}; your apps go on as before",
                    retry_after_s=longest,
                )
            for name, failures in carried.items():
                counted = Failures(count=failures.count + 1, last_at=now)
                proofs.set_failures(tx, self._digests(account_id, name)[0], self._keys.current_id, counted)

        await self._store.write(count)

    async def right(self, account_id: str, at: Collection[str]) -> None:
        """Clear the counts of what was right."""

        def clear(tx: Tx) -> None:
            for name in at:
                proofs.forgive(tx, self._digests(account_id, name)[0], all_of_them=True)

        await self._store.write(clear)

    def _carried(self, tx: Tx, account_id: str, name: str, now: float) -> Failures:
        digest, *earlier = self._digests(account_id, name)
        proofs.adopt_failures(tx, digest, self._keys.current_id, earlier)
        stored = proofs.failures_of(tx, digest)
        if stored is None:
            return Failures(count=0, last_at=now)
        return Failures(
            count=failures_carried(stored.count, stored.last_at, now, UPSTREAM_TRIES), last_at=stored.last_at
        )

    def _wait(self, failures: Failures, now: float) -> float:
        match primary_verdict(failures.count, failures.last_at, now, UPSTREAM_TRIES):
            case Wait(seconds):
                return seconds
        return 0.0

    def _digests(self, account_id: str, name: str) -> tuple[bytes, ...]:
        """Give the digest under the current key, then those under the others of the ring."""
        message = framed("wicketgate/failures/1", "upstream", account_id, name)
        others = sorted(self._keys.ids - {self._keys.current_id})
        return tuple(self._keys.pepper(key_id, message) for key_id in (self._keys.current_id, *others))
