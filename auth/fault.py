"""What may be said of an exception nobody expected: its type and its place. Its text may hold anything.

A fault of ours can carry what a client sent, a secret too, so no log, reply or error ever shows its message.
Of a group the exceptions in it are named, because the group's own type and place say nothing.
"""

from __future__ import annotations

import traceback
from pathlib import PurePath


def fault(bug: BaseException) -> str:
    """Give type, file and line, as in `KeyError at gate.py:17`; without a traceback the type alone."""
    if isinstance(bug, BaseExceptionGroup):
        return "; ".join(fault(each) for each in bug.exceptions)
    frames = traceback.extract_tb(bug.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(bug).__name__ + where
