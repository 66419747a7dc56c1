"""docs/log.md is held to the code: its examples are what is printed, its tables name what there is."""

import logging
import re
import sys
from ipaddress import ip_address

import pytest

from proxy.log.events import (
    Dropped,
    Ended,
    Line,
    Refused,
    SessionEnded,
    SignedIn,
    Told,
    Traffic,
    Visitor,
)
from proxy.log.formats import Formatter, LogFormat
from proxy.log.words import COUNTS_AS_GUESS, DISABLED, REASONS, TOO_MANY_TRIES, Drop, Event, SessionEnd
from scopes.model import Service

MOMENT = 1_800_000_000.123
OUTAGES = {"unavailable", "upstream-refused", "bug"}

PHONE = Visitor(
    service=Service.IMAP, address=ip_address("192.0.2.7"), connection="5f1c9a02", tls="TLSv1.3",
    account="alice@example.org", app_password="ap_gnobszkcecocd7og", label="phone", client="Thunderbird 140",
)  # fmt: skip
SIGNED_IN = SignedIn(visitor=PHONE, upstream="e99f8351")
ENDED = SessionEnded(
    visitor=PHONE, upstream="e99f8351", seconds=1325.25,
    ended=Ended(
        reason=SessionEnd.CLIENT_CLOSED, traffic=Traffic(octets_in=2_714, octets_out=88_012)
    ),
)  # fmt: skip
GUESSED = Refused(
    reason="bad-credentials",
    visitor=Visitor(
        service=Service.SUBMISSION, address=ip_address("2001:db8::7"), connection="77aa0b1c", tls="TLSv1.3",
        account="alice@example.org", client="printer",
    ),
)  # fmt: skip
NOT_TAKEN = Refused(
    reason="upstream-refused", cause="the DAV server does not take our sign-in",
    visitor=Visitor(
        service=Service.DAV, address=ip_address("192.0.2.7"), connection="0d4e88f1", tls="TLSv1.3",
        account="alice@example.org", app_password="ap_gnobszkcecocd7og", client="DAVx5/4.4",
    ),
)  # fmt: skip
SENT = SessionEnded(
    visitor=PHONE, seconds=1.0,
    ended=Ended(reason=SessionEnd.FAULT, traffic=Traffic(messages=1, requests=1), cause="KeyError at x.py:1"),
)  # fmt: skip
DROPPED = Dropped(visitor=PHONE, reason=Drop.TOO_SLOW)


def record(
    level: int, message: object, *arguments: object, name: str = "proxy.log.events"
) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "/x.py", 1, message, arguments, None)
    made.created = MOMENT
    return made


def printed(told: Told, form: LogFormat = LogFormat.LOGFMT) -> str:
    return Formatter(form).format(record(told.level, Line(told)))


@pytest.fixture(scope="module")
def text(root) -> str:
    return (root / "docs" / "log.md").read_text(encoding="utf-8")


def first_column(text: str, heading: str) -> list[str]:
    """The words of a table, in order, without its head."""
    _, _, section = text.partition(f"\n## {heading}\n")
    _, _, rows = section.partition("\n## ")[0].partition("\n|---")
    return re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE)


def test_the_examples_are_what_is_printed(text):
    cut = record(
        logging.INFO,
        "cut sessions=%d change=%d kind=%s",
        2,
        41,
        "app password revoked",
        name="proxy.worker",
    )
    lines = [*map(printed, (SIGNED_IN, ENDED, GUESSED, NOT_TAKEN)), Formatter(LogFormat.LOGFMT).format(cut)]
    assert "```text\n" + "\n".join(lines) + "\n```" in text
    assert f"```json\n{printed(ENDED, LogFormat.JSON)}\n```" in text


def test_every_field_is_described_and_in_order(text):
    described = first_column(text, "Fields")
    try:
        raise ValueError
    except ValueError:
        other = record(logging.ERROR, "words")
        other.exc_info = sys.exc_info()
    lines = [*map(printed, (SIGNED_IN, ENDED, GUESSED, NOT_TAKEN, SENT, DROPPED))]
    lines.append(Formatter(LogFormat.LOGFMT).format(other))
    seen = set()
    for line in lines:
        names = re.findall(r"(\w+)=", re.sub(r'"(?:[^"\\]|\\.)*"', "", line))
        assert names == sorted(names, key=described.index), "in another order than the table's"
        seen |= set(names)
    assert seen == set(described)


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Events", set(Event)),
        ("Reasons of `refused`", {*REASONS.values(), DISABLED, TOO_MANY_TRIES}),
        ("Reasons of `session-end`", set(SessionEnd)),
        ("Reasons of `dropped`", set(Drop)),
    ],
)
def test_every_word_is_described(text, heading, words):
    described = first_column(text, heading)
    assert set(described) == words
    assert len(described) == len(words)


def test_whose_fault_a_refusal_is_stands_there(text):
    faults = dict(re.findall(r"^\| `([\w-]+)` \| \*?\*?(client|nobody|us)\*?\*? \|", text, re.MULTILINE))
    assert {word for word, whose in faults.items() if whose == "client"} == COUNTS_AS_GUESS
    assert {word for word, whose in faults.items() if whose == "us"} == OUTAGES
    assert faults.keys() == {*REASONS.values(), DISABLED, TOO_MANY_TRIES}
