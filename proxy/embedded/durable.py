"""Small files that are whole or absent, whatever the moment of a crash.

A file is written beside its place, synced, renamed over it, and the folder is synced. Nothing here locks:
one process owns a mail folder's bookkeeping at a time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def write_synced(path: Path, octets: bytes | bytearray) -> None:
    """Write a new file and bring it to the disk; a failed one is taken away.

    An existing file is an error (`FileExistsError`) and stays.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - the descriptor carries the mode and O_EXCL
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise


def replace_file(path: Path, octets: bytes) -> None:
    """Put `octets` at `path` in one step: readers and a crash see the old content or the new."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    write_synced(fresh, octets)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
