"""A few mails to look at in the demo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Final

_FROM: Final = "Wicketgate <wicketgate@example.org>"
_MAILS: Final = (
    (
        "Welcome to the demo",
        """\
This mailbox stands behind a Wicketgate. Your mail program signed in with an app-specific password: it opens
this mailbox and what else you allowed, and you can take it back alone.
""",
    ),
    (
        "Revoke one and watch",
        """\
Leave your mail program open and revoke its password in a terminal, with the command on the page of settings.
The session ends within a second, and signing in again tells that the password was revoked.
""",
    ),
    (
        "Grüße aus der Küche",
        """\
Umlauts and other letters arrive as they were written: äöüß, éèê, 你好, שלום.
""",
    ),
)


def welcome(email: str, now: float) -> Iterator[bytes]:
    """Give the demo's mails to `email`, an hour apart, the last at `now` (seconds since 1970-01-01 UTC)."""
    for age_h, (subject, text) in zip(range(len(_MAILS) - 1, -1, -1), _MAILS, strict=True):
        message = EmailMessage(policy=SMTP)
        message["From"] = _FROM
        message["To"] = email
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.fromtimestamp(now - 3_600 * age_h, UTC))
        message["Message-ID"] = make_msgid(domain="example.org")
        message.set_content(text)
        yield message.as_bytes()
