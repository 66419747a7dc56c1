"""Why the store cannot answer, in words for whoever runs it.

The store says SQLite's symbolic code or the name of an exception, which may be logged and looked up. Here the
common ones get words and advice; the code stays beside them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auth.store.errors import StoreUnavailable

_HELD: Final = (
    "another process holds the store",
    "try again; if it lasts, end what keeps the file open, such as a backup or a database browser",
)
_FULL: Final = ("the disk is full", "make room on the disk that holds the store, then try again")
_CLOSED: Final = (
    "it cannot be opened or written by this user",
    "run this as the server's user, and see whether the file, its folder and the disk can be written to",
)
_DAMAGED: Final = (
    "the file is no database or is damaged",
    "stop the server and put the file back from your copy; an activity.db may simply be moved away",
)
_READING: Final = (
    "the disk cannot be read or written",
    "look at the disk and the system's log; put the file back from your copy if it was damaged",
)
_OTHER_HINT: Final = "try again; if it lasts, see what is wrong with: wicketgate check"

CAUSES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "SQLITE_BUSY": _HELD,
        "SQLITE_LOCKED": _HELD,
        "SQLITE_FULL": _FULL,
        "SQLITE_IOERR_SHMSIZE": _FULL,
        "ENOSPC": _FULL,
        "EDQUOT": _FULL,
        "SQLITE_READONLY": _CLOSED,
        "SQLITE_CANTOPEN": _CLOSED,
        "SQLITE_PERM": _CLOSED,
        "SQLITE_IOERR": _READING,
        "SQLITE_NOTADB": _DAMAGED,
        "SQLITE_CORRUPT": _DAMAGED,
        "PermissionError": _CLOSED,
        "EACCES": _CLOSED,
        "EROFS": _CLOSED,
    }
)
"""What a cause and its finer forms (SQLITE_READONLY_DIRECTORY and so on) mean, and what to do about it."""

_CAUSE: Final = re.compile(r"\b(?:SQLITE_[A-Z_]+|PermissionError|EACCES|EDQUOT|ENOSPC|EROFS)\b")


def outage(error: StoreUnavailable) -> tuple[str, str]:
    """Give what to say about a store that cannot answer, and what to do."""
    said = str(error)
    found = _CAUSE.search(said)
    words, hint = _meaning(found[0]) if found else ("", _OTHER_HINT)
    if words:
        said = _CAUSE.sub(lambda code: f"{words} ({code[0]})", said, count=1)
    return f"the store cannot answer: {said}", hint


def _meaning(cause: str) -> tuple[str, str]:
    """Look a code up, then what it is a finer form of."""
    while cause:
        if cause in CAUSES:
            return CAUSES[cause]
        cause = cause.rpartition("_")[0]
    return "", _OTHER_HINT
