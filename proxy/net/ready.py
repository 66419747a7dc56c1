"""Wait until a descriptor can be read or written, on any loop that has readers and writers.

Nothing is read or written here, so a cancelled wait loses nothing. The waiter may be resolved by others too
(a connection that is aborted does so): whoever wakes looks again at what it waited for.
"""

from __future__ import annotations

import asyncio


def wake(waiter: asyncio.Future[None]) -> None:
    """Resolve a waiter, once; a level-triggered loop calls again until the waiting task has run."""
    if not waiter.done():
        waiter.set_result(None)


async def writable(fd: int) -> None:
    """Wait until the descriptor takes octets or has failed; the caller keeps it open meanwhile."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_writer(fd)
