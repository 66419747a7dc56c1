"""One canonical form for every path of DAV: what decides is what goes upstream, octet by octet.

Refused, never repaired: a path that two readers could take for two things has no canonical form. The same
function serves request targets, Destination, the tags of If, and every href in and out (RFC 3986 §3.3, §6.2;
RFC 4918 §8.3). Pure; it knows no server, and says nothing about what a path is (that is `scopes.davrules`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

SEGMENT_OCTETS: Final = 255
"""Of one decoded segment: NAME_MAX of every file system in use."""
SEGMENTS: Final = 32
"""Servers nest four deep."""
PATH_OCTETS: Final = 2_048
"""In the canonical form, `%HH` counted as three."""

_REMEMBERED: Final = 256
"""Readings kept, some KiB each at most: a request reads its path several times, and so does the next one."""

# RFC 3986 §3.3 pchar, without `;` (path parameters: a second way to say a path) and with `/`.
_WIRE: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_ABSOLUTE: Final = re.compile(r"(?i:(https?))://([A-Za-z0-9.:\[\]-]+)(/.*)", re.DOTALL)
_DEFAULT_PORT: Final = {"http": ":80", "https": ":443"}


class BadPath(ValueError):  # noqa: N818 - the word of the wall
    """Not a path that has exactly one reading. The text is for the log."""


@dataclass(frozen=True, slots=True)
class DavPath:
    """A canonical path: its decoded segments, and whether it ends with a slash."""

    segments: tuple[str, ...] = ()
    slash: bool = True
    """The root has one."""

    def __str__(self) -> str:
        """Give the wire form: only unreserved characters are left as they are (RFC 3986 §2.3)."""
        return _quoted(self.segments) + self._end

    @property
    def _end(self) -> str:
        return "/" if self.slash and self.segments else ""

    @property
    def parent(self) -> DavPath:
        """The collection it lies in; the root is its own parent."""
        return DavPath(self.segments[:-1])

    @property
    def collection(self) -> DavPath:
        """The same path, said to be a collection."""
        return DavPath(self.segments)

    def same(self, other: DavPath) -> bool:
        """Whether both name one resource: servers take a path with or without its last slash for the same."""
        return self.segments == other.segments

    def child_of(self, other: DavPath) -> bool:
        """Whether it lies directly in `other`."""
        return bool(self.segments) and self.segments[:-1] == other.segments

    def within(self, other: DavPath) -> bool:
        """Whether it is `other` or lies anywhere below."""
        return self.segments[: len(other.segments)] == other.segments


@lru_cache(_REMEMBERED)
def _quoted(segments: tuple[str, ...]) -> str:
    return "/" + "/".join(quote(each, safe="") for each in segments)


def canonical(wire: str) -> DavPath:
    """Read a path as it came on the wire. Raises `BadPath` unless it has exactly one reading."""
    return _read(wire)


@lru_cache(_REMEMBERED)
def _read(wire: str) -> DavPath:
    if len(wire) > 3 * PATH_OCTETS or not _WIRE.fullmatch(wire):
        raise BadPath("not made of RFC 3986 path characters")
    raw = wire[1:].split("/")
    slash = raw[-1] == ""
    if slash:
        raw.pop()
    if len(raw) > SEGMENTS:
        raise BadPath("too many segments")
    path = DavPath(tuple(_segment(each) for each in raw), slash)
    if len(str(path)) > PATH_OCTETS:
        raise BadPath("too long")
    return path


def from_uri(uri: str, authorities: Container[str]) -> DavPath:
    """Read a path, or an absolute http(s) URI of one of `authorities` (`host` or `host:port`, lower case).

    Without a path an URI is refused, like one of another host. Raises `BadPath`.
    """
    if uri.startswith("/"):
        return canonical(uri)
    absolute = _ABSOLUTE.fullmatch(uri)
    if absolute is None:
        raise BadPath("neither a path nor an absolute URI")
    scheme, authority, path = absolute.groups()
    if authority.lower().removesuffix(_DEFAULT_PORT[scheme.lower()]) not in authorities:
        raise BadPath("of another authority")
    return canonical(path)


def _segment(raw: str) -> str:
    """Decode one segment, once (RFC 3986 §2.4)."""
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise BadPath("not UTF-8") from None
    if len(text.encode()) > SEGMENT_OCTETS:
        raise BadPath("a segment is too long")
    if not unicodedata.is_normalized("NFC", text):
        raise BadPath("not in normal form C")
    # Full-width and other look-alikes of what is refused are refused too: some file systems fold them.
    for reading in {text, unicodedata.normalize("NFKC", text)}:
        _must_be_plain(reading)
    return text


def _must_be_plain(text: str) -> None:
    """Raise `BadPath` for a segment that something behind us could read in another way."""
    if text in ("", ".", "..") or text.endswith((".", " ")):
        raise BadPath("an empty or dot segment, or one that ends in a dot or space")
    if any(each in "/\\;" or unicodedata.category(each) == "Cc" for each in text):
        raise BadPath("a separator or control character in a segment")
    if _ENCODED.search(text):
        raise BadPath("encoded twice")
