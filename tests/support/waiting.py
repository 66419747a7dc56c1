"""Wait for what another process does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

GIVE_UP_S = 30.0


async def eventually(holds: Callable[[], object], *, within_s: float = GIVE_UP_S) -> None:
    """Wait until a condition in the outside world holds; fails when it never does."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - nothing in this process tells
            await asyncio.sleep(0.02)


def until(holds: Callable[[], object], *, within_s: float = GIVE_UP_S) -> None:
    """The same for a test without a loop."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "what was waited for never came"
        time.sleep(0.02)
