"""Names and content of message files in a Maildir (https://cr.yp.to/proto/maildir.html).

A name is `BASE` in `new` and `BASE:2,FLAGS` in `cur`. Every file written here holds CRLF lines and says their
octets in its base name (`,W=n`, as in Maildir++), so a size costs no reading; a foreign file may have bare LF
and is read as the CRLF text that IMAP promises.
"""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FLAG_LETTERS: Final = {
    "\\Answered": "R",
    "\\Flagged": "F",
    "\\Deleted": "T",
    "\\Seen": "S",
    "\\Draft": "D",
    "$Forwarded": "P",
}
"""IMAP flag and Maildir letter; every flag a folder can keep."""
_FLAG_OF: Final = {flag.lower(): letter for flag, letter in FLAG_LETTERS.items()}
_INFO: Final = ":2,"
_SIZE: Final = re.compile(r",W=([0-9]{1,12})(?=,|\Z)")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_LEADING_TIME: Final = re.compile(r"[0-9]{1,18}")
_UNSAFE_IN_HOST: Final = re.compile(r"[^A-Za-z0-9.-]")
_deliveries = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """A file name taken apart."""

    base: str
    letters: str = ""
    """Maildir letters in ASCII order, unknown ones included: they are kept."""

    def text(self) -> str:
        """The name as it stands in `cur`."""
        return f"{self.base}{_INFO}{self.letters}"

    @property
    def size(self) -> int | None:
        """Octets with CRLF, if the name says so."""
        said = _SIZE.search(self.base)
        return int(said[1]) if said else None


def parse_name(name: str) -> FileName | None:
    """Take a directory entry apart; None for what is no message or cannot stand in a UID list."""
    if name.startswith(".") or any(ord(char) < 0x20 for char in name):
        return None
    base, _, letters = name.partition(_INFO)
    return FileName(base=base, letters="".join(sorted(set(letters)))) if base else None


def fresh_base(octets: int) -> str:
    """Make a base name that no other delivery uses: time, microsecond, process, a running number, host."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    unique = f"M{nanoseconds // 1000:06}P{os.getpid()}Q{next(_deliveries)}"
    host = _UNSAFE_IN_HOST.sub("_", socket.gethostname())
    return f"{seconds}.{unique}.{host},W={octets}"


def arrival(base: str) -> tuple[int, str]:
    """A sort key: base names in the order of delivery, as far as they tell."""
    seconds = _LEADING_TIME.match(base)
    return (int(seconds[0]) if seconds else 0, base)


def letters_for(flags: Iterable[str]) -> str:
    """Maildir letters of IMAP flags, in order; flags without a letter are left out (they are not kept)."""
    return "".join(sorted({_FLAG_OF[flag.lower()] for flag in flags if flag.lower() in _FLAG_OF}))


def flags_of(letters: str) -> tuple[str, ...]:
    """IMAP flags of Maildir letters."""
    return tuple(flag for flag, letter in FLAG_LETTERS.items() if letter in letters)


def with_crlf(octets: bytes) -> bytes:
    """The text with CRLF at the end of every line; the same object where nothing has to change."""
    if octets.count(b"\n") == octets.count(b"\r\n"):
        return octets
    return _BARE_LF.sub(b"\r\n", octets)
