"""App passwords as their owner sees them in a list: active ones, and those that have ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from auth.store import queries
from auth.store.rows import AppPasswordRow, LastUse, SignInRecord
from proxy.portal import words
from proxy.portal.ends import end_of, which_ended, why_ended
from proxy.portal.sentences import DAY_S, Name, Sentence, counted, day, lately, moment

SOON_S: Final = 14 * DAY_S
"""An app password that ends within two weeks is warned of."""

Uses = Mapping[str, Sequence[LastUse]] | None
"""The last uses by app password, the newest first; None when they cannot be read, which is not "never"."""
Refused = Mapping[str, SignInRecord] | None
"""The last refusals likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One app password."""

    id: str
    label: Name
    selector: str
    """Its first four characters."""
    opens: str
    limits: tuple[str, ...]
    made: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Active(Line):
    """One that is neither revoked nor expired."""

    notes: tuple[Sentence, ...]
    """What else its owner should know."""
    used: Sentence
    """When and by what it was last used."""
    others: tuple[Sentence, ...]
    """Its other uses, the newest first."""
    ends: Sentence
    ends_soon: bool
    """Whether to warn: it ends within two weeks, and was not renewed yet."""
    can_be_renewed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Line):
    """A tombstone."""

    why: Sentence
    tried: Sentence
    """When it was last refused since; nothing where it was not within a month."""


def active(rows: Iterable[AppPasswordRow], uses: Uses, now: float) -> tuple[Active, ...]:
    """Give the active ones of an account, the newest first; the two of a renewal stand together."""
    alive = [row for row in rows if queries.is_active(row, now)]
    successors = {row.replaces: row for row in alive if row.replaces is not None}
    lines = []
    for row in sorted(alive, key=lambda row: (row.created_at, row.id), reverse=True):
        if row.id in successors:
            continue
        lines.append(_active(row, None, uses, now))
        lines += [_active(old, row, uses, now) for old in alive if old.id == row.replaces]
    return tuple(lines)


def ended(rows: Iterable[AppPasswordRow], refused: Refused, now: float) -> tuple[Ended, ...]:
    """Give those that have ended, the last ended first."""
    found = [(end[0], row) for row in rows if (end := end_of(row, now)) is not None]
    found.sort(key=lambda pair: (pair[0], pair[1].id), reverse=True)
    return tuple(_ended(row, refused, now) for _, row in found)


def last_ended(rows: Iterable[AppPasswordRow], now: float) -> Sentence:
    """Say which one ended last, and why: `The last was Phone, which …`; nothing where none has ended."""
    ends = [(end[0], row.id, row) for row in rows if (end := end_of(row, now)) is not None]
    if not ends:
        return Sentence()
    row = max(ends)[2]
    return Sentence("The last one was ", Name(row.label)) + which_ended(row, now) + Sentence(".")


def _active(row: AppPasswordRow, successor: AppPasswordRow | None, uses: Uses, now: float) -> Active:
    used = None if uses is None else uses.get(row.id, ())
    soon = row.expires_at is not None and row.expires_at <= now + SOON_S
    return Active(
        id=row.id,
        label=Name(row.label),
        selector=row.selector,
        opens=words.opens(row.scopes),
        limits=words.limits(row.limits),
        made=_made(row, now),
        notes=tuple(_notes(row, renewed=successor is not None)),
        used=_used(used, now),
        others=tuple(use_words(use, now) for use in (used or ())[1:]),
        ends=_ends(row, now) if successor is None else _gives_way(row, now),
        ends_soon=soon and successor is None,
        can_be_renewed=row.expires_at is not None and successor is None and row.replaces is None,
    )


def _ended(row: AppPasswordRow, refused: Refused, now: float) -> Ended:
    end = end_of(row, now)
    record = None if refused is None else refused.get(row.id)
    later = record is not None and end is not None and record.at >= end[0]
    tried = Sentence()
    if record is not None and later:
        place = f", from {record.peer}." if record.peer else "."
        tried = words.owner_of(record.client_name) + Sentence(
            " still tried it: ", moment(record.at, now), place
        )
    return Ended(
        id=row.id,
        label=Name(row.label),
        selector=row.selector,
        opens=words.opens(row.scopes),
        limits=words.limits(row.limits),
        made=_made(row, now),
        why=why_ended(row, now),
        tried=tried,
    )


def use_words(use: LastUse, now: float) -> Sentence:
    """Say one use: `3 May, 14:05, Thunderbird, IMAP, from 192.0.2.7`."""
    place = f", from {use.peer}" if use.peer else ""
    who = words.client(use.client_name)
    return Sentence(lately(use.at, now), ", ") + who + Sentence(f", {words.PROTOCOL[use.service]}{place}")


def how_long(seconds: float) -> str:
    """Say how long it is until something: `3 days`, `less than a day`."""
    days = round(seconds / DAY_S)
    return counted(days, "day") if days else "less than a day"


def _made(row: AppPasswordRow, now: float) -> Sentence:
    by = " by the administrator" if row.created_by.startswith("operator") else ""
    return Sentence(day(row.created_at, now), by)


def _used(uses: Sequence[LastUse] | None, now: float) -> Sentence:
    if uses is None:
        return Sentence("cannot be read at the moment")
    return use_words(uses[0], now) if uses else Sentence("never")


def _ends(row: AppPasswordRow, now: float) -> Sentence:
    if row.expires_at is None:
        return Sentence("never")
    if row.expires_at > now + SOON_S:
        return Sentence(day(row.expires_at, now))
    return Sentence("in ", how_long(row.expires_at - now), ": ", moment(row.expires_at, now))


def _gives_way(row: AppPasswordRow, now: float) -> Sentence:
    """Say when one that was renewed ends."""
    first = "when the new one is first used"
    if row.expires_at is None:
        return Sentence(first)
    return Sentence(f"{first}, at the latest ", moment(row.expires_at, now))


def _notes(row: AppPasswordRow, *, renewed: bool) -> Iterable[Sentence]:
    if renewed:
        yield Sentence("Renewed: the new one is to take its place.")
    if row.replaces is not None:
        yield Sentence("New: its first use ends the one it takes the place of.")
    if row.shown_at is None:
        yield Sentence("Perhaps never shown: if you have not seen it, revoke it and generate another.")
