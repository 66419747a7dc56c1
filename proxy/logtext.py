"""What others chose, made fit for one line of a log.

Names, client names and upstream texts may hold anything: line ends, escape sequences, direction marks. Here
they become printable ASCII, quoted, of bounded length. People paste an app password into the field for the
name, behind the name too, so what has that shape is not written.
"""

from __future__ import annotations

import re
from typing import Final

from auth.apppassword import ALPHABET, looks_like_one

_MOST_CHARACTERS: Final = 200
_REDACTED: Final = "(redacted: has the shape of an app password)"
_WITHIN: Final = re.compile(
    rf"(?:[{ALPHABET}]{{4}}[^A-Za-z0-9@]{{0,3}}){{4}}[{ALPHABET}]{{4,}}", re.IGNORECASE
)
"""Five groups of four, whatever stands between them, and all that touches the last: too much is no harm."""


def quoted(text: str | bytes) -> str:
    """Give `text` in quotes, all but printable ASCII escaped, cut after 200 characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    cut = text[:_MOST_CHARACTERS]
    return ascii(cut) + ("..." if len(cut) < len(text) else "")


def name(text: str) -> str:
    """Give a sign-in name in quotes, or say what was left out."""
    return _REDACTED if looks_like_one(text) else quoted(_WITHIN.sub("(redacted)", text))


def redacted(text: str) -> str:
    """Give `text` without what has the shape of an app password, for a place where it is escaped later."""
    return _REDACTED if looks_like_one(text) else _WITHIN.sub("(redacted)", text)
