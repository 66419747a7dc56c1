r"""SEARCH: from the client's keys to one test of a message (RFC 3501 §6.4.4).

A search is read whole before any message is looked at. Header fields are compared decoded (RFC 2047), text in
its own character set, both without regard to case; a date is compared by its day, the internal one in UTC.
Keywords other than `$Forwarded` are never kept, so no message has them.
"""

from __future__ import annotations

import re
from datetime import date
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol

from proxy.embedded.arguments import Arguments, BadArgumentsError
from proxy.embedded.messagefile import FLAG_LETTERS
from proxy.embedded.wirevalues import MONTHS, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.embedded.mailtext import MailText
    from proxy.embedded.mime import Part
    from proxy.embedded.sequence import SequenceSet


class Candidate(Protocol):
    """One message of the folder that is searched, read as far as it is asked."""

    number: int
    uid: int

    @property
    def largest(self) -> tuple[int, int]:
        """The largest message number and the largest UID."""

    def flags(self) -> tuple[str, ...]:
        r"""IMAP flags, \Recent included."""

    def received(self) -> float:
        """The internal date, seconds since 1970."""

    def size(self) -> int:
        """Octets with CRLF."""

    def part(self) -> Part:
        """The message taken apart."""

    def text(self) -> MailText:
        """What can be read in the message, the same object each time."""


if TYPE_CHECKING:
    Test = Callable[[Candidate], bool]


class UnknownCharsetError(Exception):
    """A CHARSET that is not known here (RFC 3501 §6.4.4)."""


_NESTING: Final = 16
_KEYS: Final = 200
_CHARSETS: Final = frozenset({b"US-ASCII", b"ASCII", b"UTF-8"})
_FLAG_KEYS: Final = {
    b"ANSWERED": "\\Answered",
    b"DELETED": "\\Deleted",
    b"DRAFT": "\\Draft",
    b"FLAGGED": "\\Flagged",
    b"RECENT": "\\Recent",
    b"SEEN": "\\Seen",
}
_KEYWORDS: Final = {flag.upper().encode("ascii"): flag for flag in FLAG_LETTERS}
_FIELD_KEYS: Final = frozenset({b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO"})
_DATE_OCTETS: Final = 256
"""As much of a Date field is read."""
_DATE_KEYS: Final = frozenset({b"BEFORE", b"ON", b"SINCE"})
_CHARSET: Final = re.compile(rb"CHARSET ", re.IGNORECASE)
_SET_STARTS: Final = re.compile(rb"(?=[0-9*])")
_DATE: Final = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')


def read_search(arguments: Arguments) -> Test:
    """Read the keys up to the end of the command. Raises `BadArgumentsError` and `UnknownCharsetError`."""
    reader = _Reader(arguments)
    if arguments.match(_CHARSET):
        if arguments.astring().upper() not in _CHARSETS:
            raise UnknownCharsetError
        arguments.space()
    tests = [reader.key(0)]
    while not arguments.at_end:
        arguments.space()
        tests.append(reader.key(0))
    return _all(tests)


class _Reader:
    """Reads keys; counts them, so that no search is without end."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._read = 0

    def key(self, depth: int) -> Test:
        """Read one key with what belongs to it."""
        self._read += 1
        if depth > _NESTING or self._read > _KEYS:
            raise BadArgumentsError("too many search keys")
        arguments = self._arguments
        if arguments.take(b"("):
            tests = [self.key(depth + 1)]
            while not arguments.take(b")"):
                arguments.space()
                tests.append(self.key(depth + 1))
            return _all(tests)
        if arguments.match(_SET_STARTS):
            return _in_set(arguments.sequence_set(), by_uid=False)
        return self._named(arguments.atom(), depth)

    def _named(self, name: bytes, depth: int) -> Test:
        match name:
            case b"ALL":
                return lambda _: True
            case b"NEW":
                return lambda m: "\\Recent" in m.flags() and "\\Seen" not in m.flags()
            case b"OLD":
                return lambda m: "\\Recent" not in m.flags()
            case b"NOT":
                return _not(self._next(depth))
            case b"OR":
                either, other = self._next(depth), self._next(depth)
                return lambda m: either(m) or other(m)
            case b"UID":
                self._arguments.space()
                return _in_set(self._arguments.sequence_set(), by_uid=True)
        if name in _FLAG_KEYS:
            return _flagged(_FLAG_KEYS[name])
        if name.startswith(b"UN") and name[2:] in _FLAG_KEYS and name != b"UNRECENT":
            return _not(_flagged(_FLAG_KEYS[name[2:]]))
        return self._with_value(name)

    def _next(self, depth: int) -> Test:
        self._arguments.space()
        return self.key(depth + 1)

    def _with_value(self, name: bytes) -> Test:
        """Read the keys that have a value of their own."""
        arguments = self._arguments
        if name.removeprefix(b"SENT") in _DATE_KEYS:
            arguments.space()
            return _dated(name, self._date())
        match name:
            case b"KEYWORD" | b"UNKEYWORD":
                arguments.space()
                kept = _flagged(_KEYWORDS.get(arguments.atom(), ""))
                return kept if name == b"KEYWORD" else _not(kept)
            case b"LARGER" | b"SMALLER":
                arguments.space()
                bound = arguments.number()
                return (lambda m: m.size() > bound) if name == b"LARGER" else (lambda m: m.size() < bound)
            case b"HEADER":
                arguments.space()
                return _in_field(arguments.astring().lower(), self._text())
            case b"BODY" | b"TEXT":
                return _in_text(self._text(), headers=name == b"TEXT")
        if name in _FIELD_KEYS:
            return _in_field(name.lower(), self._text())
        raise BadArgumentsError("unknown search key")

    def _text(self) -> str:
        self._arguments.space()
        return self._arguments.astring().decode("utf-8", "replace").casefold()

    def _date(self) -> date:
        found = self._arguments.need(_DATE, "a date")
        try:
            month = MONTHS.index(found[3].capitalize()) + 1
            return date(int(found[4]), month, int(found[2]))
        except ValueError:
            raise BadArgumentsError("expected a date") from None


def _all(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda m: all(test(m) for test in tests)


def _not(test: Test) -> Test:
    return lambda m: not test(m)


def _flagged(flag: str) -> Test:
    return lambda m: flag in m.flags()


def _in_set(numbers: SequenceSet, *, by_uid: bool) -> Test:
    def test(m: Candidate) -> bool:
        mine, largest = (m.uid, m.largest[1]) if by_uid else (m.number, m.largest[0])
        return any(
            min(pair) <= mine <= max(pair)
            for pair in ((low or largest, high or largest) for low, high in numbers.ranges)
        )

    return test


def _dated(name: bytes, day: date) -> Test:
    when = _sent_day if name.startswith(b"SENT") else _received_day

    def test(m: Candidate) -> bool:
        mine = when(m)
        if mine is None:
            return False
        match name.removeprefix(b"SENT"):
            case b"BEFORE":
                return mine < day
            case b"ON":
                return mine == day
            case _:
                return mine >= day

    return test


def _received_day(m: Candidate) -> date | None:
    return moment(m.received()).date()


def _sent_day(m: Candidate) -> date | None:
    said = m.part().first(b"date")
    try:
        return parsedate_to_datetime(said[:_DATE_OCTETS].decode("latin-1")).date() if said else None
    except (OverflowError, ValueError):  # years, days and zones may have any number of digits
        return None


def _in_field(name: bytes, wanted: str) -> Test:
    """An empty string asks only whether there is such a field."""
    return lambda m: any(wanted in value for value in m.text().fields(name))


def _in_text(wanted: str, *, headers: bool) -> Test:
    return lambda m: m.text().holds(wanted, headers=headers)
