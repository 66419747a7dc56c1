"""What a mail server has delivered into a Maildir, as a test looks at it."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from support.waiting import until


def messages(box: Path) -> list[EmailMessage]:
    """Give all new messages of a Maildir, in no order."""
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in box.glob("new/*")]


def wait_for(box: Path, subject: str) -> EmailMessage:
    """Wait until a message of this subject is delivered, the only one, and give it."""
    until(lambda: _of_subject(box, subject))
    [message] = _of_subject(box, subject)
    return message


def _of_subject(box: Path, subject: str) -> list[EmailMessage]:
    return [message for message in messages(box) if message["Subject"] == subject]
