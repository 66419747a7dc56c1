"""The primary password: whether what was typed is it, whoever keeps it.

Most are kept here, as a hash. Where a mail server keeps it (`Primaries`), that server is asked each time, and
here is only a hash of the last one that worked. It says no: wrong. It says yes to that one: right. It says
yes to another one: then it was changed there, and before anything opens all app passwords are revoked and the
sessions at the portal ended, in one transaction with the new hash. It does not answer: an outage, which is
neither a failure nor a change.

Of somebody who never proved it here nothing is kept. What the mail server says counts then only where the
first sign-in is enough, or where a second factor stands beside it. Otherwise an invitation comes first.

Names nobody has are asked for like others, so that neither an outage nor the time an answer takes tells who
has an account; and there is one hash to verify for each try. Networks take turns at both (`auth.turns`), and
those that guess wait for those that do not: hashes and answers are dear, and anyone may ask for them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from auth import ids, names
from auth.deed import AccountError, Actor, Mark, Problem, Revocation, audit_entry
from auth.ending import end_all
from auth.hashing import CorruptHash, Hasher
from auth.seal import KeyRing, framed
from auth.secret import Secret
from auth.store import deeds, queries
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow, ChangeKind
from auth.store.store import Store, Tx
from auth.turns import Asker, Turns

PRIMARY_FLOOR_S: Final = 3.0
"""A mail server that refuses takes its time (Dovecot two seconds), and one that accepts does not."""
PRIMARY_JITTER_S: Final = 0.5
TURNS_MOST: Final = 512
"""Who wait for a hash; two cores come to some thirty before clients would give up."""
ASKED_AT_A_TIME: Final = 16
ASKED_DOUBTED: Final = 12
"""Answers of mail servers that are waited for; they take seconds to refuse."""
_AGAIN: Final = 3
"""How often a try is looked at anew because the account was changed in the same moment."""


class Primaries(Protocol):
    """The mail servers that keep primary passwords."""

    def elsewhere(self, email: str) -> bool:
        """Tell whether the primary passwords of this address's domain are kept by a mail server."""

    def first_sign_in(self, email: str) -> bool:
        """Tell whether who has a mailbox there may come in without an invitation, also without an account."""

    async def is_right(self, email: str, account: AccountRow | None, primary: Secret) -> bool:
        """Ask the mail server; `account` is None where there is none, which must cost the same.

        False only where it said that the password is wrong. Raises PrimaryOutage for everything else, and
        StoreUnavailable.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least time of an answer that must not tell what a mail server said."""

    least_s: float = PRIMARY_FLOOR_S
    jitter_s: float = PRIMARY_JITTER_S
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = secrets.SystemRandom().random
    """From 0 to 1, evenly."""

    async def keep(self, began_at: float) -> None:
        """Wait until the answer to what began then may be given."""
        left = began_at + self.least_s + self.jitter_s * self.jitter() - self.monotonic()
        if left > 0:
            await self.pause(left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The mail servers that keep primary passwords, and how answers hide what they said."""

    primaries: Primaries
    floor: Floor = field(default_factory=Floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose primary password something is said to be."""

    name: str
    """As it was typed, canonical where it can be."""
    account: AccountRow | None
    where: str
    unseen: bool = False
    """Whether it must be wrong, whatever it is."""
    asker: Asker = field(default_factory=Asker)
    """Whose turn it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of it."""

    account: AccountRow | None
    """As it stands now: it may have been added, or have got a new hash."""
    right: bool
    revocation: Revocation | None = None
    """What ended because it was changed elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hash:
    stored: str = field(repr=False)
    key_id: str


class PrimaryPasswords:
    """Hashes and checks them. `now` gives seconds since 1970-01-01 UTC."""

    def __init__(
        self,
        store: Store,
        hasher: Hasher,
        keys: KeyRing,
        now: Callable[[], float],
        primaries: Primaries | None,
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._keys = keys
        self._now = now
        self._primaries = primaries
        at_a_time = hasher.primary_at_a_time
        self._turns = Turns(at_a_time=at_a_time + 1, doubted_at_a_time=at_a_time, waiting_most=TURNS_MOST)
        self._askers = Turns(
            at_a_time=ASKED_AT_A_TIME, doubted_at_a_time=ASKED_DOUBTED, waiting_most=TURNS_MOST
        )

    def elsewhere(self, email: str) -> bool:
        """Tell whether a mail server keeps the primary password of an address."""
        return self._primaries is not None and self._primaries.elsewhere(email)

    async def hash(self, account_id: str, primary: Secret) -> tuple[str, str]:
        """Hash one; gives hash and key id. Raises Busy."""
        key_id = self._keys.current_id
        digest = self._keys.pepper(key_id, _message(account_id, primary))
        return await self._hasher.hash_primary(digest), key_id

    async def rehashed(self, account: AccountRow, primary: Secret) -> tuple[str, str] | None:
        """Hash a right one anew where the stored hash is of yesterday's cost or key. Raises Busy."""
        stored = account.primary_hash
        if stored is None:
            return None
        if account.primary_key_id == self._keys.current_id and not self._hasher.primary_needs_rehash(stored):
            return None
        return await self.hash(account.id, primary)

    async def is_right_elsewhere(self, account: AccountRow, primary: Secret) -> bool:
        """Ask the mail server that keeps an account's primary password. PrimaryOutage, StoreUnavailable."""
        return await self._ask(account.email, account, primary)

    async def check(self, asked: Asked, primary: Secret) -> Checked:
        """See whether it is right. Raises Busy, UnknownKey, StoreUnavailable, PrimaryOutage, AccountError."""
        account = asked.account
        for _ in range(_AGAIN):
            email = names.email_address(asked.name) if account is None else account.email
            if email is None or not self.elsewhere(email):
                return Checked(account=account, right=await self._matches(asked, account, primary))
            async with self._askers.turn(asked.asker):
                said = await self._ask(email, account, primary)
            kept = await self._matches(asked, account, primary)
            if not said or kept:
                return Checked(account=account, right=said)
            if not self._counts(email, account, unseen=asked.unseen):
                return Checked(account=account, right=False)
            done = await self._learn(asked, account, email, primary)
            if done is not None:
                return done
            account = await self._store.read(lambda tx: _account(tx, asked))
        raise AccountError(
            Problem.CHANGED_MEANWHILE, "the account was changed in the same moment", "try again"
        )

    async def _ask(self, email: str, account: AccountRow | None, primary: Secret) -> bool:
        text = primary.reveal()
        if self._primaries is None or not text or any(char in text for char in "\0\r\n"):  # RFC 4616 §2
            return False
        return await self._primaries.is_right(email, account, primary)

    def _counts(self, email: str, account: AccountRow | None, *, unseen: bool) -> bool:
        """Tell whether a yes of the mail server counts that goes with nothing kept here."""
        first = self._primaries is not None and self._primaries.first_sign_in(email)
        if account is None:
            return first and not unseen
        if account.is_service:
            return False
        return account.primary_hash is not None or account.has_second_factor or first

    async def _matches(self, asked: Asked, account: AccountRow | None, primary: Secret) -> bool:
        async with self._turns.turn(asked.asker):
            return await self._verify(account, primary)

    async def _verify(self, account: AccountRow | None, primary: Secret) -> bool:
        if account is None or account.primary_hash is None or account.primary_key_id is None:
            await self._hasher.dummy_primary()
            return False
        digest = self._keys.pepper(account.primary_key_id, _message(account.id, primary))
        try:
            return await self._hasher.verify_primary(account.primary_hash, digest)
        except CorruptHash:
            raise StoreUnavailable("a stored hash cannot be understood") from None

    async def _learn(
        self, asked: Asked, account: AccountRow | None, email: str, primary: Secret
    ) -> Checked | None:
        """Store the hash of what the mail server took; None when the account was changed meanwhile."""
        person = account or AccountRow.person(ids.new_id(ids.ACCOUNT), email, int(self._now()))
        stored, key_id = await self.hash(person.id, primary)
        made = _Hash(stored=stored, key_id=key_id)
        actor = Actor(kind="owner", name=email, where=asked.where)
        if account is None:
            return await self._store.write(lambda tx: self._add(tx, person, made, actor))
        return await self._store.write(lambda tx: self._renew(tx, person, made, actor))

    def _add(self, tx: Tx, person: AccountRow, made: _Hash, actor: Actor) -> Checked | None:
        if queries.taken_names(tx, (person.email,)):
            return None
        row = replace(person, primary_hash=made.stored, primary_key_id=made.key_id)
        deeds.insert_account(tx, row)
        mark = Mark(deed=ChangeKind.ACCOUNT_ADDED, detail="person, at the first sign-in")
        deeds.conclude(tx, audit_entry(actor, row, int(self._now()), mark))
        return Checked(account=row, right=True)

    def _renew(self, tx: Tx, before: AccountRow, made: _Hash, actor: Actor) -> Checked | None:
        account = queries.account_by_id(tx, before.id)
        if account is None or account.primary_hash != before.primary_hash:
            return None
        deeds.set_primary(tx, account.id, made.stored, made.key_id)
        after = replace(account, primary_hash=made.stored, primary_key_id=made.key_id)
        at = int(self._now())
        if before.primary_hash is None:
            mark = Mark(deed=ChangeKind.PRIMARY_PROVED, detail="at the mail server")
            deeds.conclude(tx, audit_entry(actor, account, at, mark))
            return Checked(account=after, right=True)
        mark = Mark(deed=ChangeKind.PRIMARY_CHANGED, detail="at the mail server, seen at a sign-in")
        return Checked(account=after, right=True, revocation=end_all(tx, account, actor, at, mark))


def _account(tx: Tx, asked: Asked) -> AccountRow | None:
    """Read the account anew: the same one, or the one that was added under the name meanwhile."""
    if asked.account is not None:
        return queries.account_by_id(tx, asked.account.id)
    return None if asked.unseen else queries.find_account(tx, asked.name)


def _message(account_id: str, primary: Secret) -> bytes:
    """What is peppered. NFC: every keyboard's way to write a letter is the same one (RFC 8265 §4.2.2)."""
    text = unicodedata.normalize("NFC", primary.reveal())
    return framed("wicketgate/primary/1", account_id, text.encode("utf-8", "surrogateescape"))
