"""Heads of HTTP requests for tests: good ones, and what is asked of octets in every splitting."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.dav.head import BadHead, Fault, Head, HeadFinder, read_head

OURS = frozenset({"mail.example.org", "mail.example.org:8443", "[2001:db8::1]:443"})
HOST = b"Host: mail.example.org\r\n"


def outcome(pieces: Iterable[bytes]) -> tuple[Head, bytes] | Fault | None:
    """Feed octets piece by piece: a head and what came behind it, why it is none, or None for not yet."""
    finder, received, head = HeadFinder(), bytearray(), None
    for piece in pieces:
        received += piece
        try:
            if head is None and (found := finder.find(received)) is not None:
                head = read_head(found, OURS.__contains__)
        except BadHead as bad:
            return bad.fault
    return None if head is None else (head, bytes(received))


def splittings(octets: bytes) -> dict[str, list[bytes]]:
    """Whole, byte by byte, and in two pieces at every octet (at most every octet of the last 300)."""
    ways = {"whole": [octets], "byte by byte": [octets[at : at + 1] for at in range(len(octets))]}
    for at in range(max(1, len(octets) - 300), len(octets)):
        ways[f"at {at}"] = [octets[:at], octets[at:]]
    return ways


def outcomes(octets: bytes) -> tuple[Head, bytes] | Fault | None:
    """The outcome, which must be the same in every splitting."""
    expected = outcome([octets])
    for way, pieces in splittings(octets).items():
        assert outcome(pieces) == expected, way
    return expected


def request(*lines: bytes, first: bytes = b"GET /alice/ HTTP/1.1") -> bytes:
    """A head with Host and these fields."""
    return b"\r\n".join([first, HOST[:-2], *lines, b"", b""])
