"""What the From field of a header says. RFC 5322 §2.2.3, §3.4, §3.6.2.

Whatever cannot be read without doubt is refused: a From that two readers may read in two ways lets one of
them be deceived. Addresses are taken as they stand, and nothing is decoded or put together.

Here and not by the standard library's parser: its time grows with the square of a field, and while it parses
nobody else is served. Here every octet is looked at a fixed number of times.
"""

from __future__ import annotations

import re
from enum import StrEnum
from itertools import islice
from typing import Final

from proxy.limits import SMTP_FROM_OCTETS


class BadFrom(StrEnum):
    """Why no address is read from a header. The words are said to clients."""

    SEVERAL = "more than one From field"
    UNREADABLE = "a From field that cannot be read"


_MARKS: Final = rb"[^a-z:\r\n-]*+"
_FIELD: Final = re.compile(rb"(?im)^(%b):([^\r\n]*)" % _MARKS.join((b"", *(b"f", b"r", b"o", b"m"), b"")))
"""What anybody could take for From: these letters, whatever else but a hyphen stands between and around."""
_NAME: Final = re.compile(rb"(?i:from)[ \t]*\Z")

_CONTROL: Final = r"\x00-\x08\x0a-\x1f\x7f"
_ESCAPE: Final = r"\\[\t -~]"
_INNER: Final = rf"\((?:[^()\\{_CONTROL}]++|{_ESCAPE})*+\)"
_COMMENT: Final = rf"\((?:[^()\\{_CONTROL}]++|{_ESCAPE}|{_INNER})*+\)"  # one within another, and no deeper
_SPACE: Final = rf"(?:[ \t]++|{_COMMENT})*+"
_ATOM: Final = r'[^\x00-\x20\x7f()<>\[\]:;@\\,."]++'  # beyond ASCII too: names are sent bare
_DOTTED: Final = rf"{_ATOM}(?:\.{_ATOM})*+"
_QUOTED: Final = rf'"(?:[^"\\{_CONTROL}]++|{_ESCAPE})*+"'
_ADDRESS: Final = rf"(?:{_DOTTED}|{_QUOTED})@(?:{_DOTTED}|\[[0-9A-Za-z:.]*+\])"
_PHRASE: Final = rf"(?:{_ATOM}|{_QUOTED})(?:{_ATOM}|{_QUOTED}|[. \t]++|{_COMMENT})*+"  # dots: `A. B. Cee`
_MAILBOX: Final = re.compile(
    rf"{_SPACE}(?:(?P<bare>{_ADDRESS}){_SPACE}(?=[,;]|\Z)"
    rf"|(?:{_PHRASE})?<[ \t]*+(?P<angled>{_ADDRESS})[ \t]*+>{_SPACE})"
)
_GROUP: Final = re.compile(rf"{_SPACE}{_PHRASE}:")
_GROUP_END: Final = re.compile(rf";{_SPACE}")
_ENCODED: Final = "=?"
"""RFC 2047 §2. In an address it is none, and yet there are readers who decode it."""


def from_addresses(header: bytes) -> tuple[str, ...] | BadFrom:
    """Give the addresses of the From field in a header, none when it has none.

    The header ends before its first empty line, its lines end with CRLF. Field names that another reader
    could take for `From` count as one that cannot be read.
    """
    unfolded = header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
    fields = list(islice(_FIELD.finditer(unfolded), 2))
    if not fields:
        return ()
    if len(fields) > 1:
        return BadFrom.SEVERAL
    name, value = fields[0].groups()
    if not _NAME.match(name) or len(value) > SMTP_FROM_OCTETS:
        return BadFrom.UNREADABLE
    return _addresses(value.decode("utf-8", "replace")) or BadFrom.UNREADABLE


def _addresses(value: str) -> tuple[str, ...]:
    """Read an address list; none when anything in it is in doubt."""
    found: list[str] = []
    at, in_group = 0, False
    while True:
        if not in_group and (group := _GROUP.match(value, at)):
            at, in_group = group.end(), True
        mailbox = _MAILBOX.match(value, at)
        if mailbox is None:
            return ()
        found.append(mailbox["bare"] or mailbox["angled"])
        at = mailbox.end()
        if in_group and (end := _GROUP_END.match(value, at)):
            at, in_group = end.end(), False
        if at == len(value):
            break
        if value[at] != ",":
            return ()
        at += 1
    whole = not in_group and not any(_ENCODED in each for each in found)
    return tuple(found) if whole else ()
