"""Times as people type them: `30d`, `12w`, or a date such as `2027-03-01` (its first moment, UTC)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import click

DAY_S: Final = 86_400
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([dw])")
_UNITS_S: Final = {"d": DAY_S, "w": 7 * DAY_S}
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def span_seconds(text: str) -> int | None:
    """Read days or weeks; None when it is neither."""
    found = _SPAN.fullmatch(text)
    return None if found is None else int(found[1]) * _UNITS_S[found[2]]


def day_begins(text: str) -> int | None:
    """Read a date: the second it begins, UTC, since 1970-01-01; None when it is none."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def expiry(text: str, now: Callable[[], float] = time.time) -> int:
    """Read when something ends: a span from now, or a date yet to come; seconds since 1970-01-01 UTC.

    Raises click.BadParameter; a moment that has passed is refused.
    """
    moment = _moment(text, "2027-03-01", now=int(now()), direction=1)
    if moment <= now():
        raise click.BadParameter(f"{text} has begun already; nothing can end in the past")
    return moment


def since(text: str, now: Callable[[], float] = time.time) -> int:
    """Read from when on: a span back from now, or a date; seconds since 1970-01-01 UTC.

    Raises click.BadParameter.
    """
    return _moment(text, "2026-03-01", now=int(now()), direction=-1)


def _moment(text: str, example: str, *, now: int, direction: int) -> int:
    span = span_seconds(text)
    moment = day_begins(text) if span is None else now + direction * span
    if moment is None:
        raise click.BadParameter(f"{text!r} is no time; write days, weeks or a date: 30d, 12w or {example}")
    return moment
