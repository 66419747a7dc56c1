"""What a client may say after sign-in where commands are watched, and which capabilities it sees there.

Two modes. WHOLE: everything but another sign-in and what would hide the commands from us; for upstreams that
offer UNAUTHENTICATE (RFC 8437), after which any password of that server would do. READ_ONLY: an allow-list of
commands that change nothing, for app passwords that only read; a mailbox is opened by EXAMINE, whatever the
client says, so that reading a message does not mark it as read. Pure: tables, and how a line is looked up in
them; who waits for whom is in `watch`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from proxy.imap.framing import TAG
from proxy.imap.upstream_leg import may_be_seen
from proxy.limits import IMAP_TAG_OCTETS


class Mode(StrEnum):
    """How much of a session is allowed. The words appear in logs."""

    WHOLE = "whole"
    READ_ONLY = "read only"


class Verdict(StrEnum):
    """What becomes of a command."""

    PASSES = "passes"
    NOT_PERMITTED = "not permitted"
    """It may change something: NO [NOPERM] (RFC 5530 §3)."""
    NOT_KNOWN = "not known, or not allowed now"
    """BAD, as before sign-in."""
    NO_COMMAND = "no command"
    """BAD: there is no tag, no name with one space before it, or behind it what some server misreads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A command's first line after a look at it."""

    verdict: Verdict
    tag: bytes | None = None
    """None where there is none that could be answered."""
    name: bytes = b""
    """In upper case."""
    text: bytes = field(default=b"", repr=False)
    """The line as it goes upstream."""


_NEVER: Final = frozenset({b"AUTHENTICATE", b"COMPRESS", b"LOGIN", b"STARTTLS", b"UNAUTHENTICATE"})
"""In no mode: another sign-in, and what makes the commands that follow unreadable (COMPRESS, RFC 4978)."""

_IDLE: Final = b"IDLE"
"""It takes no argument (RFC 2177 §4). Dovecot looks at none and says `+` anyway, which is no word about a
literal: what would be sent as one, it would read as DONE and commands."""

_READS: Final = frozenset(
    [
        # RFC 9051 §6.1, §6.3 and §6.4, RFC 3501 §6.3.9 (LSUB) and §6.4.1 (CHECK).
        *(
            b"CAPABILITY",
            b"NOOP",
            b"LOGOUT",
            b"ENABLE",
            b"EXAMINE",
            b"NAMESPACE",
            b"LIST",
            b"LSUB",
            b"STATUS",
        ),
        *(_IDLE, b"CHECK", b"CLOSE", b"UNSELECT", b"SEARCH", b"FETCH"),
        # RFC 2971, RFC 5256, RFC 7377, RFC 9208 §4.1, RFC 4314 §3, RFC 5464 §4.2, RFC 5255; XLIST was Gmail's
        # before RFC 6154.
        *(b"ID", b"SORT", b"THREAD", b"ESEARCH", b"GETQUOTA", b"GETQUOTAROOT"),
        *(b"GETACL", b"LISTRIGHTS", b"MYRIGHTS", b"GETMETADATA", b"LANGUAGE", b"COMPARATOR", b"XLIST"),
    ]
)
"""In a mailbox opened by EXAMINE, CLOSE expunges nothing and FETCH sets no flag (RFC 9051 §6.3.3)."""
_READS_BY_UID: Final = frozenset({b"FETCH", b"SEARCH", b"SORT", b"THREAD"})

_HIDDEN_FROM_READERS: Final = frozenset({b"NOTIFY", b"URLAUTH", b"XAPPLEPUSHSERVICE"})
"""What clients use by themselves where they see it, and may not: RFC 5465, RFC 4467, Apple's."""

_LINES: Final = re.compile(
    rb"[^ ]+ (?:APPEND +[^ ]+ |SETMETADATA +[^ ]+ |(?:UID )?REPLACE +[^ ]+ +[^ ]+ )", re.IGNORECASE
)
_LINES_LATER: Final = re.compile(rb"[^ ]+ (?:APPEND|SETMETADATA|(?:UID )?REPLACE) ", re.IGNORECASE)
_URL: Final = re.compile(rb"[ (]URL \Z", re.IGNORECASE)
_LISTS: Final = frozenset({b"LIST", b"LSUB", b"XLIST"})
_RETURN: Final = re.compile(rb'[ )"]RETURN(?=[\s(]|\Z)', re.IGNORECASE)
_BARE_STATUS: Final = re.compile(rb'[\s()"]STATUS(?! \()(?=[\s()"]|\Z)', re.IGNORECASE)
_ANOTHER: Final = re.compile(rb"[^ ] +(?:UNAUTHENTICATE\s*\Z|COMPRESS\s+DEFLATE)", re.IGNORECASE)
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"')

_NAME: Final = re.compile(rb" ([A-Za-z][A-Za-z0-9._-]*)(?= |\Z)")


def judge(text: bytes, mode: Mode) -> Judged:
    """Look a command up by its first line, which is given without CRLF and without the mark of a literal."""
    found = TAG.match(text)
    if found is None or found.end() > IMAP_TAG_OCTETS:
        return Judged(verdict=Verdict.NO_COMMAND)
    tag = found[1]
    named = _NAME.match(text, found.end())
    if named is None:
        return Judged(verdict=Verdict.NO_COMMAND, tag=tag)
    name = named[1].upper()
    verdict = _verdict(name, text, named.end(), mode)
    if verdict is Verdict.NOT_PERMITTED and name == b"SELECT":
        verdict, text = Verdict.PASSES, tag + b" EXAMINE" + text[named.end() :]
    return Judged(verdict=verdict, tag=tag, name=name, text=text)


def shown(capabilities: bytes, mode: Mode) -> bytes:
    """Give of a list of capabilities, parted by spaces, those that a client may see."""
    return b" ".join(name for name in capabilities.split() if _may_be_seen(name.upper(), mode))


def may_hold_lines(opening: bytes, before: bytes | None = None) -> bool:
    """Tell whether the literal behind a command's first line, or later behind `before`, may hold CR and LF.

    Messages and what is noted of mailboxes may. Of other literals servers repeat the octets in their errors
    (Dovecot those of a SEARCH key): with line ends in them a client could write responses of its own, and
    among them a `+`.
    """
    if before is None:
        return _LINES.match(opening) is not None and not _URL.search(opening)
    return _LINES_LATER.match(opening) is not None and not _URL.search(before)


def is_plain(name: bytes, text: bytes, *, begins: bool) -> bool:
    """Tell whether no server takes a part of this line for another command.

    Cyrus does behind much of what it refuses: it answers BAD, and reads on in the middle of the line. Among
    what readers may say that is a STATUS without its list (RFC 5819 §2) in what LIST is to return.
    Administrators may say more, so what would let somebody in anew stands in none of their lines.
    """
    if _ANOTHER.search(text):
        return False
    if name not in _LISTS:
        return True
    found = _RETURN.search(text)  # in quotes too: not every server lets one begin where we do
    if found is None and begins:
        return True
    behind = _QUOTED.sub(b'""', text) if found is None else text[found.end() :]
    return _BARE_STATUS.search(behind) is None


def _verdict(name: bytes, text: bytes, end: int, mode: Mode) -> Verdict:
    if name in _NEVER:
        return Verdict.NOT_KNOWN
    if (name == _IDLE and end < len(text)) or not is_plain(name, text, begins=True):
        return Verdict.NO_COMMAND
    if mode is Mode.WHOLE or name in _READS:
        return Verdict.PASSES
    by_uid = _NAME.match(text, end) if name == b"UID" else None
    if by_uid is not None and by_uid[1].upper() in _READS_BY_UID:
        return Verdict.PASSES
    return Verdict.NOT_PERMITTED


def _may_be_seen(name: bytes, mode: Mode) -> bool:
    if mode is Mode.READ_ONLY and name.split(b"=")[0] in _HIDDEN_FROM_READERS:
        return False
    return may_be_seen(name) and not name.startswith(b"COMPRESS=")
