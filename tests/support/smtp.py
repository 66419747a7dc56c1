"""Small steps with smtplib that tests share."""

import smtplib
from email.message import EmailMessage
from typing import Any

from support.imap import PATIENCE_S, trusting


def connect(facts: dict[str, Any], *, starttls: bool = False) -> smtplib.SMTP:
    """Connect to a running gate by the facts of its ready file."""
    context = trusting(facts["ca_file"])
    if not starttls:
        return smtplib.SMTP_SSL(facts["host"], facts["smtps_port"], context=context, timeout=PATIENCE_S)
    client = smtplib.SMTP(facts["host"], facts["submission_port"], timeout=PATIENCE_S)
    client.starttls(context=context)
    return client


def refusal(client: smtplib.SMTP, name: str, password: str) -> str:
    """Sign in, which must fail, and give the reply; the connection stays usable."""
    try:
        client.login(name, password)
    except smtplib.SMTPAuthenticationError as error:
        return f"{error.smtp_code} {error.smtp_error.decode()}"
    raise AssertionError("the sign-in was not refused")


def message(sender: str, to: str, subject: str) -> EmailMessage:
    """A short message."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made.set_content("A short text.\n")
    return made
