"""Sentences for people, whose parts know what they are: our words, a name that somebody chose, a moment.

A page shows a chosen name apart from our words, with a direction of its own, so that nothing an owner or a
client calls itself can pass for words of ours; a moment is marked up for programs. Wherever Jinja puts a
sentence it escapes itself (`__html__`), and `str()` of it is plain text. Moments are UTC, which is all that a
server knows, and each page says so once; `portal.js` says both in the zone of the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

DAY_S: Final = 86_400
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
"""Not from strftime, which would ask the locale of whoever started the server."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a person or a client chose: a label, what a client calls itself."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __html__(self) -> str:
        return f'<bdi class="name">{escape(self.text)}</bdi>'


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as people say it, and as programs read it."""

    at: int
    """Seconds since 1970-01-01 UTC."""
    text: str

    @property
    def iso(self) -> str:
        """The moment as in RFC 3339 §5.6."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def __str__(self) -> str:
        return self.text

    def __html__(self) -> str:
        return f'<time datetime="{self.iso}">{escape(self.text)}</time>'


Part = str | Name | Moment


class Sentence:
    """Parts in a row; two are equal when their parts are."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Part) -> None:
        self.parts = parts

    def __add__(self, more: Sentence) -> Sentence:
        return Sentence(*self.parts, *more.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sentence) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    def __repr__(self) -> str:
        return f"Sentence({str(self)!r})"

    def __html__(self) -> str:
        return "".join(escape(part) if isinstance(part, str) else part.__html__() for part in self.parts)


def day(at: int, now: float) -> Moment:
    """Say a day: `3 May`, and the year where it is not this one."""
    then, this = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    year = "" if then.year == this.year else f" {then.year}"
    return Moment(at, f"{then.day} {_MONTHS[then.month - 1]}{year}")


def moment(at: int, now: float) -> Moment:
    """Say a day with its time: `3 May, 14:05`."""
    return Moment(at, f"{day(at, now)}, {clock(at)}")


def clock(at: int) -> Moment:
    """Say the time alone: `14:05`."""
    return Moment(at, f"{datetime.fromtimestamp(at, UTC):%H:%M}")


def lately(at: int, now: float) -> Moment:
    """Say the time alone where the day is today: `14:05`."""
    same_day = datetime.fromtimestamp(at, UTC).date() == datetime.fromtimestamp(now, UTC).date()
    return clock(at) if same_day else moment(at, now)


def counted(number: int, noun: str, ending: str = "s") -> str:
    """Say a number of things: `1 session`, `no sessions`, `3 sessions`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else ending}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Say several words as one: `mail, contacts and events`."""
    *others, final = words
    return f"{', '.join(others)} {last} {final}" if others else final


def in_a_row(sentences: Sequence[Sentence], between: str = " ") -> Sentence:
    """Put sentences behind one another."""
    parts: list[Part] = []
    for sentence in sentences:
        parts += [between, *sentence.parts] if parts else sentence.parts
    return Sentence(*parts)
