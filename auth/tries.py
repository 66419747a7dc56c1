"""Tries at primary passwords and codes: counted in the store, by account and by address.

A try is counted as a failure before anything is looked at, and taken back when it was right, so that guesses
in parallel are counted like guesses in a row. Names nobody has are counted like accounts. What is counted
against is stored as a keyed digest, and found under every key of the ring, so that a new current key forgets
no lock-out. How long to wait is decided by `auth.throttle`.
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
from auth.store.store import Tx
from auth.throttle import (
    PER_ACCOUNT,
    PER_ADDRESS,
    Ladder,
    Wait,
    failures_carried,
    prefixes,
    primary_verdict,
)

_NAME_CHARS: Final = 320
"""Of a name that is no name; what follows does not make another subject."""
_SOON_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What failures are counted against: an account, known or not, or an address."""

    digest: bytes = field(repr=False)
    """Made with the current key."""
    earlier: tuple[bytes, ...] = field(repr=False)
    """Made with each other key of the ring."""
    ladder: Ladder
    starts_afresh: bool
    """A right proof clears an account's count; an address only gets its one try back."""


class Tries:
    """The counts, each call inside a transaction of the caller's."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def begin(self, tx: Tx, account: str, where: str, now: float) -> tuple[Subject, ...]:
        """Count a try against `account` (its id, or a name nobody has) and the address in `where`, if any.

        Raises AccountError, and counts nothing, when it is too early for another try.
        """
        subjects = self._subjects(account, where)
        counts = [self._carried(tx, subject, now) for subject in subjects]
        for subject, (failures, last_at) in zip(subjects, counts, strict=True):
            match primary_verdict(failures, last_at, now, subject.ladder):
                case Wait(seconds):
                    raise AccountError(
                        Problem.TOO_MANY_TRIES,
                        "too many wrong passwords or codes",
                        f"try again in {_in_words(seconds)}",
                        retry_after_s=seconds,
                    )
        for subject, (failures, _) in zip(subjects, counts, strict=True):
            counted = Failures(count=failures + 1, last_at=now)
            proofs.set_failures(tx, subject.digest, self._keys.current_id, counted)
        return subjects

    def right(self, tx: Tx, subjects: tuple[Subject, ...]) -> None:
        """Settle a try that was right."""
        for subject in subjects:
            proofs.forgive(tx, subject.digest, all_of_them=subject.starts_afresh)

    def not_seen(self, tx: Tx, subjects: tuple[Subject, ...]) -> None:
        """Take back a try that an outage kept from being looked at."""
        for subject in subjects:
            proofs.forgive(tx, subject.digest, all_of_them=False)

    def forget(self, tx: Tx, account_id: str) -> None:
        """Clear an account's count: its operator has intervened."""
        subject = self._account(account_id)
        for digest in (subject.digest, *subject.earlier):
            proofs.forgive(tx, digest, all_of_them=True)

    def _subjects(self, account: str, where: str) -> tuple[Subject, ...]:
        try:
            network = prefixes(ip_address(where))[0]
        except ValueError:  # no address: the command line, a Unix socket
            return (self._account(account),)
        return (
            self._account(account),
            self._subject("address", str(network), PER_ADDRESS, starts_afresh=False),
        )

    def _account(self, account: str) -> Subject:
        return self._subject("account", account[:_NAME_CHARS], PER_ACCOUNT, starts_afresh=True)

    def _subject(self, kind: str, what: str, ladder: Ladder, *, starts_afresh: bool) -> Subject:
        message = framed("wicketgate/failures/1", kind, what.encode("utf-8", "surrogatepass"))
        others = sorted(self._keys.ids - {self._keys.current_id})
        return Subject(
            digest=self._keys.pepper(self._keys.current_id, message),
            earlier=tuple(self._keys.pepper(key_id, message) for key_id in others),
            ladder=ladder,
            starts_afresh=starts_afresh,
        )

    def _carried(self, tx: Tx, subject: Subject, now: float) -> tuple[int, float | None]:
        proofs.adopt_failures(tx, subject.digest, self._keys.current_id, subject.earlier)
        stored = proofs.failures_of(tx, subject.digest)
        if stored is None:
            return 0, None
        return failures_carried(stored.count, stored.last_at, now, subject.ladder), stored.last_at


def _in_words(seconds: float) -> str:
    """Write a time to wait, rounded up: never too early for what it promises."""
    if seconds >= _SOON_S:
        return f"{math.ceil(seconds / 60)} minutes"
    whole = max(1, math.ceil(seconds))
    return "1 second" if whole == 1 else f"{whole} seconds"
