"""SMTP addresses and commands with an argument: read, and written anew. RFC 5321 §4.1.2, §4.1.3.

`mail_from` and `rcpt_to` read what stands behind MAIL and RCPT, and give the command as it goes upstream: an
upstream gets nothing but what was understood here, in one way of writing. Beyond ASCII an address is UTF-8,
as it came, and only where MAIL says SMTPUTF8 (RFC 6531 §3.3, §3.4). Pure. Which extensions an upstream has,
and who may send as whom, is decided elsewhere. How octets become lines and commands stands in `framing`, and
`KEYWORD=value` in `parameters`; their names are given here as well: one import is enough.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from proxy.limits import SMTP_CHUNK_DIGITS, SMTP_DOMAIN_OCTETS, SMTP_PATH_OCTETS
from proxy.smtp.beyond_ascii import BEYOND, is_text
from proxy.smtp.framing import (
    BadCommand,
    Command,
    Framer,
    Line,
    LineLimits,
    NeedData,
    Rejected,
    Why,
    reply,
    split,
)
from proxy.smtp.parameters import Parameter, parameters

__all__ = [
    "BadCommand",
    "Bdat",
    "Command",
    "Framer",
    "Line",
    "LineLimits",
    "MailFrom",
    "Mailbox",
    "NeedData",
    "Parameter",
    "RcptTo",
    "Rejected",
    "Vrfy",
    "Why",
    "bdat",
    "mail_from",
    "rcpt_to",
    "reply",
    "split",
    "vrfy",
]

_ATOM: Final = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{BEYOND}]++"
_DOT_STRING: Final = rf"{_ATOM}(?:\.{_ATOM})*+"
_QUOTED: Final = rf'"(?:[ !#-\[\]-~{BEYOND}]|\\[ -~])*+"'
_LETTER: Final = rf"[A-Za-z0-9_{BEYOND}]"  # `_` is no host name, and in use
_LABEL: Final = rf"{_LETTER}++(?:-++{_LETTER}++)*+"
_DOMAIN: Final = rf"{_LABEL}(?:\.{_LABEL})*+"
_LITERAL: Final = r"\[[0-9A-Za-z:.]++\]"
_PATH: Final = re.compile(
    rf"<(?:(?:@{_DOMAIN}(?:,@{_DOMAIN})*+:)?"  # a source route: read and ignored (RFC 5321 §4.1.1.3)
    rf"(?P<local>{_DOT_STRING}|{_QUOTED})(?:@(?P<domain>{_DOMAIN}|{_LITERAL}))?)?>"
)
_IS_DOT_STRING: Final = re.compile(rf"{_DOT_STRING}\Z")
_WHOM: Final = re.compile(rf"[ -~{BEYOND}]+\Z")
_CHUNK: Final = re.compile(rb"([0-9]{1,%d})(?: +(LAST))?\Z" % SMTP_CHUNK_DIGITS, re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\(.)")
_OTHER_DOTS: Final = frozenset("\u3002\uff0e\uff61")
"""RFC 3490 §3.1: there are readers for whom they part labels."""
_TO_ESCAPE: Final = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address. As text it is written the one way there is for it, quoted only where it must be."""

    local: str
    """Without quotes and escapes: printable ASCII and spaces, and with SMTPUTF8 what is beyond."""
    domain: str
    """As the client wrote it, an address literal in brackets; empty in `<Postmaster>` alone."""

    def __str__(self) -> str:
        local = self.local
        if not _IS_DOT_STRING.match(local):
            local = '"' + _TO_ESCAPE.sub(r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local


@dataclass(frozen=True, slots=True)
class MailFrom:
    """RFC 5321 §4.1.1.2; `AUTH=` is left out (RFC 4954 §5: we vouch for nobody)."""

    sender: Mailbox | None
    """None is `<>`."""
    parameters: tuple[Parameter, ...]

    @property
    def utf8(self) -> bool:
        """Whether addresses beyond ASCII may be in this transaction (RFC 6531 §3.4)."""
        return any(each.keyword == "SMTPUTF8" for each in self.parameters)

    @property
    def wire(self) -> bytes:
        """The command as it goes upstream, with its CRLF."""
        return _written(f"MAIL FROM:<{self.sender or ''}>", self.parameters)


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RFC 5321 §4.1.1.3."""

    recipient: Mailbox
    parameters: tuple[Parameter, ...]

    @property
    def wire(self) -> bytes:
        """The command as it goes upstream, with its CRLF."""
        return _written(f"RCPT TO:<{self.recipient}>", self.parameters)


@dataclass(frozen=True, slots=True)
class Bdat:
    """One chunk of a message. RFC 3030 §2."""

    octets: int
    last: bool

    @property
    def wire(self) -> bytes:
        """The command as it goes upstream, with its CRLF."""
        return b"BDAT %d%b\r\n" % (self.octets, b" LAST" if self.last else b"")


def bdat(argument: bytes) -> Bdat:
    """Read what stands behind BDAT. Raises BadCommand: nobody knows then how many octets follow."""
    found = _CHUNK.match(argument)
    if found is None:
        raise BadCommand(Why.BAD_ARGUMENT)
    return Bdat(int(found[1]), found[2] is not None)


def mail_from(argument: bytes) -> MailFrom:
    """Read what stands behind MAIL. Spaces behind the colon are tolerated. Raises BadCommand."""
    sender, rest = _path(argument, "FROM:", Why.BAD_SENDER)
    if sender is not None and not sender.domain:
        raise BadCommand(Why.BAD_SENDER)
    mail = MailFrom(sender, tuple(each for each in parameters(rest) if each.keyword != "AUTH"))
    if not (mail.utf8 or mail.wire.isascii()):
        raise BadCommand(Why.SENDER_NOT_ASCII)
    return mail


def rcpt_to(argument: bytes, *, utf8: bool = False) -> RcptTo:
    """Read what stands behind RCPT, likewise; `utf8`: MAIL said SMTPUTF8. Raises BadCommand."""
    recipient, rest = _path(argument, "TO:", Why.BAD_RECIPIENT)
    if recipient is None or (not recipient.domain and recipient.local.lower() != "postmaster"):
        raise BadCommand(Why.BAD_RECIPIENT)
    command = RcptTo(recipient, parameters(rest))
    if not (utf8 or command.wire.isascii()):
        raise BadCommand(Why.RECIPIENT_NOT_ASCII)
    return command


@dataclass(frozen=True, slots=True)
class Vrfy:
    """RFC 5321 §4.1.1.6. With `utf8` the client takes UTF-8 in the reply (RFC 6531 §3.7.4.2)."""

    whom: str
    utf8: bool

    @property
    def wire(self) -> bytes:
        """The command as it goes upstream, with its CRLF."""
        return f"VRFY {self.whom}{' SMTPUTF8' if self.utf8 else ''}\r\n".encode()


def vrfy(argument: bytes) -> Vrfy:
    """Read what stands behind VRFY. Raises BadCommand."""
    text = _decoded(argument, Why.NOBODY)
    words, _, last = text.rpartition(" ")
    utf8 = last.isascii() and last.upper() == "SMTPUTF8" and bool(words)
    whom = words.rstrip(" ") if utf8 else text
    if not _WHOM.match(whom) or not is_text(whom):
        raise BadCommand(Why.NOBODY)
    return Vrfy(whom, utf8)


def _path(argument: bytes, word: str, bad: Why) -> tuple[Mailbox | None, str]:
    """Read the path behind `word`, and give what stands behind it."""
    if argument[: len(word)].upper() != word.encode():
        raise BadCommand(Why.BAD_ARGUMENT)
    text = _decoded(argument[len(word) :], bad).lstrip(" ")
    found = _PATH.match(text)
    if found is None or len(found[0].encode()) > SMTP_PATH_OCTETS or not is_text(found[0]):
        raise BadCommand(bad)
    local, domain = found["local"], found["domain"] or ""
    if local is None:
        return None, text[found.end() :]
    if len(domain.encode()) > SMTP_DOMAIN_OCTETS or not _OTHER_DOTS.isdisjoint(domain):
        raise BadCommand(bad)
    if domain.startswith("[") and not _is_literal(domain[1:-1]):
        raise BadCommand(bad)
    if local.startswith('"'):
        local = _ESCAPED.sub(r"\1", local[1:-1])
    return Mailbox(local, domain), text[found.end() :]


def _decoded(octets: bytes, bad: Why) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCommand(bad) from None


def _is_literal(inside: str) -> bool:
    """Whether it is an address as in `[192.0.2.1]` or `[IPv6:2001:db8::1]`, the only kinds registered."""
    try:
        if inside[:5].upper() == "IPV6:":
            IPv6Address(inside[5:])
        else:
            IPv4Address(inside)
    except ValueError:
        return False
    return True


def _written(path: str, parameters: tuple[Parameter, ...]) -> bytes:
    return (" ".join((path, *map(str, parameters))) + "\r\n").encode()
