"""FETCH: what a client may ask of a message, and the answer in octets (RFC 3501 §6.4.5 and §7.4.2).

Sections are taken from the message as it stands, so `BODY[]`, `BODY[HEADER]` and a partial fetch agree to the
octet. They are views of it, not copies, and one answer has an end: what a message of some megabytes costs is
its own octets, however often a command asks for them. Pure but for the `Source` it reads from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from proxy import limits
from proxy.embedded.arguments import Arguments, BadArgumentsError
from proxy.embedded.call import RefusedError
from proxy.embedded.wirevalues import body_structure, date_time, envelope, parenthesised, string

if TYPE_CHECKING:
    from proxy.embedded.mime import Part

Octets = bytes | memoryview


class Source(Protocol):
    """One message, read as far as it is asked."""

    uid: int

    def flags(self) -> tuple[str, ...]:
        r"""IMAP flags, \Recent included."""

    def received(self) -> float:
        """The internal date, seconds since 1970."""

    def size(self) -> int:
        """Octets with CRLF."""

    def part(self) -> Part:
        """The message taken apart."""


class Datum(StrEnum):
    """Everything of a message that is no section."""

    FLAGS = "FLAGS"
    UID = "UID"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    BODY = "BODY"


class Which(StrEnum):
    """Which octets of a part; the words stand in the section."""

    ALL = ""
    HEADER = "HEADER"
    TEXT = "TEXT"
    MIME = "MIME"
    FIELDS = "HEADER.FIELDS"
    FIELDS_NOT = "HEADER.FIELDS.NOT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Some octets of a message."""

    label: bytes
    """How the answer names it."""
    path: tuple[int, ...] = ()
    which: Which = Which.ALL
    names: frozenset[bytes] = frozenset()
    partial: tuple[int, int] | None = None
    """First octet and how many."""
    peek: bool = False
    """Whether looking leaves \\Seen alone."""


Item = Datum | Section

_MACROS: Final = {
    b"FAST": (Datum.FLAGS, Datum.INTERNALDATE, Datum.SIZE),
    b"ALL": (Datum.FLAGS, Datum.INTERNALDATE, Datum.SIZE, Datum.ENVELOPE),
    b"FULL": (Datum.FLAGS, Datum.INTERNALDATE, Datum.SIZE, Datum.ENVELOPE, Datum.BODY),
}
_OLD_SECTIONS: Final = {
    b"RFC822": Section(label=b"RFC822"),
    b"RFC822.HEADER": Section(label=b"RFC822.HEADER", which=Which.HEADER, peek=True),
    b"RFC822.TEXT": Section(label=b"RFC822.TEXT", which=Which.TEXT),
}
_NAME: Final = re.compile(rb"[A-Za-z0-9.]+")
_PATH: Final = re.compile(rb"([1-9][0-9]{0,4}(?:\.[1-9][0-9]{0,4}){0,30})(?=[\].])\.?")
_WHICH: Final = re.compile(rb"(HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME)?", re.IGNORECASE)
_PLAIN_FIELD: Final = re.compile(rb"[A-Z0-9-]+")
_PARTIAL: Final = re.compile(rb"<([0-9]{1,10})\.([1-9][0-9]{0,9})>")


def read_items(arguments: Arguments) -> tuple[Item, ...]:
    """Read what FETCH is to give, up to the end of the command.

    Raises `BadArgumentsError`, and `RefusedError` when it is too much (RFC 5530 §3, LIMIT).
    """
    if not arguments.take(b"("):
        items = _one(arguments, macros=True)
    else:
        items = _one(arguments, macros=False)
        while not arguments.take(b")"):
            arguments.space()
            items += _one(arguments, macros=False)
            if len(items) > limits.EMBEDDED_FETCH_ITEMS:
                raise RefusedError(f"[LIMIT] no more than {limits.EMBEDDED_FETCH_ITEMS} items in one FETCH")
    arguments.finish()
    return tuple(dict.fromkeys(items))


def _one(arguments: Arguments, *, macros: bool) -> tuple[Item, ...]:
    name = arguments.need(_NAME, "what to fetch")[0].upper()
    if name in {b"BODY", b"BODY.PEEK"} and arguments.take(b"["):
        return (_section(arguments, peek=name == b"BODY.PEEK"),)
    if macros and name in _MACROS:
        return _MACROS[name]
    if name in _OLD_SECTIONS:
        return (_OLD_SECTIONS[name],)
    try:
        return (Datum(name.decode("ascii")),)
    except ValueError:
        raise BadArgumentsError("nothing of that name can be fetched") from None


def _section(arguments: Arguments, *, peek: bool) -> Section:
    """Read a section behind its `[`."""
    numbers = arguments.match(_PATH)
    path = tuple(int(number) for number in numbers[1].split(b".")) if numbers else ()
    which = Which(arguments.need(_WHICH, "a section")[0].decode("ascii").upper())
    if (which is Which.MIME and not path) or (numbers and numbers[0].endswith(b".") and which is Which.ALL):
        raise BadArgumentsError("expected a section")
    names: tuple[bytes, ...] = ()
    if which in {Which.FIELDS, Which.FIELDS_NOT}:
        arguments.space()
        names = arguments.listed(arguments.astring)
    if not arguments.take(b"]"):
        raise BadArgumentsError("expected the end of the section")
    partial = arguments.match(_PARTIAL)
    return Section(
        label=_label(path, which, names, partial),
        path=path,
        which=which,
        names=frozenset(name.lower() for name in names),
        partial=(int(partial[1]), int(partial[2])) if partial else None,
        peek=peek,
    )


def _label(
    path: tuple[int, ...], which: Which, names: tuple[bytes, ...], partial: re.Match[bytes] | None
) -> bytes:
    words = [b"%d" % number for number in path] + ([which.value.encode("ascii")] if which else [])
    listed = b" " + parenthesised(_field_name(name) for name in names) if names else b""
    origin = b"<%d>" % int(partial[1]) if partial else b""
    return b"BODY[%b%b]%b" % (b".".join(words), listed, origin)


def _field_name(name: bytes) -> bytes:
    upper = name.upper()
    return upper if _PLAIN_FIELD.fullmatch(upper) else string(upper)


def answers(
    items: tuple[Item, ...], source: Source, *, most: int = limits.EMBEDDED_FETCH_OCTETS
) -> list[Octets]:
    """All that is asked of one message, in parentheses and in pieces. Raises `RefusedError` above `most`."""
    pieces: list[Octets] = []
    left = most
    for item in items:
        fresh = (b" " if pieces else b"(", *_answer(item, source))
        left -= sum(map(len, fresh))
        if left < 0:
            raise RefusedError("[LIMIT] that is too much of one message: ask for less at a time")
        pieces += fresh
    return [*pieces, b")"]


def _answer(item: Item, source: Source) -> tuple[Octets, ...]:
    """Name and value of one item. What a message does not have is NIL."""
    if not isinstance(item, Section):
        return (item.value.encode("ascii") + b" " + _datum(item, source),)
    octets = octets_of(item, source.part())
    if octets is None:
        return (item.label + b" NIL",)
    return (item.label + b" {%d}\r\n" % len(octets), octets)


def _datum(item: Datum, source: Source) -> bytes:
    match item:
        case Datum.FLAGS:
            return flag_list(source.flags())
        case Datum.UID:
            return b"%d" % source.uid
        case Datum.INTERNALDATE:
            return date_time(source.received())
        case Datum.SIZE:
            return b"%d" % source.size()
        case Datum.ENVELOPE:
            return envelope(source.part())
        case Datum.BODYSTRUCTURE | Datum.BODY:
            return body_structure(source.part(), extended=item is Datum.BODYSTRUCTURE)


def flag_list(flags: tuple[str, ...]) -> bytes:
    """Flags in parentheses."""
    return parenthesised(flag.encode("ascii") for flag in flags)


def octets_of(section: Section, message: Part) -> Octets | None:
    """Take a section out of a message, without a copy; None when there is no such part."""
    found = _walk(message, section.path)
    whole = _taken(section, found, top=not section.path) if found is not None else None
    if whole is None or section.partial is None:
        return whole
    start, length = section.partial
    return whole[start : start + length]


def _walk(message: Part, path: tuple[int, ...]) -> Part | None:
    """Follow part numbers; a message that is no multipart has one part, 1, its body (RFC 3501 §6.4.5)."""
    at = message
    inside_message = True  # whether `at` is a message whose own body may be called 1
    for number in path:
        if at.message is not None and not inside_message:
            at, inside_message = at.message, True
        if at.is_multipart and number <= len(at.parts):
            at, inside_message = at.parts[number - 1], False
        elif number == 1 and inside_message and not at.is_multipart:
            inside_message = False
        else:
            return None
    return at


def _taken(section: Section, part: Part, *, top: bool) -> Octets | None:
    whole = memoryview(part.text)
    if section.which is Which.MIME:
        return whole[part.start : part.body]
    if section.which is Which.ALL:
        return whole[part.start if top else part.body : part.end]
    message = part if top else part.message
    if message is None:
        return None
    match section.which:
        case Which.HEADER:
            return whole[message.start : message.body]
        case Which.TEXT:
            return whole[message.body : message.end]
        case _:
            return message.chosen_fields(section.names, wanted=section.which is Which.FIELDS)
