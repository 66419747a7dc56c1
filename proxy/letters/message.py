"""A letter as a message: RFC 5322, marked as made by a machine (RFC 3834 §5), so that nothing answers it.

The same letter gives the same octets whenever it is written: date and Message-ID are those of the notice. So
one that is sent twice can be known again. Bodies are 7bit or quoted-printable, and header fields are ASCII
unless the recipient's address is not (RFC 6532).
"""

from __future__ import annotations

import hashlib
import quopri
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from typing import Final

from auth.seal import framed
from proxy.letters.words import Letter
from proxy.upstreams.by_domain import domain_of

_COLUMNS: Final = 72
"""RFC 3676 §4.2 for the habit of mail programs."""
_NAME: Final = "Wicketgate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """From whom to whom, and when."""

    sender: str
    recipient: str
    """As RCPT has it: its domain is ASCII."""
    written_at: int
    """Seconds since 1970-01-01 UTC."""
    subject: str
    """What the notice is about, for the Message-ID; no secret."""

    @property
    def utf8(self) -> bool:
        """Whether servers must take addresses beyond ASCII (RFC 6531)."""
        return not self.recipient.isascii()


def recipient_of(email: str) -> str:
    """Give the address to send to: an international domain in its xn-- form, which every server takes."""
    return f"{email.rpartition('@')[0]}@{domain_of(email)}"


def written(letter: Letter, envelope: Envelope) -> bytes:
    """Write the message, CRLF at the end of each line.

    Fields are put together here: `email` decodes what looks like an encoded word in a subject, line ends and
    all, and writes it out again as a field of its own.
    """
    text = "\n\n".join(map(_folded, letter.paragraphs)) + "\n"
    charset, encoding = ("us-ascii", "7bit") if text.isascii() else ("utf-8", "quoted-printable")
    fields = {
        "From": f"{_NAME} <{envelope.sender}>",
        "To": f"<{envelope.recipient}>",
        "Subject": _unstructured(letter.subject),
        "Date": format_datetime(datetime.fromtimestamp(envelope.written_at, UTC)),
        "Message-ID": _message_id(envelope),
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": f"text/plain; charset={charset}",
        "Content-Transfer-Encoding": encoding,
    }
    head = "".join(f"{name}: {value}\n" for name, value in fields.items())
    body = text.encode() if text.isascii() else quopri.encodestring(text.encode())
    return (head.encode() + b"\n" + body).replace(b"\n", b"\r\n")


def _unstructured(text: str) -> str:
    """Write a subject: in encoded words (RFC 2047) also where it would be read as some."""
    plain = text.isascii() and "=?" not in text
    return Header(text, "us-ascii" if plain else "utf-8", header_name="Subject").encode()


def _folded(paragraph: str) -> str:
    """Break the lines of a paragraph between words; a link stays whole."""
    return "\n".join(
        textwrap.fill(line, _COLUMNS, break_long_words=False, break_on_hyphens=False)
        for line in paragraph.split("\n")
    )


def _message_id(envelope: Envelope) -> str:
    about = framed(envelope.subject, envelope.recipient, str(envelope.written_at))
    domain = envelope.sender.rpartition("@")[2]
    return f"<{hashlib.sha256(about).hexdigest()[:32]}@{domain}>"
