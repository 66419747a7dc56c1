"""The head of an HTTP/1.1 request, read from raw octets before anything else looks at it.

Refused, never repaired: what two readers could take for two things is a bad request, and its connection ends.
So whoever reads the same octets after us finds the same one request in them, of the same length. RFC 9112 for
the syntax, RFC 9110 for the fields. Pure: octets come in as they come, whether a host is ours is asked of a
predicate, and nothing is decided here about paths, credentials or bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from proxy.limits import DAV_FIELDS, DAV_HEAD_OCTETS, DAV_TARGET_OCTETS

IsOurs = Callable[[str], bool]
"""Tells of `host` or `host:port`, in lower case, whether it is a name of ours."""


class Fault(StrEnum):
    """Why a head is refused. The text is sent to clients."""

    OCTET = "NUL, or CR or LF alone"
    REQUEST_LINE = "no request line"
    METHOD = "not offered"
    VERSION = "HTTP/1.1 is spoken here"
    TARGET = "neither a path nor an address of ours"
    TARGET_TOO_LONG = "address too long"
    FIELD = "bad header field"
    REPEATED = "a header field that may come once came twice"
    TOO_LARGE = "too many or too large header fields"
    HOST = "missing or bad Host"
    FOREIGN = "no such host here"
    LENGTH = "bad Content-Length"
    CODING = "bad Transfer-Encoding"
    UPGRADE = "Upgrade is not offered"
    EXPECT = "bad Expect"


# RFC 9110 §15.5 and §15.6, RFC 6585 §5; what is not named here is 400.
_STATUS: Final[Mapping[Fault, int]] = MappingProxyType(
    {
        Fault.METHOD: 405,
        Fault.VERSION: 505,
        Fault.TARGET_TOO_LONG: 414,
        Fault.TOO_LARGE: 431,
        Fault.FOREIGN: 421,
        Fault.EXPECT: 417,
    }
)


class BadHead(Exception):  # noqa: N818 - a fact about the octets, not a failure of ours
    """Not a request that is taken here. Holds nothing the client sent."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault

    @property
    def status(self) -> int:
        """What the client is told; the connection ends with it."""
        return _STATUS.get(self.fault, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One request but for its body."""

    method: str
    target: str
    """Origin-form, or `*`: an absolute-form of ours is reduced to it."""
    fields: Mapping[str, str]
    """By name in lower case; values of a list that came in several fields are joined (RFC 9110 §5.3)."""
    length: int | None
    """Octets of the body; None: it comes in chunks."""
    modern: bool
    """HTTP/1.1."""
    keep_alive: bool
    """Whether another request may follow on this connection."""
    expects: bool
    """Whether the client waits for 100 before it sends its body (RFC 9110 §10.1.1)."""


class HeadFinder:
    """Finds the end of each head in what has come. The same whether octets come one by one or all at once."""

    def __init__(self) -> None:
        self._seen = 0
        self._blank = False

    def find(self, received: bytearray) -> bytes | None:
        """Take one head, its empty line included, from the front of `received`; None: more must come first.

        Raises `BadHead` as soon as the octets can become no head.
        """
        if not self._blank and received.startswith(b"\r\n"):  # RFC 9112 §2.2: one empty line may come before
            self._blank = True
            del received[:2]
        start = max(0, self._seen - 3)
        end = received.find(b"\r\n\r\n", start, DAV_HEAD_OCTETS)
        if _LONE.search(received, start, DAV_HEAD_OCTETS if end < 0 else end + 1):
            raise BadHead(Fault.OCTET)
        if end >= 0:
            self._seen, self._blank = 0, False
            head = bytes(received[: end + 4])
            del received[: end + 4]
            return head
        if len(received) >= DAV_HEAD_OCTETS:
            short = received.find(b"\r\n", 0, DAV_HEAD_OCTETS) >= 0
            raise BadHead(Fault.TOO_LARGE if short else Fault.TARGET_TOO_LONG)
        self._seen = len(received)
        return None


def read_head(octets: bytes, is_ours: IsOurs) -> Head:
    """Read what `HeadFinder.find` gave. Raises `BadHead`."""
    request_line, *lines = octets[:-4].decode("latin-1").split("\r\n")
    method, target, modern = _request_line(request_line)
    fields = _fields(lines)
    if "upgrade" in fields:
        raise BadHead(Fault.UPGRADE)
    host = _host(fields, is_ours)
    return Head(
        method=method,
        target=target if target.startswith("/") else _reduced(target, method, host),
        fields=fields,
        length=_length(fields, modern=modern),
        modern=modern,
        keep_alive=modern and "close" not in _tokens(fields.get("connection", "")),
        expects=_expects(fields, modern=modern),
    )


# CR and LF are looked for with an eye on their neighbours; a CR that came last may yet get its LF.
_LONE: Final = re.compile(rb"\0|\r[^\n]|\n(?<!\r\n)")
_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
_REQUEST_LINE: Final = re.compile(rf"({_NAME}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_FIELD: Final = re.compile(rf"({_NAME}):[ \t]*([\t\x20-\x7e\x80-\xff]*)")  # no obs-fold, RFC 9112 §5.2
_HOST: Final = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_ABSOLUTE: Final = re.compile(r"https?://([^/?#@]+)(/[^#]*)?", re.IGNORECASE)
_LENGTH: Final = re.compile(r"[0-9]{1,18}")

# Two readers might each believe another one of two, so they come once.
_ONCE: Final = frozenset(
    [
        *("authorization", "content-length", "content-type", "depth", "destination", "expect", "host", "if"),
        *("if-modified-since", "if-range", "if-unmodified-since", "lock-token", "overwrite", "range"),
        *("timeout", "transfer-encoding", "user-agent"),
    ]
)


def _request_line(line: str) -> tuple[str, str, bool]:
    """Give method, target, and whether it is HTTP/1.1. RFC 9112 §3."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise BadHead(Fault.REQUEST_LINE)
    method, target, major, minor = found.groups()
    if major != "1" or minor not in "01":
        raise BadHead(Fault.VERSION)
    if method in ("CONNECT", "TRACE"):
        raise BadHead(Fault.METHOD)
    if len(target) > DAV_TARGET_OCTETS:
        raise BadHead(Fault.TARGET_TOO_LONG)
    if "#" in target:
        raise BadHead(Fault.TARGET)
    return method, target, minor == "1"


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > DAV_FIELDS:
        raise BadHead(Fault.TOO_LARGE)
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise BadHead(Fault.FIELD)
        name, value = found[1].lower(), found[2].rstrip(" \t")
        if name in fields:
            if name in _ONCE:
                raise BadHead(Fault.REPEATED)
            value = f"{fields[name]}, {value}"
        fields[name] = value
    return fields


def _host(fields: Mapping[str, str], is_ours: IsOurs) -> str:
    """Give Host; HTTP/1.0 must have it too, we serve more than one name. RFC 9112 §3.2, RFC 9110 §7.2."""
    host = fields.get("host", "").lower()
    if not _HOST.fullmatch(host):
        raise BadHead(Fault.HOST)
    if not is_ours(host):
        raise BadHead(Fault.FOREIGN)
    return host


def _reduced(target: str, method: str, host: str) -> str:
    """Give the origin-form of an absolute-form that says what Host says. RFC 9112 §3.2."""
    if target == "*" and method == "OPTIONS":
        return target
    found = _ABSOLUTE.fullmatch(target)
    if found is None or found[1].lower() != host:
        raise BadHead(Fault.TARGET)
    return found[2] or "/"


def _length(fields: Mapping[str, str], *, modern: bool) -> int | None:
    """Tell how the body ends: no reader may find another end. RFC 9112 §6."""
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if coding is None:
        if length is None:
            return 0
        if not _LENGTH.fullmatch(length):
            raise BadHead(Fault.LENGTH)
        return int(length)
    if length is not None or not modern or coding.lower() != "chunked":
        raise BadHead(Fault.CODING)
    return None


def _expects(fields: Mapping[str, str], *, modern: bool) -> bool:
    expected = fields.get("expect")
    if expected is None or not modern:  # RFC 9110 §10.1.1: HTTP/1.0 cannot expect
        return False
    if expected.lower() != "100-continue":
        raise BadHead(Fault.EXPECT)
    return True


def _tokens(value: str) -> list[str]:
    return [each.strip(" \t") for each in value.lower().split(",")]
