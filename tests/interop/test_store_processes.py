"""Processes that open and close one store all the time: none of them ever finds it missing or busy.

The last one to close takes SQLite's log and index away while the next one looks at them.
"""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from auth.store.errors import StoreUnavailable
from auth.store.store import Store
from support.office import urls

PROCESSES = 3
TIMES = 150


async def come_and_go(folder: Path) -> None:
    store = await Store.open(*urls(folder))
    try:
        await store.read(lambda tx: None)
    finally:
        await store.close()


def trouble(folder: Path) -> list[str]:
    """What goes wrong in one process, as many times as it opens the store."""
    found = []
    with asyncio.Runner() as runner:
        for _ in range(TIMES):
            try:
                runner.run(come_and_go(folder))
            except StoreUnavailable as error:
                found.append(str(error))
    return found


def test_a_store_can_be_opened_while_others_close_it(tmp_path):
    asyncio.run(come_and_go(tmp_path))  # made, so that the race is not who makes it
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        assert list(pool.map(trouble, [tmp_path] * PROCESSES)) == [[]] * PROCESSES
