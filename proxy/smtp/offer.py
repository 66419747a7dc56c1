"""What EHLO is answered with. RFC 5321 §4.1.1.1; a fixed list, before sign-in and after it.

No upstream is asked for it: it would be slow, and tell strangers what stands behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from proxy.failures import House

_ALWAYS: Final = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")  # RFC 2920, RFC 6152, RFC 2034
AUTH: Final = "AUTH PLAIN LOGIN"
"""RFC 4954 §3; shown under TLS alone. What hides the secret from us cannot be checked."""
STARTTLS: Final = "STARTTLS"
"""RFC 3207 §4.1; shown in clear alone."""


class Extra(StrEnum):
    """What is shown where every submission upstream has it."""

    SMTPUTF8 = "SMTPUTF8"
    """RFC 6531."""
    DSN = "DSN"
    """RFC 3461."""
    CHUNKING = "CHUNKING"
    """RFC 3030."""


def extras_of_all(upstreams: Iterable[Iterable[str]]) -> tuple[Extra, ...]:
    """Give what every submission upstream has, each told by its `extensions`; of no upstream nothing."""
    known = [frozenset(each) for each in upstreams]
    return tuple(extra for extra in Extra if known and all(extra in each for each in known))


def helo(house: House) -> bytes:
    """Give the reply to HELO, which offers nothing."""
    return f"250 {house.host}\r\n".encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the config says of all submission upstreams together."""

    size_octets: int
    """The largest message that all of them take; 0 promises nothing (RFC 1870 §4)."""
    extras: tuple[Extra, ...] = ()

    def ehlo(self, house: House, *more: str) -> bytes:
        """Give the reply to EHLO; `more` is what depends on where the client stands."""
        lines = (house.host, f"SIZE {self.size_octets}", *_ALWAYS, *self.extras, *more)
        *before, last = lines
        return "".join((*(f"250-{line}\r\n" for line in before), f"250 {last}\r\n")).encode("ascii")
