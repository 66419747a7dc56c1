"""SMTP addresses and parameters: read, and written anew. RFC 5321 §4.1.2, §4.1.3.

`mail_from` and `rcpt_to` read what stands behind MAIL and RCPT, and give the command as it goes upstream: an
upstream gets nothing but what was understood here, in one way of writing. Pure. Which extensions an upstream
has, and who may send as whom, is decided elsewhere. How octets become lines and commands stands in `framing`,
whose names are given here as well: one import is enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Final

from proxy.limits import SMTP_DOMAIN_OCTETS, SMTP_PARAMETERS, SMTP_PATH_OCTETS
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
    "Why",
    "bdat",
    "mail_from",
    "rcpt_to",
    "reply",
    "split",
]

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]++"
_DOT_STRING: Final = rf"{_ATOM}(?:\.{_ATOM})*+"
_QUOTED: Final = r'"(?:[ !#-\[\]-~]|\\[ -~])*+"'
_LABEL: Final = r"[A-Za-z0-9_]++(?:-++[A-Za-z0-9_]++)*+"  # `_` is no host name, and in use
_DOMAIN: Final = rf"{_LABEL}(?:\.{_LABEL})*+"
_LITERAL: Final = r"\[[0-9A-Za-z:.]++\]"
_PATH: Final = re.compile(
    rf"<(?:(?:@{_DOMAIN}(?:,@{_DOMAIN})*+:)?"  # a source route: read and ignored (RFC 5321 §4.1.1.3)
    rf"(?P<local>{_DOT_STRING}|{_QUOTED})(?:@(?P<domain>{_DOMAIN}|{_LITERAL}))?)?>"
)
_IS_DOT_STRING: Final = re.compile(rf"{_DOT_STRING}\Z")
_CHUNK: Final = re.compile(rb"([0-9]{1,20})(?: +(LAST))?\Z", re.IGNORECASE)  # as long as SIZE, RFC 1870 §3
_ESCAPED: Final = re.compile(r"\\(.)")
_TO_ESCAPE: Final = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address. As text it is written the one way there is for it, quoted only where it must be."""

    local: str
    """Without quotes and escapes: printable ASCII and spaces."""
    domain: str
    """As the client wrote it, an address literal in brackets; empty in `<Postmaster>` alone."""

    def __str__(self) -> str:
        local = self.local
        if not _IS_DOT_STRING.match(local):
            local = '"' + _TO_ESCAPE.sub(r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local


# --- parameters, RFC 5321 §4.1.2 (esmtp-param) ----------------------------------------------------------

_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~]++))?\Z")
_XTEXT: Final = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})"  # RFC 3461 §4
_VALUES: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "SIZE": re.compile(r"[0-9]{1,20}\Z"),  # RFC 1870 §3
        "BODY": re.compile(r"(?:7BIT|8BITMIME|BINARYMIME)\Z", re.IGNORECASE),  # RFC 6152 §2, RFC 3030 §3
        "SMTPUTF8": re.compile(r"\Z"),  # RFC 6531 §3.1
        "RET": re.compile(r"(?:FULL|HDRS)\Z", re.IGNORECASE),  # RFC 3461 §4.3
        "ENVID": re.compile(rf"{_XTEXT}{{1,100}}\Z"),  # RFC 3461 §4.4
        "NOTIFY": re.compile(  # RFC 3461 §4.1
            r"(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})\Z", re.IGNORECASE
        ),
        "ORCPT": re.compile(rf"[A-Za-z0-9-]{{1,60}};{_XTEXT}{{1,500}}\Z"),  # RFC 3461 §4.2
    }
)
"""Values whose form is known; others pass as they came."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`KEYWORD` or `KEYWORD=value`."""

    keyword: str
    """In upper case."""
    value: str | None

    def __str__(self) -> str:
        return self.keyword if self.value is None else f"{self.keyword}={self.value}"


@dataclass(frozen=True, slots=True)
class MailFrom:
    """RFC 5321 §4.1.1.2; `AUTH=` is left out (RFC 4954 §5: we vouch for nobody)."""

    sender: Mailbox | None
    """None is `<>`."""
    parameters: tuple[Parameter, ...]

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
    return MailFrom(sender, tuple(each for each in _parameters(rest) if each.keyword != "AUTH"))


def rcpt_to(argument: bytes) -> RcptTo:
    """Read what stands behind RCPT, likewise. Raises BadCommand."""
    recipient, rest = _path(argument, "TO:", Why.BAD_RECIPIENT)
    if recipient is None or (not recipient.domain and recipient.local.lower() != "postmaster"):
        raise BadCommand(Why.BAD_RECIPIENT)
    return RcptTo(recipient, _parameters(rest))


def _path(argument: bytes, word: str, bad: Why) -> tuple[Mailbox | None, str]:
    """Read the path behind `word`, and give what stands behind it."""
    if argument[: len(word)].upper() != word.encode():
        raise BadCommand(Why.BAD_ARGUMENT)
    if not argument.isascii():
        raise BadCommand(Why.NOT_ASCII)
    text = argument[len(word) :].decode("ascii").lstrip(" ")
    found = _PATH.match(text)
    if found is None or found.end() > SMTP_PATH_OCTETS:
        raise BadCommand(bad)
    local, domain = found["local"], found["domain"] or ""
    if local is None:
        return None, text[found.end() :]
    if len(domain) > SMTP_DOMAIN_OCTETS or (domain.startswith("[") and not _is_literal(domain[1:-1])):
        raise BadCommand(bad)
    if local.startswith('"'):
        local = _ESCAPED.sub(r"\1", local[1:-1])
    return Mailbox(local, domain), text[found.end() :]


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


def _parameters(text: str) -> tuple[Parameter, ...]:
    words = text.split(" ")
    if words[0]:  # glued to the path
        raise BadCommand(Why.BAD_PARAMETER)
    parameters = tuple(_parameter(word) for word in words if word)
    if len(parameters) > SMTP_PARAMETERS or len({each.keyword for each in parameters}) < len(parameters):
        raise BadCommand(Why.BAD_PARAMETER)
    return parameters


def _parameter(word: str) -> Parameter:
    found = _PARAMETER.match(word)
    if found is None:
        raise BadCommand(Why.BAD_PARAMETER)
    keyword, value = found[1].upper(), found[2]
    known = _VALUES.get(keyword)
    if known is not None and not known.match(value or ""):
        raise BadCommand(Why.BAD_PARAMETER)
    return Parameter(keyword, value)


def _written(path: str, parameters: tuple[Parameter, ...]) -> bytes:
    return (" ".join((path, *map(str, parameters))) + "\r\n").encode("ascii")
