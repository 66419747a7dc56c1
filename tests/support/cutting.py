"""Deeds on the command line that cut sessions, and the end of a session as its client sees it.

How soon is not measured here: a command says "cut" when the worker has reported, so what it counts has ended,
and the worker looks at the change feed every `FEED_POLL_S`. The one measurement is in `test_live_cut.py`.
"""

import imaplib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.imap import start_idle
from support.serving import Serving


@dataclass(frozen=True)
class Done:
    """What a command said of its deed."""

    facts: dict[str, Any]

    @property
    def cut(self) -> tuple[int, int]:
        """Sessions cut, and workers that did not answer."""
        return self.facts["sessions_cut"], self.facts["silent_workers"]


def carry_out(gate: Serving, *arguments: str, stdin: str = "") -> Done:
    """Run a command that must succeed."""
    return Done(gate.ask(*arguments, stdin=stdin))


def idle(client: imaplib.IMAP4, email: str, password: str) -> imaplib.IMAP4:
    """Sign in and enter IDLE."""
    client.login(email, password)
    client.select("INBOX", readonly=True)
    start_idle(client)
    return client


def wait_for_end(client: imaplib.IMAP4) -> None:
    """Read until the gate has ended the connection; fails when it goes on, which is the client's time-out."""
    with suppress(client.abort, ConnectionError, EOFError):
        while client.readline():
            pass
