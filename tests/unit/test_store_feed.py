"""The change feed: numbers in the order of commits, and a check that fails rather than waits or guesses."""

import asyncio
import sqlite3
import threading

import pytest
from sqlalchemy import event

from auth.store import deeds, feed
from auth.store.errors import StoreUnavailable
from auth.store.feed import FeedCheck
from auth.store.rows import AuditEntry, Change, ChangeKind, FeedMark
from support.office import ALICE, OPERATOR, locked, office, opened, raw


def entry(number: int = 0) -> AuditEntry:
    return AuditEntry(
        at=number,
        actor_kind="operator",
        actor_name="root",
        where="test",
        deed=ChangeKind.REVOKED,
        account_id="ac_1",
        email=ALICE,
    )


def change(number: int = 0):
    return lambda tx: deeds.conclude(tx, entry(number), ("ap_1", "ap_2"))


async def test_a_change_is_numbered_and_written_down_with_its_token(tmp_path):
    async with opened(tmp_path) as store:
        marks = [await store.feed_mark()]
        for seq in (1, 2):
            written = await store.write(change())
            marks.append(await store.feed_mark())
            assert (marks[-1], written.seq) == (written, seq)
        assert [mark.seq for mark in marks] == [0, 1, 2]
        assert len({mark.token for mark in marks}) == 3
        expected = [
            Change(
                mark=mark,
                kind=ChangeKind.REVOKED,
                account_id="ac_1",
                app_password_ids=("ap_1", "ap_2"),
            )
            for mark in marks[1:]
        ]
        assert await store.changes_since(0) == expected
        assert await store.changes_since(1) == expected[1:]
        assert await store.changes_since(2) == []


async def test_what_is_rolled_back_has_no_number(tmp_path):
    def fails(tx):
        change()(tx)
        raise ZeroDivisionError

    async with opened(tmp_path) as store:
        with pytest.raises(ZeroDivisionError):
            await store.write(fails)
        assert (await store.feed_mark()).seq == 0
        assert await store.changes_since(0) == []
        assert (await store.write(change())).seq == 1


async def test_the_number_is_taken_last(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint()
        said: list[str] = []
        event.listen(
            here.store._gate._engine.sync_engine, "before_cursor_execute", lambda *call: said.append(call[2])
        )
        await here.accounts.disable(ALICE, OPERATOR)
    assert said[0] == "BEGIN IMMEDIATE"
    assert said[-3].startswith("INSERT INTO audit")
    assert said[-2].startswith("UPDATE feed SET seq=(feed.seq + ?), token=? RETURNING")
    assert said[-1].startswith("INSERT INTO change")


async def test_nothing_uncommitted_is_seen(tmp_path):
    async with opened(tmp_path) as store:
        with raw(tmp_path) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE feed SET seq = seq + 1, token = randomblob(16)")
            assert (await store.feed_mark()).seq == 0
            other.execute("COMMIT")
            assert (await store.feed_mark()).seq == 1


async def test_a_number_vouches_for_every_change_up_to_it(tmp_path):
    async with (
        opened(tmp_path, busy_s=30) as one,
        opened(tmp_path, busy_s=30) as two,
        opened(tmp_path) as reader,
    ):
        writes = [store.write(change(number)) for number in range(20) for store in (one, two)]
        running = asyncio.gather(*writes)
        while not running.done():
            number = (await reader.feed_mark()).seq
            seen = [each.mark.seq for each in await reader.changes_since(0)]
            assert seen[:number] == list(range(1, number + 1))
            await asyncio.sleep(0)
        assert sorted(mark.seq for mark in await running) == list(range(1, 41))
        assert (await reader.feed_mark()).seq == 40


async def test_a_check_leaves_no_read_transaction_behind(tmp_path):
    async with opened(tmp_path) as store:
        await store.feed_mark()
        await store.write(change())
        with raw(tmp_path) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert (await store.feed_mark()).seq == 1


async def test_a_writer_does_not_hold_the_check_up(tmp_path):
    async with opened(tmp_path) as store:
        with locked(tmp_path):
            assert (await store.feed_mark()).seq == 0


async def test_changes_do_not_wait_behind_those_who_sign_in(tmp_path):
    gone_on = threading.Event()

    def held(_: object) -> None:
        assert gone_on.wait(10)

    async with opened(tmp_path) as store:
        await store.write(change())
        reads = [asyncio.create_task(store.read(held)) for _ in range(10)]
        try:
            await asyncio.sleep(0)
            asking = store.changes_since(0)
            with pytest.raises(StopIteration) as told:  # it answers without ever giving way to the loop
                asking.send(None)
            assert [each.mark.seq for each in told.value.value] == [1]
        finally:
            gone_on.set()
            await asyncio.gather(*reads)


SEVEN = FeedMark(7, b"w")


def file_with_feed(tmp_path):
    path = tmp_path / "plain.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE feed (seq INTEGER, token BLOB)")
    connection.execute("INSERT INTO feed VALUES (7, x'77')")
    connection.execute("CREATE TABLE change (seq, token, kind, account_id, app_password_ids)")
    return path, connection


def test_busy_is_a_failed_check_at_once(tmp_path):
    path, connection = file_with_feed(tmp_path)
    check = FeedCheck(path)
    assert check.mark() == SEVEN
    assert check._connection.execute("PRAGMA busy_timeout").fetchone() == (0,)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        check.mark()
    connection.execute("ROLLBACK")
    assert check.mark() == SEVEN
    check.close()
    connection.close()


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("DELETE FROM feed", "no mark"),
        ("INSERT INTO feed VALUES (8, x'88')", "no mark"),
        ("DROP TABLE feed", "SQLITE_ERROR"),
        ("UPDATE feed SET seq = 'much'", "no mark"),
        ("UPDATE feed SET seq = NULL", "no mark"),
        ("UPDATE feed SET token = 'text'", "no mark"),
        ("UPDATE feed SET token = NULL", "no mark"),
    ],
)
def test_a_feed_that_makes_no_sense_is_a_failed_check(tmp_path, statement, cause):
    path, connection = file_with_feed(tmp_path)
    check = FeedCheck(path)
    connection.execute(statement)
    with pytest.raises(StoreUnavailable, match=cause):
        check.mark()
    check.close()
    connection.close()


def test_another_file_in_its_place_is_a_failed_check(tmp_path):
    path, connection = file_with_feed(tmp_path)
    check = FeedCheck(path)
    path.rename(tmp_path / "old.db")
    with pytest.raises(StoreUnavailable, match="FileNotFoundError"):
        check.mark()
    path.write_bytes((tmp_path / "old.db").read_bytes())
    for question in (check.mark, lambda: check.changes_since(0)):
        with pytest.raises(StoreUnavailable, match="replaced"):
            question()
    check.close()
    connection.close()


def test_a_file_that_is_not_there_has_no_feed(tmp_path):
    with pytest.raises(StoreUnavailable, match="FileNotFoundError"):
        FeedCheck(tmp_path / "gate.db")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreUnavailable, match="CANTOPEN"):
        FeedCheck(tmp_path / "folder")


async def test_a_closed_check_stays_closed(tmp_path):
    async with opened(tmp_path) as store:
        pass
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="ProgrammingError"):
            await store.feed_mark()


def test_a_closed_check_fails(tmp_path):
    path, connection = file_with_feed(tmp_path)
    check = FeedCheck(path)
    check.close()
    with pytest.raises(StoreUnavailable):
        check.mark()
    connection.close()


async def test_an_unknown_kind_of_change_is_an_outage(tmp_path):
    async with opened(tmp_path) as store:
        await store.write(lambda tx: feed.advance(tx, ChangeKind.MINTED, "ac_1", ()))
        with raw(tmp_path) as connection:
            connection.execute("UPDATE change SET kind = 'from the future'")
        with pytest.raises(StoreUnavailable, match="cannot be understood"):
            await store.changes_since(0)
