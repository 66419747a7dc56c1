"""The server's master keys: one small file each, 64 hexadecimal digits (32 octets).

From a master key the pepper of the stored hashes and the sealing of stored secrets are derived elsewhere. A
key never stands in the config text or in the database, only in a file that its owner alone can read. Losing a
key file loses every app password and second factor made with it, so keep a copy apart from the database's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.private import PrivateFileError, read_private

KEY_OCTETS: Final = 32
_RESTORE: Final = "put the file back from your copy, or mend the path; a new key cannot read old data"


def new_key_text(token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make a new master key, as its file holds it."""
    return token_bytes(KEY_OCTETS).hex() + "\n"


def read_key(path: Path) -> bytes:
    """Read one key file: 32 octets. Raises PrivateFileError, whose text never quotes the file."""
    return key_in(read_private(path, when_missing=_RESTORE), path)


def key_in(text: bytes, path: Path) -> bytes:
    """Read the key in the text of the key file `path`. Raises PrivateFileError, which never quotes it."""
    try:
        key = bytes.fromhex(text.strip().decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_OCTETS:
        what = f"{path} does not hold a key of {KEY_OCTETS} octets in hexadecimal"
        raise PrivateFileError(what, _RESTORE)
    return key
