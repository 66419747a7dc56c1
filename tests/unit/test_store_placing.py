"""A finished store put in the place of another: all of it or nothing, and what stood there is kept."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from auth.store import placing
from auth.store.copies import copy
from auth.store.errors import StoreUnavailable
from auth.store.known import Found, known, look
from auth.store.placing import StoreChanged, place
from auth.store.rows import FeedMark
from support.office import ALICE, BOB, OPERATOR, locked, office, opened, raw


async def made(folder: Path, email: str) -> Path:
    """Make a store with an account in it."""
    async with office(folder) as here:
        await here.enrolled(email)
    return folder / "gate.db"


@pytest.fixture
async def staged(tmp_path: Path) -> Path:
    (tmp_path / "staged").mkdir()
    return await made(tmp_path / "staged", BOB)


async def emails(folder: Path) -> list[str]:
    async with office(folder) as here:
        return [row.email for row in await here.accounts.all()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


async def test_where_nothing_stands(tmp_path, staged):
    place(staged, tmp_path / "gate.db", Found.NOTHING, kept=tmp_path / "kept.db", busy_s=1)
    assert names(tmp_path) == ["gate.db"]
    assert await emails(tmp_path) == [BOB]


async def test_an_empty_file_is_nothing(tmp_path, staged):
    (tmp_path / "gate.db").touch()
    assert look(tmp_path / "gate.db", busy_s=1) is Found.NOTHING
    place(staged, tmp_path / "gate.db", Found.NOTHING, kept=tmp_path / "kept.db", busy_s=1)
    assert await emails(tmp_path) == [BOB]


async def test_a_log_without_its_store_is_not_played_into_the_new_one(tmp_path, staged):
    other = tmp_path / "other"
    other.mkdir()
    async with opened(other):
        with raw(other) as connection:
            connection.execute("CREATE TABLE stray (x)")
            (tmp_path / "gate.db-wal").write_bytes((other / "gate.db-wal").read_bytes())
            (tmp_path / "gate.db-shm").write_bytes((other / "gate.db-shm").read_bytes())
    place(staged, tmp_path / "gate.db", Found.NOTHING, kept=tmp_path / "kept.db", busy_s=1)
    assert names(tmp_path) == ["gate.db", "kept.db-wal"]
    assert await emails(tmp_path) == [BOB]


async def test_a_store_that_came_meanwhile_is_not_written_over(tmp_path, staged):
    await made(tmp_path, ALICE)
    with pytest.raises(StoreChanged):
        place(staged, tmp_path / "gate.db", Found.NOTHING, kept=tmp_path / "kept.db", busy_s=1)
    assert await emails(tmp_path) == [ALICE]


async def test_over_a_whole_store_it_stays_the_same_file_and_the_old_one_is_kept(tmp_path, staged):
    path = await made(tmp_path, ALICE)
    inode, before = path.stat().st_ino, known(path, busy_s=1)
    place(staged, path, Found.WHOLE, kept=tmp_path / "kept.db", seen=before.mark, busy_s=1)
    assert path.stat().st_ino == inode
    assert await emails(tmp_path) == [BOB]
    assert known(tmp_path / "kept.db", busy_s=1) == before
    assert (tmp_path / "kept.db").stat().st_mode & 0o777 == 0o600


async def test_who_has_the_old_store_open_sees_another_history(tmp_path, staged):
    async with office(tmp_path) as here:
        await here.enrolled(ALICE)
        mark = await here.store.feed_mark()
        place(staged, tmp_path / "gate.db", Found.WHOLE, kept=tmp_path / "kept.db", seen=mark, busy_s=1)
        assert (await here.store.feed_mark()).token != mark.token
        assert [row.email for row in await here.accounts.all()] == [BOB]
        await here.accounts.disable(BOB, OPERATOR)
    with raw(tmp_path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_change_made_since_it_was_looked_at_is_not_lost(tmp_path, staged):
    async with office(tmp_path) as here:
        await here.enrolled(ALICE)
        await here.mint("phone")
        mark = await here.store.feed_mark()
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        with pytest.raises(StoreChanged):
            place(staged, tmp_path / "gate.db", Found.WHOLE, kept=tmp_path / "kept.db", seen=mark, busy_s=1)
        assert [row.email for row in await here.accounts.all()] == [ALICE]
        assert await here.accounts.active(ALICE) == []
    assert not (tmp_path / "kept.db").exists()


async def test_a_change_can_not_come_between_the_look_and_the_writing(tmp_path, staged):
    path = await made(tmp_path, ALICE)
    mark, tried = known(path, busy_s=1).mark, []

    def looked(*arguments: object) -> FeedMark:
        with closing(sqlite3.connect(path, timeout=0)) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("UPDATE feed SET seq = seq + 1, token = randomblob(16)")
        tried.append(arguments)
        return mark

    placing._place_over(staged, path, mark, 1, mark=looked)
    assert len(tried) == 1
    assert await emails(tmp_path) == [BOB]


async def test_a_store_that_somebody_holds_stays(tmp_path, staged):
    path = await made(tmp_path, ALICE)
    mark = known(path, busy_s=1).mark
    async with opened(tmp_path):
        with locked(tmp_path), pytest.raises(StoreUnavailable, match="BUSY"):
            place(staged, path, Found.WHOLE, kept=tmp_path / "kept.db", seen=mark, busy_s=0.05)
    assert await emails(tmp_path) == [ALICE]


@pytest.mark.parametrize("harm", [b"no database " * 5_000, None])
async def test_a_damaged_store_gives_its_name_to_the_new_one(tmp_path, staged, harm):
    path = await made(tmp_path, ALICE)
    if harm is None:
        with path.open("r+b") as opened_file:
            opened_file.seek(4096)
            opened_file.write(os.urandom(path.stat().st_size - 8192))
    else:
        path.write_bytes(harm)
    was = path.read_bytes()
    assert look(path, busy_s=1) is Found.DAMAGED
    assert known(path, busy_s=1) is None
    place(staged, path, Found.DAMAGED, kept=tmp_path / "kept.db", busy_s=1)
    assert (tmp_path / "kept.db").read_bytes() == was
    assert await emails(tmp_path) == [BOB]


async def test_a_database_of_something_else_knows_nothing(tmp_path):
    with raw(tmp_path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    assert look(tmp_path / "gate.db", busy_s=1) is Found.WHOLE
    assert known(tmp_path / "gate.db", busy_s=1) is None


async def test_a_store_that_is_held_is_not_taken_for_one_that_cannot_tell(tmp_path):
    await made(tmp_path, ALICE)
    with raw(tmp_path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        for ask in (look, known):
            with pytest.raises(StoreUnavailable, match="BUSY"):
                ask(tmp_path / "gate.db", busy_s=0.05)


async def test_a_cause_that_a_newer_version_wrote_is_a_revocation(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        minted = await here.mint("phone")
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        copy(tmp_path / "gate.db", tmp_path / "newer.db", busy_s=1)
    with raw(tmp_path, "newer.db") as connection:
        connection.execute("DROP TRIGGER app_password_stays_revoked")
        connection.execute("UPDATE app_password SET revoked_why = 'by the moon'")
    assert minted.id in known(tmp_path / "newer.db", busy_s=1).revoked
