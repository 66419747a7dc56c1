"""Deeds on the command line that cut sessions, and when each was committed and each session ended."""

import imaplib
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.imap import start_idle
from support.office import raw
from support.serving import Serving, answer


@dataclass(frozen=True)
class Done:
    """A deed: what the command said, and when its commit could be seen in the store."""

    facts: dict[str, Any]
    at: float

    @property
    def cut(self) -> tuple[int, int]:
        """Sessions cut, and workers that did not answer."""
        return self.facts["sessions_cut"], self.facts["silent_workers"]


def carry_out(gate: Serving, *arguments: str, stdin: str = "") -> Done:
    """Run a command and watch the store for its commit; the process is the clock between two looks."""
    with raw(gate.data) as store:
        look = "SELECT seq FROM feed"
        before = store.execute(look).fetchone()
        process = gate.command(*arguments, stdin=stdin)
        while store.execute(look).fetchone() == before and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
        return Done(at=time.monotonic(), facts=answer(process))


def idle(client: imaplib.IMAP4, email: str, password: str) -> imaplib.IMAP4:
    """Sign in and enter IDLE."""
    client.login(email, password)
    client.select("INBOX", readonly=True)
    start_idle(client)
    return client


def end_of(client: imaplib.IMAP4) -> float:
    """Read until the gate has ended the connection; when that was."""
    with suppress(client.abort, OSError):
        while client.readline():
            pass
    return time.monotonic()
