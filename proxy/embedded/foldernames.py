"""Folder names: what clients say, and the directory it becomes (Maildir++: INBOX is the home, `.A.B` below).

The delimiter is `.`, as in the directory's name, so both are the same text in modified UTF-7 (RFC 3501
§5.1.3). A name that could mean anything but one directory in the home is refused here, before any path is
made of it: empty parts (so `..` too), slashes, control characters, wildcards, ill-formed UTF-7, too long.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

DELIMITER: Final = "."
INBOX: Final = "INBOX"
SPECIAL_USE: Final = {
    "Archive": "\\Archive",
    "Drafts": "\\Drafts",
    "Junk": "\\Junk",
    "Sent": "\\Sent",
    "Trash": "\\Trash",
}
"""Folders every account has, with their attribute in LIST (RFC 6154 §2)."""

LONGEST: Final = 200
"""Octets; a file name may have 255."""
_LONGEST_PATTERN: Final = 1_000
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f/*%\\]")
_WILDCARDS: Final = re.compile(r"[*%]+")
_SHIFTED: Final = re.compile(r"&([^-]*)-|&")
_PLAIN_BASE64: Final = re.compile(r"[A-Za-z0-9+,]+")
_CLEAN: Final = re.compile(r"[\x20-\x7e]*")


class BadNameError(Exception):
    """A text that names no folder."""


def from_wire(octets: bytes) -> str:
    """Check a folder's name as a client sent it; INBOX in any case is INBOX. Raises `BadNameError`."""
    try:
        name = octets.decode("ascii")
    except UnicodeDecodeError:
        raise BadNameError("folder names are sent in modified UTF-7") from None
    if name.upper() == INBOX:
        return INBOX
    name = name.removesuffix(DELIMITER)  # RFC 3501 §6.3.3: CREATE may end with the delimiter
    if not _CLEAN.fullmatch(name) or _FORBIDDEN.search(name) or len(name) > LONGEST:
        raise BadNameError("a folder's name may not hold / * % \\ or control characters, nor be very long")
    if not all(name.split(DELIMITER)):
        raise BadNameError("a part of the folder's name is empty")
    for shifted in _SHIFTED.finditer(name):
        if shifted[1] is None or not _sound_base64(shifted[1]):
            raise BadNameError("not modified UTF-7")
    return name


def from_text(name: str) -> str:
    """The same for a name in plain text, as our own callers give it. Raises `BadNameError`."""
    return from_wire(_encode(name))


def directory(name: str) -> str:
    """The directory of a checked name, relative to the home."""
    return "." if name == INBOX else f".{name}"


def of_directory(entry: str) -> str | None:
    """The folder a directory entry of the home is, or None."""
    if not entry.startswith("."):
        return None
    try:
        name = from_wire(entry[1:].encode("ascii"))
    except (BadNameError, UnicodeEncodeError):
        return None
    return name if name != INBOX and directory(name) == entry else None


def matches(pattern: str, name: str) -> bool:
    """Whether a LIST pattern means a folder (RFC 3501 §6.3.8): `*` is anything, `%` all but the delimiter.

    Takes pattern times name steps at worst, whatever the wildcards; no regular expression does.
    """
    if len(pattern) > _LONGEST_PATTERN:
        return False
    short = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", pattern)
    return _matches(short, name) or (name == INBOX and _matches(short.upper(), name))


def _matches(pattern: str, name: str) -> bool:
    places = _past_wildcards(pattern, {0})
    for char in name:
        moved = set()
        for place in places:
            wanted = pattern[place : place + 1]
            if wanted == "*" or (wanted == "%" and char != DELIMITER):
                moved.add(place)
            elif wanted == char:
                moved.add(place + 1)
        places = _past_wildcards(pattern, moved)
    return len(pattern) in places


def _past_wildcards(pattern: str, places: set[int]) -> set[int]:
    """Add the places reached when a wildcard stands for nothing; no two wildcards are neighbours."""
    return places | {place + 1 for place in places if pattern[place : place + 1] in {"*", "%"}}


def parents(name: str) -> list[str]:
    """Every folder above a name, nearest last."""
    parts = name.split(DELIMITER)
    return [DELIMITER.join(parts[:length]) for length in range(1, len(parts))]


def _sound_base64(text: str) -> bool:
    """Whether what stands between & and - is UTF-16 that had to be shifted; empty is the & itself."""
    if not text:
        return True
    if not _PLAIN_BASE64.fullmatch(text):
        return False
    try:
        octets = base64.b64decode(text.replace(",", "/") + "=" * (-len(text) % 4), validate=True)
        decoded = octets.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return _shift(decoded) == text and not any(" " <= char <= "~" for char in decoded)


def _shift(text: str) -> str:
    encoded = base64.b64encode(text.encode("utf-16-be")).decode("ascii")
    return encoded.rstrip("=").replace("/", ",")


def _encode(name: str) -> bytes:
    """Plain text in modified UTF-7."""

    def shift(found: re.Match[str]) -> str:
        return "&-" if found[0] == "&" else f"&{_shift(found[0])}-"

    return re.sub(r"&|[^\x20-\x7e]+", shift, name).encode("ascii")
