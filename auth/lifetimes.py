"""How long a session of the portal lasts, and for how long a proof counts as fresh. Pure; time comes in.

Times are whole seconds since 1970-01-01 UTC. A clock that was set back by more than `SKEW_S` ends what it
finds in its future.
"""

from __future__ import annotations

from typing import Final

from auth.store.rows import SessionRow, Stage

IDLE_S: Final = 15 * 60
"""Without a page asked for. NIST SP 800-63B §4.2.3 allows 30 minutes."""
ABSOLUTE_S: Final = 8 * 3_600
"""Since the sign-in began, whatever happens. NIST SP 800-63B §4.2.3 allows 12 hours."""
CODE_S: Final = 10 * 60
"""From the primary password to the code."""
FRESH_S: Final = 5 * 60
"""How old a proof may be for deeds that need one."""
TOUCH_S: Final = 60
"""How exactly it is known when a page was last asked for."""
SKEW_S: Final = 60


def is_alive(row: SessionRow, now: float) -> bool:
    """Tell whether a session has not ended by itself."""
    if row.stage is Stage.CODE:
        return _within(row.created_at, now, CODE_S)
    return _within(row.seen_at, now, IDLE_S) and _within(row.created_at, now, ABSOLUTE_S)


def is_fresh(row: SessionRow, now: float) -> bool:
    """Tell whether a session is in, and both halves were proved in it lately."""
    if row.stage is not Stage.IN or row.proved_at is None or not is_alive(row, now):
        return False
    return _within(row.proved_at, now, FRESH_S)


def _within(at: int, now: float, most_s: int) -> bool:
    return -SKEW_S <= now - at <= most_s
