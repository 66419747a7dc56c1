"""Values in IMAP's own notation: strings, lists, dates, ENVELOPE and BODYSTRUCTURE (RFC 3501 §7.4.2 and §9).

Everything comes from the header as it stands, encoded words included. What a quoted string may not hold goes
out as a literal, so any octet of any message can be sent. A field that cannot be read is absent, and never
takes the rest of a message, or of a folder, with it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import getaddresses
from typing import TYPE_CHECKING, Final

from proxy.embedded import mime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.embedded.mime import Parameters, Part

NIL: Final = b"NIL"
MONTHS: Final = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_QUOTABLE: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,1000}")
_ADDRESS_OCTETS: Final = 65_536


def string(octets: bytes | None) -> bytes:
    """A quoted string where it may be one, else a literal; None is NIL. NUL cannot be sent and is a space."""
    if octets is None:
        return NIL
    clean = octets.replace(b"\0", b" ")
    if _QUOTABLE.fullmatch(clean):
        return b'"%b"' % clean.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return literal(clean)


def literal(octets: bytes) -> bytes:
    """A literal."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def parenthesised(items: Iterable[bytes]) -> bytes:
    """A list of values already in notation."""
    return b"(%b)" % b" ".join(items)


def moment(seconds: float) -> datetime:
    """Seconds since 1970 in UTC. A file's time may be anything: beyond the calendar is its nearest end."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC) if seconds > 0 else datetime.min.replace(tzinfo=UTC)


def date_time(seconds: float) -> bytes:
    """An INTERNALDATE from seconds since 1970, in UTC, without the help of any locale."""
    at = moment(seconds)
    return b'"%2d-%b-%04d %02d:%02d:%02d +0000"' % (
        at.day,
        MONTHS[at.month - 1],
        at.year,
        at.hour,
        at.minute,
        at.second,
    )


def envelope(part: Part) -> bytes:
    """ENVELOPE of a message; an absent sender or reply-to is the from, as the RFC says."""
    author = _addresses(part.first(b"from"))
    fields = [
        string(part.first(b"date")),
        string(part.first(b"subject")),
        author,
        _addresses(sender) if (sender := part.first(b"sender")) else author,
        _addresses(reply_to) if (reply_to := part.first(b"reply-to")) else author,
        _addresses(part.first(b"to")),
        _addresses(part.first(b"cc")),
        _addresses(part.first(b"bcc")),
        string(part.first(b"in-reply-to")),
        string(part.first(b"message-id")),
    ]
    return parenthesised(fields)


def _addresses(value: bytes | None) -> bytes:
    """Addresses with name, NIL, local part and domain; groups are given as their members."""
    if not value:
        return NIL
    try:
        pairs = getaddresses([value[:_ADDRESS_OCTETS].decode("latin-1")])
    except RecursionError:  # of comments within comments within comments
        return NIL
    found = [_address(name, address) for name, address in pairs if name or address]
    return b"(%b)" % b"".join(found) if found else NIL


def _address(name: str, address: str) -> bytes:
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, ""
    shown = string(name.encode("latin-1")) if name else NIL
    return parenthesised([shown, NIL, string(local.encode("latin-1")), string(domain.encode("latin-1"))])


def body_structure(part: Part, *, extended: bool) -> bytes:
    """BODYSTRUCTURE, or BODY without the extension data."""
    if part.is_multipart:
        inner = b"".join(body_structure(one, extended=extended) for one in part.parts)
        tail = [_parameters(part.parameters), *_extension(part)] if extended else []
        return b"(%b)" % b" ".join([inner, string(part.kind[1]), *tail])
    tail = [string(part.first(b"content-md5")), *_extension(part)] if extended else []
    return parenthesised([*_basic(part), *_lines(part, extended=extended), *tail])


def _basic(part: Part) -> list[bytes]:
    """Fields of every single part."""
    return [
        string(part.kind[0]),
        string(part.kind[1]),
        _parameters(part.parameters),
        string(part.first(b"content-id")),
        string(part.first(b"content-description")),
        string(part.first(b"content-transfer-encoding") or b"7bit"),
        b"%d" % (part.end - part.body),
    ]


def _lines(part: Part, *, extended: bool) -> list[bytes]:
    """What message/rfc822 and text have besides."""
    lines = b"%d" % part.text.count(b"\n", part.body, part.end)
    if part.message is not None:
        return [envelope(part.message), body_structure(part.message, extended=extended), lines]
    return [lines] if part.kind[0] == b"text" else []


def _extension(part: Part) -> list[bytes]:
    """Disposition, language and location."""
    said = part.first(b"content-disposition")
    placed = mime.disposition(said) if said is not None else None
    shown = parenthesised([string(placed[0]), _parameters(placed[1])]) if placed else NIL
    return [shown, string(part.first(b"content-language")), string(part.first(b"content-location"))]


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return NIL
    return parenthesised(string(text) for pair in parameters for text in pair)
