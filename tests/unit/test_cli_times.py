"""Times as people type them."""

from datetime import UTC, datetime

import click
import pytest

from proxy.cli.output import Moment
from proxy.cli.times import expiry, since

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
DAY = 86_400


def now() -> float:
    return NOW


def test_spans_and_dates_ahead() -> None:
    assert expiry("30d", now) == NOW + 30 * DAY
    assert expiry("12w", now) == NOW + 84 * DAY
    assert expiry("180d", now) == NOW + 180 * DAY
    assert Moment(expiry("2027-03-01", now)).iso == "2027-03-01T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    ["", "0d", "-1d", "30", "30 d", "1m", "3h", "soon", "2027-02-30", "2027-3-1", "2027-03-01T00:00", "٣d"],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time"):
        expiry(text, now)
    with pytest.raises(click.BadParameter, match="no time"):
        since(text, now)


@pytest.mark.parametrize("text", ["2026-11-23", "2020-01-01"])
def test_nothing_ends_in_the_past(text: str) -> None:
    with pytest.raises(click.BadParameter, match="begun already"):
        expiry(text, now)


def test_spans_and_dates_back() -> None:
    assert since("2w", now) == NOW - 14 * DAY
    assert Moment(since("2026-03-01", now)).text == "2026-03-01 00:00"


def test_moments() -> None:
    assert Moment(NOW + 0.9).iso == "2026-11-23T12:00:00Z"
    assert Moment(NOW).text == "2026-11-23 12:00"
    assert Moment(None).iso is None
    assert Moment(None).text == "-"
