"""The lasting tie between a message file and its IMAP UID, one small file per folder.

First line: `wicketgate-uids 1 VALIDITY NEXT`; then one line `UID NAME` for each message, NAME being the
file's base name (what stands before `:2,`). A UID is given once and never again (RFC 3501 §2.3.1.1): NEXT
only grows, and it is on disk before any client hears of it. A list that is missing or damaged is no list at
all: the folder then starts over under a new UIDVALIDITY, which tells every client to forget what it knew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from proxy.embedded.durable import replace_file

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = b"wicketgate-uids"
_FORMAT: Final = b"1"
UID_LIMIT: Final = 2**32
"""RFC 3501 §9: nz-number is less than this."""


@dataclass(slots=True, kw_only=True)
class UidList:
    """UIDVALIDITY, the next UID, and which base name has which UID."""

    validity: int
    next_uid: int = 1
    uids: dict[str, int] = field(default_factory=dict)

    def give(self, name: str) -> int:
        """Give the next UID to a base name and return it."""
        uid = self.next_uid
        if uid >= UID_LIMIT:
            raise OverflowError("every UID of this folder has been used")
        self.next_uid = uid + 1
        self.uids[name] = uid
        return uid

    def dump(self) -> bytes:
        """The file's content."""
        head = b"%s %s %d %d\n" % (_MAGIC, _FORMAT, self.validity, self.next_uid)
        return head + b"".join(b"%d %s\n" % (uid, os.fsencode(name)) for name, uid in self.uids.items())


def read(path: Path) -> UidList | None:
    """Read a list; None when there is none or when it cannot be trusted."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    try:
        return _from_lines(lines)
    except ValueError:
        return None


def write(path: Path, uids: UidList) -> None:
    """Put the list on disk in one step."""
    replace_file(path, uids.dump())


def _from_lines(lines: list[bytes]) -> UidList:
    magic, version, validity, next_uid = lines[0].split(b" ")
    if (magic, version) != (_MAGIC, _FORMAT) or lines[-1] != b"":
        raise ValueError("not a whole UID list")
    found = UidList(validity=int(validity), next_uid=int(next_uid))
    previous = 0
    for line in lines[1:-1]:
        number, name = line.split(b" ", 1)
        uid = int(number)
        if not previous < uid < found.next_uid or not name:
            raise ValueError("UIDs out of order")
        found.uids[os.fsdecode(name)] = previous = uid
    if not 0 < found.validity < UID_LIMIT or len(found.uids) != len(lines) - 2:
        raise ValueError("not a sound UID list")
    return found
