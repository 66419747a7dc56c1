"""A folder of one's own beside the file that is being made: private, locked while in use, gone afterwards.

What is finished is renamed out of it, so a file is there whole or not at all. A folder that a killed process
left is recognised by its name, which nobody else makes, and by its lock, which the kernel let go of; it is
removed by the next one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".wicketgate-unfinished-"
_OURS: Final = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")
"""As tempfile.mkdtemp names it; whoever calls a folder of their own `.wicketgate-…` keeps it."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def workspace(beside: Path) -> Iterator[Path]:
    """Make the folder, mode 0700, in the folder `beside`, and remove it in the end. Raises OSError."""
    _sweep(beside)
    folder, descriptor = _make(beside)
    try:
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _make(beside: Path) -> tuple[Path, int]:
    """Make a folder and lock it; another one if it was swept away between the two."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=beside))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, _FOLDER)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _sweep(beside: Path) -> None:
    """Remove what killed processes left: folders that nobody holds."""
    for folder in beside.glob(f"{_PREFIX}*"):
        if not _OURS.fullmatch(folder.name):
            continue
        with suppress(OSError):
            descriptor = os.open(folder, _FOLDER | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
