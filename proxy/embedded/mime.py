"""The parts of a message as byte ranges of the message itself (RFC 2045, RFC 2046, RFC 5322).

Nothing is decoded, rebuilt or copied until a client asks for it, so what goes out is what came in. Every
octet string is a message to this parser: broken structure becomes fewer parts, never an error. Depth is
bounded, and a whole message has one `_Room` for all that is found in it, however it is nested: what lies
deeper, or comes later, is one opaque part. Lines must end with CRLF (`messagefile.with_crlf`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_DEPTH: Final = 16
_PARTS: Final = 1_000
"""Parts of one message; what follows within a multipart belongs to its last."""
_BOUNDARIES: Final = 10_000
"""Lines of one message that begin as a boundary does."""
_VALUE_OCTETS: Final = 8_192
"""As much of a structured header field is looked at."""
_HEADER_OCTETS: Final = 262_144
"""As much of a header is looked at for fields of interest."""
_ALL_HEADER_OCTETS: Final = 4 * _HEADER_OCTETS
"""As much of all headers of one message; a field of four octets costs a hundred in memory."""
_FIELD: Final = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*+(?:\n[ \t][^\n]*+)*+\n?)", re.MULTILINE)
_BOUNDARY_END: Final = re.compile(rb"(--)?[ \t]*(?:\r\n|\Z)")
_FOLD: Final = re.compile(rb"\r\n(?=[ \t])")
_TOKEN: Final = rb"[!#$&'*+.0-9A-Z^_`a-z{|}~-]+"
_TYPE: Final = re.compile(rb"\s*(%b)\s*/\s*(%b)" % (_TOKEN, _TOKEN))
_WORD: Final = re.compile(rb"\s*(%b)" % _TOKEN)
_PARAMETER: Final = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^;\s]*))', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)

_TEXT: Final = (b"text", b"plain")
_MESSAGE: Final = (b"message", b"rfc822")
_OPAQUE: Final = (b"application", b"octet-stream")

Kind = tuple[bytes, bytes]
"""Type and subtype."""
Parameters = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A message or a part of one: header from `start`, body from `body`, both before `end`."""

    text: bytes = field(repr=False)
    """The whole message, shared by all its parts."""
    start: int
    body: int
    end: int
    fields: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """Name in lower case, and value unfolded, in order."""
    kind: Kind
    """In lower case. A multipart in which nothing was found is shown as text/plain."""
    parameters: Parameters
    parts: tuple[Part, ...] = ()
    """Of a multipart; of message/rfc822, the one message inside."""

    @property
    def is_multipart(self) -> bool:
        """Whether there are numbered parts right below."""
        return self.kind[0] == b"multipart"

    @property
    def message(self) -> Part | None:
        """The message inside a message/rfc822."""
        return self.parts[0] if self.kind == _MESSAGE else None

    def header_octets(self) -> bytes:
        """The header with the empty line behind it."""
        return self.text[self.start : self.body]

    def body_octets(self) -> bytes:
        """The body, still in its transfer encoding."""
        return self.text[self.body : self.end]

    def first(self, name: bytes) -> bytes | None:
        """The value of the first field of that (lower-case) name."""
        return next((value for known, value in self.fields if known == name), None)

    def chosen_fields(self, names: frozenset[bytes], *, wanted: bool) -> bytes:
        """The header fields with those lower-case names, or all the others, as they stand; then CRLF.

        These are copied, so a header is looked at as far as for `fields`.
        """
        header = self.text[self.start : min(self.body, self.start + _HEADER_OCTETS)]
        kept = [f[0] for f in _FIELD.finditer(header) if (f[1].lower() in names) is wanted]
        return b"".join(raw if raw.endswith(b"\n") else raw + b"\r\n" for raw in kept) + b"\r\n"


@dataclass(slots=True)
class _Room:
    """What may still be found in the message."""

    parts: int = _PARTS
    boundaries: int = _BOUNDARIES
    header_octets: int = _ALL_HEADER_OCTETS


class _Span(NamedTuple):
    """Where a part stands in the whole message, and how deep."""

    text: bytes
    start: int
    end: int
    room: _Room
    depth: int = 0


def parse(text: bytes) -> Part:
    """Take a message apart."""
    return _part(_Span(text, 0, len(text), _Room()), default=_TEXT)


def _part(span: _Span, *, default: Kind) -> Part:
    body = _body_start(span)
    fields = _fields(span, body)
    said = next((value for name, value in fields if name == b"content-type"), None)
    kind, parameters = content_type(said) if said is not None else (default, ())
    parts = _inner_parts(span._replace(start=body, depth=span.depth + 1), kind, dict(parameters))
    if parts is None:
        kind, parameters, parts = _OPAQUE, (), ()
    elif not parts and kind[0] == b"multipart":
        kind, parameters = _TEXT, ()
    return Part(
        text=span.text,
        start=span.start,
        body=body,
        end=span.end,
        fields=fields,
        kind=kind,
        parameters=parameters,
        parts=parts,
    )


def _fields(span: _Span, body: int) -> tuple[tuple[bytes, bytes], ...]:
    """Name and value of the fields before `body`, as far as they are looked at."""
    room = span.room
    header = span.text[span.start : min(body, span.start + min(_HEADER_OCTETS, room.header_octets))]
    room.header_octets -= len(header)
    return tuple((f[1].lower(), _unfold(f[2])) for f in _FIELD.finditer(header))


def _inner_parts(span: _Span, kind: Kind, parameters: dict[bytes, bytes]) -> tuple[Part, ...] | None:
    """The parts right below; None where there may be some that are not looked for."""
    if kind != _MESSAGE and kind[0] != b"multipart":
        return ()
    room = span.room
    if span.depth > _DEPTH or room.parts <= 1 or not room.boundaries:
        return None
    if kind == _MESSAGE:
        room.parts -= 1
        return (_part(span, default=_TEXT),)
    boundary = parameters.get(b"boundary")
    if not boundary:
        return ()
    default = _MESSAGE if kind[1] == b"digest" else _TEXT
    ranges = _ranges(span, boundary)
    room.parts -= len(ranges)
    return tuple(_part(span._replace(start=start, end=end), default=default) for start, end in ranges)


def _body_start(span: _Span) -> int:
    """Where the body begins: behind the first empty line, at the end when there is none."""
    text, start, end = span.text, span.start, span.end
    if text.startswith(b"\r\n", start, end):
        return start + 2
    empty = text.find(b"\r\n\r\n", start, end)
    return end if empty < 0 else empty + 4


def _ranges(span: _Span, boundary: bytes) -> list[tuple[int, int]]:
    """Byte ranges between the boundary lines; the CRLF before such a line belongs to it (RFC 2046 §5.1.1)."""
    text, start, end, room = span.text, span.start, span.end, span.room
    marker = b"\n--" + boundary
    ranges: list[tuple[int, int]] = []
    opened: int | None = None
    at = text.find(marker, start - 1, end)
    while at >= 0 and len(ranges) + 1 < room.parts and room.boundaries:
        room.boundaries -= 1
        line = _BOUNDARY_END.match(text, at + len(marker), end)
        if line is not None:
            if opened is not None:
                ranges.append((opened, max(opened, at - 1)))
            opened = line.end()
            if line[1]:
                return ranges
        at = text.find(marker, at + 1, end)
    if opened is not None:
        ranges.append((opened, end))
    return ranges


def content_type(value: bytes) -> tuple[Kind, Parameters]:
    """Read a Content-Type; what cannot be read is text/plain (RFC 2045 §5.2)."""
    found = _TYPE.match(value[:_VALUE_OCTETS])
    if found is None:
        return _TEXT, ()
    return (found[1].lower(), found[2].lower()), _parameters(value, found.end())


def disposition(value: bytes) -> tuple[bytes, Parameters] | None:
    """Read a Content-Disposition (RFC 2183); None when it cannot be read."""
    found = _WORD.match(value[:_VALUE_OCTETS])
    return (found[1], _parameters(value, found.end())) if found else None


def _parameters(value: bytes, start: int) -> Parameters:
    found = _PARAMETER.finditer(value[:_VALUE_OCTETS], start)
    return tuple((p[1].lower(), p[3] if p[2] is None else _ESCAPE.sub(rb"\1", p[2])) for p in found)


def _unfold(value: bytes) -> bytes:
    return _FOLD.sub(b"", value).strip()
