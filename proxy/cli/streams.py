"""The standard streams, also of a process that was started without some of them, as `>&-` does.

Else the next file or socket would take such a stream's number, and a log line or a question would go into it.
Here they are filled in before anything else is opened. Standard output becomes one that cannot be written to:
an app password that nobody could see must count as not shown. Letters that the terminal's encoding lacks are
written as escapes: one in a label must not lose the password that stands below it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Final

_MODES: Final = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""How the null device is opened for input, output and errors; writing to the second fails."""


def open_standard_streams() -> None:
    """Fill in what is missing of standard input, output and error, which take any letter; call it first."""
    for number, mode in enumerate(_MODES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
