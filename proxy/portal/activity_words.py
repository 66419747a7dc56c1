"""Sign-ins of a month as sentences that answer "why did my phone fail?". Pure.

Sign-ins of one kind are one story: the same app, app password, service and outcome. What did not work stands
apart from what came in, the newest first. An outage is told by the day and names no app password, for it is
about none. Only sign-ins whose whole secret matched are of an account, so no stranger's guess is told here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from auth.refusal import OUTAGES
from auth.store.rows import GRANTED, AppPasswordRow, SignInRecord
from proxy.portal import outcomes, words
from proxy.portal.sentences import DAY_S, Sentence, clock, counted, day, lately, listed

PERSISTS_S: Final = 2 * DAY_S
"""An app that was refused this lately, and more than once, is still at it."""
ADDRESSES_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One thing that happened, once or often."""

    what: Sentence
    advice: str
    """What to do about it; empty where there is nothing to do."""
    often: Sentence
    """How often, when, from where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What is told of an account, the newest first."""

    refused: tuple[Story, ...]
    came_in: tuple[Story, ...]


def stories(records: Iterable[SignInRecord], rows: Iterable[AppPasswordRow], now: float) -> Activity:
    """Tell what happened. `rows` are the account's app passwords, tombstones too; `records` in any order."""
    known = {row.id: row for row in rows}
    kinds: dict[Hashable, list[SignInRecord]] = {}
    for record in sorted(records, key=lambda record: record.at, reverse=True):
        kinds.setdefault(_kind(record), []).append(record)
    refused: list[Story] = []
    came_in: list[Story] = []
    for alike in kinds.values():  # in the order of their newest
        story = _story(alike, known.get(alike[0].app_password_id or ""), now)
        (came_in if alike[0].outcome == GRANTED else refused).append(story)
    return Activity(refused=tuple(refused), came_in=tuple(came_in))


def _kind(record: SignInRecord) -> Hashable:
    """Give what the sign-ins of one story have in common."""
    if record.outcome in OUTAGES:
        return record.outcome, record.service, record.at // DAY_S
    name = words.client if record.outcome == GRANTED else words.owner_of
    return record.outcome, record.service, record.app_password_id, name(record.client_name)


def _story(records: Sequence[SignInRecord], row: AppPasswordRow | None, now: float) -> Story:
    newest = records[0]
    persists = len(records) > 1 and newest.at > now - PERSISTS_S
    case = outcomes.Case(record=newest, row=row, persists=persists, now=now)
    what, advice = outcomes.told(case)
    often = _waited(records, now) if newest.outcome in OUTAGES else _often(records, now)
    return Story(what=what, advice=advice, often=often)


def _often(records: Sequence[SignInRecord], now: float) -> Sentence:
    """Say how often, when and from where: `47 times since 1 May. The last: 14:05, from 192.0.2.7.`."""
    last, first = lately(records[0].at, now), day(records[-1].at, now)
    if len(records) == 1:
        return Sentence("Once: ", last, f"{_places(records)}.")
    return Sentence(f"{len(records)} times since ", first, ". The last: ", last, f"{_places(records)}.")


def _waited(records: Sequence[SignInRecord], now: float) -> Sentence:
    """Say the same of an outage: `3 sign-ins had to wait: 3 May, 14:05 to 14:20.`."""
    first, last = lately(records[-1].at, now), clock(records[0].at)  # of one day
    until = () if first.text.endswith(last.text) else (" to ", last)
    return Sentence(f"{counted(len(records), 'sign-in')} had to wait: ", first, *until, ".")


def _places(records: Sequence[SignInRecord]) -> str:
    """Name the addresses, that of the newest first."""
    known = list(dict.fromkeys(record.peer for record in records if record.peer))
    if not known:
        return ""
    named, others = known[:ADDRESSES_NAMED], len(known) - ADDRESSES_NAMED
    return f", from {listed(named + ([counted(others, 'other address', 'es')] if others > 0 else []))}"
