"""What the log was told of: the events among pytest's records, in order."""

from __future__ import annotations

import logging

import pytest

from proxy.log.events import Line
from proxy.log.text import Value

Told = dict[str, Value]


def told(caplog: pytest.LogCaptureFixture) -> list[Told]:
    """Give the fields of every event so far, with its level."""
    return [
        {"level": record.levelname.lower(), **dict(record.msg.fields)}
        for record in caplog.records
        if isinstance(record.msg, Line)
    ]


def words(caplog: pytest.LogCaptureFixture) -> list[tuple[Value, Value]]:
    """Give event and reason of each; a sign-in has no reason."""
    return [(line["event"], line.get("reason", "")) for line in told(caplog)]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Hear what is ordinary too."""
    caplog.set_level(logging.INFO)
    return caplog
