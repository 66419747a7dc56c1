"""Transactions on one file: who waits, who fails, what an error may say, what a cancelled caller leaves."""

import asyncio
import gc
import json
import logging
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, insert, text
from sqlalchemy.util import await_only

from auth.store.engine import Database, cause_of, path_of
from auth.store.errors import StoreUnavailable
from auth.store.migrate import History
from auth.store.schema import account, feed
from support.office import locked, opened, raw

VALUE = "hunter2-hunter2"


def count_up(tx):
    values = {"seq": feed.c.seq + 1, "token": func.randomblob(16)}
    return tx.execute(feed.update().values(values).returning(feed.c.seq)).scalar_one()


def number(tx):
    return tx.execute(text("SELECT seq FROM feed")).scalar_one()


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:////var/lib/w/gate.db", "/var/lib/w/gate.db"), ("sqlite:///data/gate.db", "data/gate.db")],
)
def test_a_url_names_a_file(url, path):
    assert path_of(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gate.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory",
        "sqlite:///x?mode=ro",
        "sqlite+aiosqlite:///x",
        "postgresql://db/x",
        "sqlite://host/x",
    ],
)
def test_a_url_that_names_no_file_is_refused(url):
    with pytest.raises(ValueError):
        path_of(url)


async def test_a_locked_store_takes_no_write_and_still_tells_the_truth(tmp_path):
    async with opened(tmp_path, busy_s=0.05) as store:
        with locked(tmp_path):
            with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
                await store.write(count_up)
            assert await store.read(number) == 0
        assert await store.write(count_up) == 1


async def test_a_write_waits_for_another_process_to_finish(tmp_path):
    async with opened(tmp_path, busy_s=30) as store:
        with locked(tmp_path):
            writing = asyncio.create_task(store.write(count_up))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not writing.done()
        assert await writing == 1


async def test_writes_of_one_process_queue_and_give_up_together(tmp_path):
    async with opened(tmp_path, busy_s=0.1) as store:
        with locked(tmp_path):
            results = await asyncio.gather(
                *(store.write(count_up) for _ in range(10)), return_exceptions=True
            )
        assert {type(result) for result in results} == {StoreUnavailable}
        assert await store.write(count_up) == 1


WRITER = """
import asyncio, sys
from sqlalchemy import text
from auth.store.store import Store
async def main():
    store = await Store.open(*sys.argv[1:3], create=True, busy_s=30)
    count_up = text("UPDATE feed SET seq = seq + 1, token = randomblob(16)")
    for _ in range(25):
        await store.write(lambda tx: tx.execute(count_up))
    await store.close()
asyncio.run(main())
"""


async def test_two_processes_and_two_stores_write_at_once(tmp_path):
    addresses = [f"sqlite:///{tmp_path}/gate.db", f"sqlite:///{tmp_path}/activity.db"]
    async with opened(tmp_path, busy_s=30) as one, opened(tmp_path, busy_s=30) as two:
        command = (sys.executable, "-c", WRITER, *addresses)
        running = [await asyncio.create_subprocess_exec(*command) for _ in range(2)]
        await asyncio.gather(*(store.write(count_up) for _ in range(25) for store in (one, two)))
        assert [await process.wait() for process in running] == [0, 0]
        assert (await one.feed_mark()).seq == 100


def missing_table(tx):
    tx.execute(text(f"SELECT * FROM missing WHERE secret = '{VALUE}'"))


def broken_rule(tx):
    values = {"id": "ac_1", "email": VALUE, "is_service": True, "created_at": 1, "version": 1}
    tx.execute(insert(account).values(**values))
    tx.execute(insert(account).values(**values))


def unbound(tx):
    tx.execute(text("SELECT :secret"), {"other": VALUE})


def surrogate(tx):
    tx.execute(text("SELECT :name"), {"name": VALUE + "\udcff"})


def too_large(tx):
    tx.execute(text("SELECT :number"), {"number": 1 << 70})


@pytest.mark.parametrize("work", [missing_table, broken_rule, unbound, surrogate, too_large])
async def test_an_error_is_an_outage_and_says_neither_sql_nor_values(tmp_path, work):
    async with opened(tmp_path) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.write(work)
        error = caught.value
        assert "SELECT" not in repr(error)
        assert VALUE not in repr(error)
        assert (error.__cause__, error.__context__) == (None, None)
        assert await store.write(count_up) == 1


def test_the_cause_is_a_symbol():
    assert cause_of(TimeoutError(VALUE)) == "TimeoutError"


async def test_what_work_raises_rolls_back_and_passes(tmp_path):
    def work(tx):
        count_up(tx)
        raise KeyError(7)

    async with opened(tmp_path) as store:
        with pytest.raises(KeyError):
            await store.write(work)
        assert await store.read(number) == 0


@pytest.mark.parametrize("turns", range(0, 24, 3))
async def test_work_ends_whole_when_its_caller_is_cancelled(tmp_path, turns):
    async with opened(tmp_path) as store:
        await store.write(count_up)
        task = asyncio.create_task(store.write(count_up))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await store.write(count_up) == (3 if turns else 2), "begun is done, not begun is forgotten"
        assert (await store.feed_mark()).seq == await store.read(number)


@asynccontextmanager
async def held_up(call, times):
    """So many pieces of work that have begun and do not come to their end within this block."""
    begun, gone_on = asyncio.Semaphore(0), asyncio.Event()

    def held(_: object) -> None:
        begun.release()
        await_only(gone_on.wait())

    tasks = [asyncio.create_task(call(held)) for _ in range(times)]
    for _ in tasks:
        await begun.acquire()
    try:
        yield tasks
    finally:
        gone_on.set()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("turns", range(6))
async def test_a_write_that_waits_for_its_turn_and_is_cancelled_is_never_done(tmp_path, turns):
    done: list[object] = []
    async with opened(tmp_path) as store:
        async with held_up(store.write, 1):
            waiting = asyncio.create_task(store.write(done.append))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        assert await store.write(count_up) == 1
    assert done == []


async def test_a_write_that_waits_for_its_turn_is_not_done_once_the_store_is_closed(tmp_path):
    done: list[object] = []
    async with opened(tmp_path) as store:
        async with held_up(store.write, 1):
            waiting = asyncio.create_task(store.write(done.append))
            await asyncio.sleep(0)
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0)
        await closing
        with pytest.raises(StoreUnavailable, match="closed"):
            await waiting
    assert done == []


async def test_readers_keep_their_turns_when_their_callers_leave_and_one_connection_stays_free(tmp_path):
    async with opened(tmp_path) as store:
        async with held_up(store.read, 4) as reads:
            for read in reads:
                read.cancel()
            await asyncio.wait(reads)
            more = [asyncio.create_task(store.read(number)) for _ in range(4)]
            await asyncio.sleep(0)
            assert await store.write(count_up) == 1
            assert not any(read.done() for read in more)
        assert await asyncio.gather(*more) == [1] * 4


async def test_closing_waits_for_running_work_and_ends_all_other(tmp_path):
    async with opened(tmp_path) as store:
        writing = asyncio.create_task(store.write(count_up))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await store.close()
        assert await writing == 1
        for late in (store.read(number), store.write(count_up), store.feed_mark(), store.last_used([])):
            with pytest.raises(StoreUnavailable):
                await late
        await store.close()


async def test_many_readers_share_a_few_connections(tmp_path):
    async with opened(tmp_path) as store:
        assert await asyncio.gather(*(store.read(number) for _ in range(50))) == [0] * 50


async def test_a_store_that_was_taken_away_is_not_made_anew(tmp_path):
    database = await Database.open(tmp_path / "gate.db", History.GATE)
    for file in tmp_path.iterdir():
        file.unlink()
    with pytest.raises(StoreUnavailable, match="CANTOPEN"):
        await database.read(number)
    assert list(tmp_path.iterdir()) == []
    await database.close()


async def test_every_connection_is_durable_and_checks_references(tmp_path):
    def settings(tx):
        names = ("synchronous", "foreign_keys", "journal_mode")
        return {name: tx.execute(text(f"PRAGMA {name}")).scalar_one() for name in names}

    async with opened(tmp_path) as store:
        seen = await asyncio.gather(*(store.read(settings) for _ in range(5)))
        assert {json.dumps(each) for each in seen} == {
            json.dumps({"synchronous": 2, "foreign_keys": 1, "journal_mode": "wal"})
        }


async def test_a_broken_page_is_an_outage(tmp_path):
    async with opened(tmp_path) as store:
        await store.write(count_up)
    with (tmp_path / "gate.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 8)
    with pytest.raises(StoreUnavailable):
        async with opened(tmp_path) as store:
            await store.feed_mark()


PROMISES = r"revoked for good|keeps its|tombstones|append-only|only grows|one_row"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE app_password SET revoked_at = NULL, revoked_why = NULL",
        "UPDATE app_password SET revoked_at = 9",
        "UPDATE app_password SET revoked_why = 'another'",
        "UPDATE app_password SET selector = 'zzzz'",
        "DELETE FROM app_password",
        "UPDATE audit SET email = 'mallory@example.org'",
        "DELETE FROM audit",
        "UPDATE feed SET seq = seq, token = randomblob(16)",
        "UPDATE feed SET seq = seq - 1, token = randomblob(16)",
        "UPDATE feed SET seq = seq + 1",
        "INSERT INTO feed VALUES (2, 1, x'00')",
    ],
)
async def test_the_file_itself_keeps_what_is_promised(tmp_path, statement):
    async with opened(tmp_path):
        pass
    with raw(tmp_path) as connection:
        connection.execute("INSERT INTO account VALUES ('ac','a',0,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1)")
        connection.execute(
            "INSERT INTO app_password VALUES "
            "('ap','ac','abcd','hash','k1','phone','mail','{}',1,'root',NULL,NULL,5,'all revoked',2,NULL)"
        )
        connection.execute("INSERT INTO audit VALUES (1,1,'o','o','o','d','ac','a',NULL,NULL,'')")
        with pytest.raises(Exception, match=PROMISES):
            connection.execute(statement)


@asynccontextmanager
async def as_many_readers_as_may_be(store):
    places = store._gate._reading
    for _ in range(4):
        await places.acquire()
    assert places.locked()
    yield
    for _ in range(4):
        places.release()


async def test_who_waits_for_a_read_and_leaves_is_forgotten(tmp_path):
    asked: list[object] = []
    async with opened(tmp_path) as store:
        async with as_many_readers_as_may_be(store):
            gone = [asyncio.create_task(store.read(asked.append)) for _ in range(50)]
            last = asyncio.create_task(store.read(number))
            await asyncio.sleep(0)
            for task in gone:
                task.cancel()
            await asyncio.wait(gone)
            assert await store.write(count_up) == 1  # a write never waits for readers
        assert await last == 1
    assert asked == []


async def test_reads_that_wait_too_long_are_an_outage(tmp_path):
    async with opened(tmp_path, busy_s=0.05) as store:
        async with as_many_readers_as_may_be(store):
            with pytest.raises(StoreUnavailable, match="too many reads"):
                await store.read(number)
        assert await store.read(number) == 0


@pytest.mark.parametrize("turns", range(12))
async def test_a_failure_nobody_waits_for_any_more_is_not_complained_of(tmp_path, turns):
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    def fails(_) -> None:
        raise OSError

    async with opened(tmp_path) as store:
        task = asyncio.create_task(store.read(fails))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        del task  # and with it the last that knows of the work
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_no_value_is_logged_at_any_level(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    async with opened(tmp_path) as store:
        await store.locate(VALUE, "abcd")
        await store.write(lambda tx: tx.execute(text("SELECT :value"), {"value": VALUE}).all())
    assert VALUE not in caplog.text
