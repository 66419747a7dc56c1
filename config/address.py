"""Addresses: where the server behind the gate is, and where the gate itself listens.

An upstream address names the protocol that is spoken there, but for the last two forms, which all have:

    imaps://HOST[:PORT]            IMAP, TLS from the first octet (RFC 8314), port 993
    imap+starttls://HOST[:PORT]    IMAP, STARTTLS (RFC 9051 §6.2.1), never without it, port 143
    smtps://HOST[:PORT]            submission, TLS from the first octet (RFC 8314), port 465
    smtp+starttls://HOST[:PORT]    submission, STARTTLS (RFC 3207), never without it, port 587
    smtp://HOST[:PORT]             submission in clear, to this machine alone, port 25
    https://HOST[:PORT]            CalDAV and CardDAV, port 443
    http://HOST[:PORT]             the same in clear, to this machine alone, port 80
    unix:/PATH                     a Unix socket; a relative path is taken from the config file's folder
    embedded                       the server that Wicketgate runs itself

Nothing here resolves a name, opens a socket or looks at a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from config.places import NoHome, located

SOCKET_PATH_OCTETS: Final = 103
"""The longest path that can be bound or connected everywhere (`sun_path`: Linux 107, macOS 103 octets)."""
_HOST_OCTETS: Final = 253
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_PORT: Final = re.compile(r"[0-9]{1,5}\Z")


class Speaks(StrEnum):
    """The protocol behind an address."""

    IMAP = "IMAP"
    SUBMISSION = "submission"
    DAV = "CalDAV and CardDAV"


class AddressKind(StrEnum):
    """How an upstream is reached."""

    IMAPS = "imaps"
    IMAP_STARTTLS = "imap+starttls"
    SMTPS = "smtps"
    SMTP_STARTTLS = "smtp+starttls"
    SMTP = "smtp"
    HTTPS = "https"
    HTTP = "http"
    UNIX = "unix"
    EMBEDDED = "embedded"


_DEFAULT_PORT: Final = {
    AddressKind.IMAPS: 993,
    AddressKind.IMAP_STARTTLS: 143,
    AddressKind.SMTPS: 465,
    AddressKind.SMTP_STARTTLS: 587,
    AddressKind.SMTP: 25,
    AddressKind.HTTPS: 443,
    AddressKind.HTTP: 80,
}
_CLEAR: Final = frozenset({AddressKind.SMTP, AddressKind.HTTP})
_STARTTLS: Final = frozenset({AddressKind.IMAP_STARTTLS, AddressKind.SMTP_STARTTLS})
_SCHEMES: Final = {
    Speaks.IMAP: (AddressKind.IMAPS, AddressKind.IMAP_STARTTLS),
    Speaks.SUBMISSION: (AddressKind.SMTPS, AddressKind.SMTP_STARTTLS, AddressKind.SMTP),
    Speaks.DAV: (AddressKind.HTTPS, AddressKind.HTTP),
}
_FORMS: Final = {
    Speaks.IMAP: "write imaps://HOST, imap+starttls://HOST, unix:/PATH or embedded",
    Speaks.SUBMISSION: "write smtps://HOST, smtp+starttls://HOST, unix:/PATH or embedded",
    Speaks.DAV: "write https://HOST, unix:/PATH or embedded",
}


class AddressError(ValueError):
    """The text is not an address; `hint` says what would be one."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an upstream is. `host` and `port` belong to the TCP kinds, `path` to `unix`."""

    kind: AddressKind
    host: str = ""
    """A name in lower case or an IP address without brackets."""
    port: int = 0
    path: Path | None = None

    @property
    def over_tcp(self) -> bool:
        """Whether the way there is TCP."""
        return self.kind in _DEFAULT_PORT

    @property
    def over_tls(self) -> bool:
        """Whether the way there is TLS with a checked certificate; all TCP is, but within this machine."""
        return self.over_tcp and self.kind not in _CLEAR

    @property
    def starttls(self) -> bool:
        """Whether TLS begins at the protocol's own command."""
        return self.kind in _STARTTLS

    def __str__(self) -> str:
        match self.kind:
            case AddressKind.EMBEDDED:
                return "embedded"
            case AddressKind.UNIX:
                return f"unix:{self.path}"
            case _:
                return f"{self.kind}://{joined(self.host, self.port)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the gate listens: an IP address and a port, 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return joined(self.host, self.port)


def parse(text: str, folder: Path = Path(), speaks: Speaks = Speaks.IMAP) -> Address:
    """Read an upstream address; relative socket paths start at `folder`. Raises AddressError."""
    if text == "embedded":
        return Address(kind=AddressKind.EMBEDDED)
    if text.startswith("unix:"):
        return Address(kind=AddressKind.UNIX, path=_socket_path(text.removeprefix("unix:"), folder))
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise AddressError(f"{text!r} is not an address", _FORMS[speaks])
    if scheme not in _SCHEMES[speaks]:
        raise AddressError(f"{scheme}:// is not an address for {speaks}", _scheme_hint(scheme, speaks))
    kind = AddressKind(scheme)
    if "@" in rest:
        hint = f"write {kind}://HOST or {kind}://HOST:PORT, nothing more; sign_in holds the user"
        raise AddressError("an upstream address holds no user and no password", hint)
    host, port = _split(rest.removesuffix("/"), f"write {kind}://HOST or {kind}://HOST:PORT, nothing more")
    if port == 0:
        raise AddressError("port 0 cannot be connected to", f"leave the port out for {_DEFAULT_PORT[kind]}")
    if kind in _CLEAR and not is_this_machine(host):
        raise AddressError(f"{kind}:// goes in clear, and {host} is another machine", _FORMS[speaks])
    return Address(kind=kind, host=host, port=_DEFAULT_PORT[kind] if port is None else port)


def is_this_machine(host: str) -> bool:
    """Whether a host can be nothing but this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_listen(text: str) -> Listen:
    """Read where to listen, as in `127.0.0.1:993` or `[::]:993`. Raises AddressError."""
    hint = 'write an IP address and a port, as in "127.0.0.1:1993" or "[::]:993"'
    host, port = _split(text, hint)
    if port is None:
        raise AddressError(f"{text!r} has no port", hint)
    try:
        ip_address(host)
    except ValueError:
        raise AddressError(f"{host!r} is not an IP address", hint) from None
    return Listen(host=host, port=port)


def host_name(text: str) -> str:
    """Give a host name in lower case or an IP address in its short form. Raises AddressError.

    Names are ASCII (RFC 1123 §2.1, underscores tolerated); others are written in their `xn--` form.
    """
    bare = text.removesuffix(".").lower()
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    if not bare.isascii():
        raise AddressError(f"{text!r} is not ASCII", "write an international name in its xn-- form")
    labels = bare.split(".")
    numeric = labels[-1].isdigit()
    if not bare or len(bare) > _HOST_OCTETS or numeric or not all(map(_LABEL.match, labels)):
        raise AddressError(f"{text!r} is not a host name", 'write a name such as "mail.example.org"')
    return bare


def joined(host: str, port: int) -> str:
    """Write host and port as one, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _socket_path(text: str, folder: Path) -> Path:
    """Read the path of a Unix socket."""
    if not text.strip("/") or "\0" in text:
        raise AddressError("the path of the socket is missing", "write unix:/run/dovecot/imap or the like")
    try:
        path = Path("/", text.lstrip("/")) if text.startswith("/") else located(text, folder)
    except NoHome as error:
        raise AddressError(str(error), "write the whole path") from None
    if len(str(path).encode("utf-8", "surrogateescape")) > SOCKET_PATH_OCTETS:
        hint = f"the system takes at most {SOCKET_PATH_OCTETS} octets; link the socket at a shorter path"
        raise AddressError(f"the path {path} is too long for a socket", hint)
    return path


def _split(text: str, hint: str) -> tuple[str, int | None]:
    """Split `HOST[:PORT]`; an IPv6 address must stand in brackets."""
    if text.startswith("["):
        inner, bracket, tail = text[1:].partition("]")
        try:
            host = str(IPv6Address(inner))
        except ValueError:
            bracket = ""
        if not bracket or (tail and not tail.startswith(":")):
            raise AddressError(f"{text!r} has no IPv6 address in its brackets", hint)
        return host, _port(tail[1:], hint) if tail else None
    name, colon, tail = text.partition(":")
    if ":" in tail:
        raise AddressError(f"{text!r} is ambiguous", "write an IPv6 address in brackets, as in [::1]:993")
    try:
        host = host_name(name)
    except AddressError as error:
        raise AddressError(str(error), hint) from None
    return host, _port(tail, hint) if colon else None


def _port(text: str, hint: str) -> int:
    """Read a port number."""
    if not _PORT.match(text) or int(text) > 65_535:
        raise AddressError(f"{text!r} is not a port", hint)
    return int(text)


def _scheme_hint(scheme: str, speaks: Speaks) -> str:
    """Say what to write instead of a scheme that is not offered."""
    if scheme == "imap" and speaks is Speaks.IMAP:
        return "plain IMAP is not offered; write imap+starttls:// or imaps://, or unix: for the same machine"
    return _FORMS[speaks]
