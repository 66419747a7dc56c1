"""Tries at primary passwords and codes: counted in the store, by name, by account and by address.

A try is counted as a failure before anything is looked at, and taken back when it was right, so that guesses
in parallel are counted like guesses in a row. What is counted against is stored as a keyed digest, and found
under every key of the ring, so that a new current key forgets no lock-out. How long to wait is decided by
`auth.throttle`.

What is said depends on what a stranger knows already: the name that was typed, which may be nobody's, and the
address. Were it said of an account, wrong tries at one of its names would make another one answer otherwise
than a name nobody has, and so tell that both exist and belong together. An account is protected all the same:
while it is to be left alone, a try by a name that may still be tried is answered as a wrong one, unseen. Its
owner is told so too, for to tell only who is right would let the guessing go on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from auth.deed import AccountError, Problem
from auth.seal import KeyRing, framed
from auth.store import proofs
from auth.store.proofs import Failures
from auth.store.rows import AccountRow
from auth.store.store import Tx
from auth.throttle import (
    PER_ACCOUNT,
    PER_ADDRESS,
    Ladder,
    Wait,
    failures_carried,
    failures_counted,
    prefixes,
    primary_verdict,
)

NAME_CHARS: Final = 320
"""Of a name that is no name; what follows does not make another subject."""
_SOON_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What failures are counted against: a name, an account, or an address."""

    digest: bytes = field(repr=False)
    """Made with the current key."""
    earlier: tuple[bytes, ...] = field(repr=False)
    """Made with each other key of the ring."""
    ladder: Ladder
    starts_afresh: bool
    """A right proof clears the count of name and account; an address only gets its one try back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A try that may be answered."""

    subjects: tuple[Subject, ...]
    """What it was counted against."""
    unseen: bool
    """Whether it must be wrong, whatever it is: its account is to be left alone."""
    doubted: bool = False
    """Whether something from the same address came to nothing lately; right and wrong names count alike."""


class Tries:
    """The counts, each call inside a transaction of the caller's."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def begin(self, tx: Tx, name: str, account_id: str | None, where: str, now: float) -> Try:
        """Count a try against the name that was typed, its account, and the address in `where`, if any.

        Raises AccountError, and counts nothing, when it is too early for another by this name or address. An
        account that is to be left alone is not counted against: it does not stay so for ever.
        """
        address = self._address(where)
        told = (self._name(name), *address)
        account = self._account(account_id or name)  # one nobody has costs and counts like one that is there
        for subject in told:
            if (seconds := self._wait(tx, subject, now)) is not None:
                raise _too_many(seconds)
        unseen = self._wait(tx, account, now) is not None
        doubted = any(self._carried(tx, subject, now) > 0 for subject in address)
        subjects = told if unseen else (*told, account)
        for subject in subjects:
            failures, last_at = self._stored(tx, subject)
            count, from_ = failures_counted(failures, last_at, now, subject.ladder)
            counted = Failures(count=count, last_at=from_)
            proofs.set_failures(tx, subject.digest, self._keys.current_id, counted)
        return Try(subjects=subjects, unseen=unseen, doubted=doubted)

    def right(self, tx: Tx, subjects: tuple[Subject, ...]) -> None:
        """Settle a try that was right."""
        for subject in subjects:
            proofs.forgive(tx, subject.digest, all_of_them=subject.starts_afresh)

    def not_seen(self, tx: Tx, subjects: tuple[Subject, ...]) -> None:
        """Take back a try that an outage kept from being looked at."""
        for subject in subjects:
            proofs.forgive(tx, subject.digest, all_of_them=False)

    def give_back(self, tx: Tx, where: str) -> None:
        """Take back a try of a first half that turned out to be right, by the address it came from."""
        for subject in self._address(where):
            proofs.forgive(tx, subject.digest, all_of_them=False)

    def forget(self, tx: Tx, account: AccountRow) -> None:
        """Clear the counts of an account and of its names: its operator has intervened."""
        names = (self._name(name) for name in (account.email, *account.aliases))
        for subject in (self._account(account.id), *names):
            for digest in (subject.digest, *subject.earlier):
                proofs.forgive(tx, digest, all_of_them=True)

    def _name(self, name: str) -> Subject:
        return self._subject("name", name[:NAME_CHARS], PER_ACCOUNT, starts_afresh=True)

    def _account(self, account_id: str) -> Subject:
        return self._subject("account", account_id[:NAME_CHARS], PER_ACCOUNT, starts_afresh=True)

    def _address(self, where: str) -> tuple[Subject, ...]:
        try:
            network = prefixes(ip_address(where))[0]
        except ValueError:  # no address: the command line, a Unix socket
            return ()
        return (self._subject("address", str(network), PER_ADDRESS, starts_afresh=False),)

    def _subject(self, kind: str, what: str, ladder: Ladder, *, starts_afresh: bool) -> Subject:
        message = framed("wicketgate/failures/1", kind, what.encode("utf-8", "surrogatepass"))
        others = sorted(self._keys.ids - {self._keys.current_id})
        return Subject(
            digest=self._keys.pepper(self._keys.current_id, message),
            earlier=tuple(self._keys.pepper(key_id, message) for key_id in others),
            ladder=ladder,
            starts_afresh=starts_afresh,
        )

    def _wait(self, tx: Tx, subject: Subject, now: float) -> float | None:
        """Say how many seconds it is too early for another try; None when it is not."""
        match primary_verdict(*self._stored(tx, subject), now, subject.ladder):
            case Wait(seconds):
                return seconds
        return None

    def _carried(self, tx: Tx, subject: Subject, now: float) -> int:
        return failures_carried(*self._stored(tx, subject), now, subject.ladder)

    def _stored(self, tx: Tx, subject: Subject) -> tuple[int, float | None]:
        proofs.adopt_failures(tx, subject.digest, self._keys.current_id, subject.earlier)
        stored = proofs.failures_of(tx, subject.digest)
        return (0, None) if stored is None else (stored.count, stored.last_at)


def _too_many(seconds: float) -> AccountError:
    return AccountError(
        Problem.TOO_MANY_TRIES,
        "there were too many wrong tries just now",
        f"try again in {in_words(seconds)}",
        retry_after_s=seconds,
    )


def in_words(seconds: float) -> str:
    """Write a time to wait, rounded up: never too early for what it promises."""
    if seconds >= _SOON_S:
        return f"{math.ceil(seconds / 60)} minutes"
    whole = max(1, math.ceil(seconds))
    return "1 second" if whole == 1 else f"{whole} seconds"
