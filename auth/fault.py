"""What may be said of an exception that nobody foresaw: its type and where it arose, never its text.

The text may hold what a client sent, a secret too. Of a group each exception in it is named, for a group
alone says nothing; of one that arose in a library also the place of ours that it came through.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_OURS: Final = tuple(f"{_ROOT / package}{os.sep}" for package in ("auth", "config", "proxy", "scopes"))
_MOST: Final = 4
"""Of a group; more would make a line that nobody reads."""


def fault(bug: BaseException) -> str:
    """Name an exception's type and place, as in `KeyError at gate.py:12`; of a group, those it holds."""
    told = list(dict.fromkeys(_told(each) for each in _leaves(bug)))
    more = [f"{len(told) - _MOST} more"] if len(told) > _MOST else []
    return "; ".join(told[:_MOST] + more)


def _leaves(bug: BaseException) -> Iterator[BaseException]:
    """Give the exceptions of a group, also of groups within it."""
    if isinstance(bug, BaseExceptionGroup):
        for each in bug.exceptions:
            yield from _leaves(each)
    else:
        yield bug


def _told(bug: BaseException) -> str:
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(bug.__traceback__)]
    if not places:
        return type(bug).__name__
    ours = [place for place in places if place[0].startswith(_OURS)]
    at = f"{type(bug).__name__} at {_shown(places[-1])}"
    return at if not ours or ours[-1] == places[-1] else f"{at} by way of {_shown(ours[-1])}"


def _shown(place: tuple[str, int]) -> str:
    file, line = place
    return f"{Path(file).name}:{line}"
