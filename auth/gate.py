"""The one door: who signs in by this name and this app password, and may they do what they ask for?

Invariants. The change feed is asked before anything remembered is used, and one failed question is a
temporary refusal. An attempt is entered under its app password before the row that authorises it is read; the
row is read again after the hash if anything has changed, and `confirm` asks once more right before the client
is told yes; what a successor replaces is ended there, at its first use. Unknown account, unknown selector,
wrong verifier and disabled account get one answer after one time; only who holds the whole secret hears
more. An outage is never a wrong password, and nothing but a Grant that was earned lets anyone in: every other
way out, a bug of ours too, is a Refusal.

No protocol, no wire reply, no config, no log: a refusal's `cause` is for the caller's log, without secrets.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

from auth.apppassword import AppPassword, parse, verifier_message
from auth.fault import fault
from auth.hashing import Busy, CorruptHash, Hasher
from auth.memo import Claim, Memo, Reading, Shared
from auth.names import canonical
from auth.ports import Attempt, Clock, SignIn, StandingStore, Vouched
from auth.refusal import Reason, Refusal
from auth.seal import KeyRing, UnknownKey, framed
from auth.store.errors import StoreUnavailable
from auth.store.rows import AppPasswordRow, Located, Standing
from auth.throttle import AddressThrottle
from auth.turns import Asker, Turns
from scopes.decide import Decision, permits
from scopes.model import Grant, IPAddress

T = TypeVar("T")

MEMO_SIZE: Final = 10_000
"""Remembered sign-ins, about 2 KB each: every app of a few thousand people."""
ANSWER_FLOOR_S: Final = 0.25
"""No negative answer sooner; a later one comes at a multiple, so that the work behind it does not show."""
ANSWER_JITTER_S: Final = 0.1
"""At most this much is added at random."""
ROUNDS: Final = 3
"""Times the rows are read anew when they change under a sign-in; a second change in a row is rare."""

_REASONS: Final[Mapping[Decision, Reason]] = MappingProxyType(
    {
        Decision.EXPIRED: Reason.EXPIRED,
        Decision.WRONG_SCOPE: Reason.WRONG_SCOPE,
        Decision.READ_ONLY: Reason.READ_ONLY,
        Decision.SEND_ONLY: Reason.SEND_ONLY,
        Decision.ADDRESS_NOT_ALLOWED: Reason.ADDRESS_NOT_ALLOWED,
    }
)


class Gate:
    """Decides about every sign-in of every protocol; one for each process."""

    def __init__(
        self,
        store: StandingStore,
        hasher: Hasher,
        keys: KeyRing,
        throttle: AddressThrottle,
        *,
        clock: Clock | None = None,
        memo_size: int = MEMO_SIZE,
        turns: Turns | None = None,
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._keys = keys
        self._throttle = throttle
        self._clock = clock or Clock()
        self._memo = Memo(memo_size)
        self._turns = turns or Turns()
        self._checks: Shared[bool] = Shared()

    async def admit(self, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        """Decide about a sign-in. Raises nothing but CancelledError."""
        return await _earned(self._answer(sign_in, attempt))

    async def confirm(self, grant: Grant, sign_in: SignIn, attempt: Attempt) -> Refusal | None:
        """Decide once more, right before the client is told yes. Raises nothing but CancelledError."""
        return await _earned(self._reconsider(grant, sign_in, attempt))

    async def _answer(self, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        """Decide, and let a refusal that says something about the secret take its time."""
        began = self._clock.monotonic()
        outcome = await self._decide(sign_in, attempt)
        if isinstance(outcome, Refusal) and not outcome.is_outage:
            spent = self._clock.monotonic() - began
            floor = ANSWER_FLOOR_S * max(1, math.ceil(spent / ANSWER_FLOOR_S))
            await self._clock.sleep(floor - spent + ANSWER_JITTER_S * self._clock.jitter())
        return outcome

    async def _decide(self, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        attempt.vouched = None
        password = parse(sign_in.secret)
        if password is None:
            return _without_app_password()
        claim = _claim(sign_in, password)
        remembered = None if claim is None else self._memo.recall(claim)
        if remembered is None:
            await self._hold_back(sign_in.peer)
        reading = None if claim is None else await self._proven(claim, attempt, sign_in.peer, remembered)
        if reading is not None:
            outcome = self._judge(reading, sign_in, attempt)
            if isinstance(outcome, Grant):
                attempt.vouched = Vouched(outcome, reading.mark, _is_first_use(reading))
            return outcome
        if claim is None:
            async with self._turns.turn(self._asker(sign_in.peer)):
                await self._hasher.dummy_app()
        name = "" if claim is None else claim.name
        return self._wrong(self._memo.digest("failure", name, password), sign_in.peer)

    async def _reconsider(self, grant: Grant, sign_in: SignIn, attempt: Attempt) -> Refusal | None:
        if await self._holds(attempt.vouched, grant):
            outcome = self._permitted(grant, sign_in, attempt)  # of what was read nothing has changed
            return outcome if isinstance(outcome, Refusal) else None
        password = parse(sign_in.secret)
        claim = None if password is None else _claim(sign_in, password)
        if claim is None:
            return Refusal(reason=Reason.BUG, cause="asked to confirm what was never admitted")
        return await self._read_again(claim, grant, sign_in, attempt)

    async def _holds(self, vouched: Vouched | None, grant: Grant) -> bool:
        """Tell whether nothing has changed since the grant, and nothing is to be done for it."""
        if vouched is None or vouched.grant is not grant or vouched.is_first_use:
            return False
        return await self._store.feed_mark() == vouched.mark

    async def _read_again(
        self, claim: Claim, grant: Grant, sign_in: SignIn, attempt: Attempt
    ) -> Refusal | None:
        """Decide by the rows as they stand; once more behind the end of what a successor replaces."""
        for _ in range(ROUNDS):
            reading = await self._proven(claim, attempt, sign_in.peer)
            if reading is None:
                return Refusal(reason=Reason.BAD_CREDENTIALS, cause="gone while signing in")
            outcome = self._judge(reading, sign_in, attempt)
            if isinstance(outcome, Refusal):
                return outcome
            if outcome != grant:
                return Refusal(reason=Reason.UNAVAILABLE, cause="the account changed while signing in")
            if not _is_first_use(reading):
                return None
            where = "" if sign_in.peer is None else str(sign_in.peer)
            await self._store.first_use(grant.app_password_id, int(self._clock.wall()), where)
        raise StoreUnavailable("what a successor replaces does not end")

    async def _proven(
        self, claim: Claim, attempt: Attempt, peer: IPAddress | None, remembered: Reading | None = None
    ) -> Reading | None:
        """Give the rows of a claim whose whole secret matches, as they stand now; None when it is wrong."""
        remembered = remembered or self._memo.recall(claim)
        if remembered is not None:
            attempt.enter(remembered.located.app_password_id)
            if await self._store.feed_mark() == remembered.mark:
                return remembered
        asker = self._asker(peer)
        if remembered is not None:  # a secret known good does not pay for its neighbours
            asker = replace(asker, doubted=False)
        async with self._turns.turn(asker):
            return await self._prove(claim, attempt)

    async def _prove(self, claim: Claim, attempt: Attempt) -> Reading | None:
        """Read the rows and check the secret; a change during the hash makes the rows be read again."""
        for _ in range(ROUNDS):
            reading = await self._read(claim, attempt)
            if reading is None:
                await self._as_if_matching(claim)
                return None
            if not self._memo.proves(claim, reading):
                if not await self._matches(claim, reading.standing.app_password):
                    attempt.leave()
                    return None
                self._memo.proved(claim, reading)
                if await self._store.feed_mark() != reading.mark:
                    continue
            self._memo.remember(claim, reading)
            return reading
        raise StoreUnavailable("the rows of a sign-in change faster than it can read them")

    async def _read(self, claim: Claim, attempt: Attempt) -> Reading | None:
        """Read the rows of a claim. The mark comes first: it vouches for nothing read before it."""
        mark = await self._store.feed_mark()
        located = await self._store.locate(claim.name, claim.password.selector)
        if located != await self._acted_as(claim, located) or located is None:
            return None
        attempt.enter(located.app_password_id)
        standing = await self._store.standing(located.app_password_id)
        return None if standing is None else Reading(mark=mark, located=located, standing=standing)

    async def _acted_as(self, claim: Claim, located: Located | None) -> Located | None:
        """Find what the other name leads to, asked whatever the first one led to; nobody acts as another."""
        if claim.acts_as == claim.name:
            return located
        return await self._store.locate(claim.acts_as, claim.password.selector)

    async def _matches(self, claim: Claim, row: AppPasswordRow) -> bool:
        """Ask argon2, once for all who ask the same at the same time."""
        message = verifier_message(row.account_id, row.selector, claim.password.verifier)
        same = framed(self._memo.digest("check", row.account_id, claim.password), row.verifier_hash)
        return await self._checks.run(same, lambda: self._check(row, message))

    async def _as_if_matching(self, claim: Claim) -> None:
        """Cost what `_matches` costs, the sharing too, where there is no row."""
        same = framed(self._memo.digest("check", claim.name, claim.password), "")
        await self._checks.run(same, self._dummy)

    async def _dummy(self) -> bool:
        await self._hasher.dummy_app()
        return False

    async def _check(self, row: AppPasswordRow, message: bytes) -> bool:
        digest = self._keys.pepper(row.key_id, message)
        if not await self._hasher.verify_app(row.verifier_hash, digest):
            return False
        outdated = row.key_id != self._keys.current_id or self._hasher.app_needs_rehash(row.verifier_hash)
        if outdated and row.revoked_at is None:
            with contextlib.suppress(StoreUnavailable, Busy):  # the next sign-in tries again
                await self._upgrade(row, message)
        return True

    async def _upgrade(self, row: AppPasswordRow, message: bytes) -> None:
        """Bring the hash to today's cost and key."""
        key_id = self._keys.current_id
        new_hash = await self._hasher.hash_app(self._keys.pepper(key_id, message))
        await self._store.replace_verifier(row.id, row.verifier_hash, new_hash, key_id)

    def _judge(self, reading: Reading, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        """Decide about a sign-in whose whole secret matched."""
        row, grant = reading.standing.app_password, _grant(reading.standing)
        if reading.standing.disabled:
            return Refusal(
                reason=Reason.BAD_CREDENTIALS, account_id=row.account_id, email=grant.email, cause="disabled"
            )
        if row.revoked_at is not None:
            return _told(Reason.REVOKED, grant, cause=row.revoked_why or "")
        return self._permitted(grant, sign_in, attempt)

    def _permitted(self, grant: Grant, sign_in: SignIn, attempt: Attempt) -> Grant | Refusal:
        """Decide about a sign-in by an app password that stands."""
        decision = permits(grant, sign_in.service, sign_in.peer, self._clock.wall())
        if decision is not Decision.PERMITTED:
            return _told(_REASONS[decision], grant)
        if attempt.cut:
            return _told(Reason.UNAVAILABLE, grant, cause="cut while signing in")
        return grant

    def _wrong(self, digest: bytes, peer: IPAddress | None) -> Refusal:
        """Count a wrong secret and name the one answer all wrong secrets of this address get."""
        now = self._clock.monotonic()
        over_limit = self._throttle.over_limit(peer, now)
        self._throttle.failure(peer, digest, now)
        return Refusal(reason=Reason.TOO_MUCH_WORK if over_limit else Reason.BAD_CREDENTIALS)

    def _asker(self, peer: IPAddress | None) -> Asker:
        return self._throttle.asker(peer, self._clock.monotonic())

    async def _hold_back(self, peer: IPAddress | None) -> None:
        """Ration the work of an address that has failed often: 2 s at most, none for secrets known good."""
        seconds = self._throttle.delay(peer, self._clock.monotonic())
        if seconds > 0:
            await self._clock.sleep(seconds)


def _claim(sign_in: SignIn, password: AppPassword) -> Claim | None:
    """Put a sign-in into canonical names; None when one of them can be no account's."""
    name = canonical(sign_in.name)
    acts_as = name if sign_in.authzid is None else canonical(sign_in.authzid)
    if name is None or acts_as is None:
        return None
    return Claim(name=name, acts_as=acts_as, password=password)


def _without_app_password() -> Refusal:
    """Decide about a secret that is no app password: the same for every name, without asking anything."""
    return Refusal(reason=Reason.NOT_APP_PASSWORD)


def _grant(standing: Standing) -> Grant:
    row = standing.app_password
    return Grant(
        account_id=row.account_id,
        email=standing.email,
        app_password_id=row.id,
        label=row.label,
        scopes=row.scopes,
        limits=row.limits,
        expires_at=row.expires_at,
        identities=standing.identities,
    )


def _is_first_use(reading: Reading) -> bool:
    """Tell whether the sign-in would be the first one by a successor."""
    return reading.standing.app_password.replaces is not None


def _told(reason: Reason, grant: Grant, cause: str = "") -> Refusal:
    """A refusal that says more, for the holder of the whole secret."""
    return Refusal(
        reason=reason,
        account_id=grant.account_id,
        email=grant.email,
        app_password_id=grant.app_password_id,
        label=grant.label,
        scopes=grant.scopes,
        cause=cause,
    )


async def _earned(decision: Coroutine[Any, Any, T]) -> T | Refusal:
    """Give what `decision` earns; whatever it raises is a temporary refusal without the exception's text."""
    try:
        return await decision
    except (StoreUnavailable, Busy, UnknownKey) as outage:  # their texts are ours and hold no secret
        return Refusal(reason=Reason.UNAVAILABLE, cause=f"{type(outage).__name__}: {outage}")
    except CorruptHash:
        return Refusal(reason=Reason.UNAVAILABLE, cause="a stored hash is damaged")
    except Exception as bug:  # noqa: BLE001 - the last wall: nobody gets in, nothing gets out
        return Refusal(reason=Reason.BUG, cause=fault(bug))
