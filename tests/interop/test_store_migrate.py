"""Migrations: two histories, from an empty file, once, and never halfway."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from auth.store import schema
from auth.store.engine import Database
from auth.store.errors import StoreUnavailable
from auth.store.migrate import History, alembic_config, migrate
from auth.store.store import Store
from support.office import opened, raw, urls

OPEN = """
import sys
from pathlib import Path
from auth.store.migrate import History, migrate
migrate(Path(sys.argv[1]), History.GATE, create=True, busy_s=20)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_an_empty_folder_becomes_a_private_store(tmp_path):
    store = await Store.open(*urls(tmp_path / "made" / "store"), create=True)
    try:
        assert (await store.feed_mark()).seq == 0
        await store.record_sign_ins([])
        files = sorted((tmp_path / "made" / "store").iterdir())
        assert {"gate.db", "gate.db-wal", "gate.db-shm", "activity.db"} <= {file.name for file in files}
        assert {mode(file) for file in files} == {0o600}
    finally:
        await store.close()
    assert mode(tmp_path / "made" / "store") == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    async with opened(tmp_path):
        pass
    (tmp_path / "gate.db").chmod(0o644)
    async with opened(tmp_path):
        assert mode(tmp_path / "gate.db") == 0o600


def test_a_store_at_its_head_is_opened_without_alembic(tmp_path):
    migrate(tmp_path / "gate.db", History.GATE, create=True, busy_s=1)
    code = OPEN + "assert 'alembic' not in sys.modules and 'sqlalchemy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "gate.db"], check=False, timeout=60)
    assert done.returncode == 0


async def test_what_was_written_is_there_after_opening_again(tmp_path):
    async with opened(tmp_path):
        pass
    with raw(tmp_path) as connection:
        connection.execute("UPDATE feed SET seq = 41, token = randomblob(16)")
    async with opened(tmp_path) as store:
        assert (await store.feed_mark()).seq == 41


@pytest.mark.parametrize("history", History)
def test_the_head_is_the_one_named(history):
    assert ScriptDirectory.from_config(alembic_config(history)).get_heads() == [history.head]


@pytest.mark.parametrize(
    ("history", "metadata"), [(History.GATE, schema.gate), (History.ACTIVITY, schema.activity)]
)
def test_the_migrations_build_the_schema(tmp_path, history, metadata):
    migrate(tmp_path / "file.db", history, create=True, busy_s=1)
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        for table in metadata.sorted_tables:
            built = connection.exec_driver_sql(f"PRAGMA table_info({table.name})").all()
            assert [(row[1], bool(row[3])) for row in built] == [
                (column.name, not column.nullable) for column in table.columns
            ]
    engine.dispose()


def test_several_processes_open_an_empty_file_at_once(tmp_path):
    path = tmp_path / "new" / "gate.db"
    running = [subprocess.Popen([sys.executable, "-c", OPEN, path]) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT seq FROM feed").fetchall() == [(0,)]


async def test_a_newer_store_is_refused(tmp_path):
    async with opened(tmp_path):
        pass
    with raw(tmp_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer version"):
        await Database.open(tmp_path / "gate.db", History.GATE)


async def test_a_migration_that_fails_leaves_nothing(tmp_path):
    with raw(tmp_path) as connection:
        connection.execute("CREATE TABLE audit (mine TEXT)")
    with pytest.raises(StoreUnavailable):
        await Database.open(tmp_path / "gate.db", History.GATE)
    with raw(tmp_path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("audit",)]


async def test_a_file_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "gate.db").write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(StoreUnavailable, match="NOTADB"):
        await Database.open(tmp_path / "gate.db", History.GATE, busy_s=0.1)


async def test_a_folder_that_cannot_be_made_is_an_outage(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="FileExistsError"):
        await Database.open(tmp_path / "file" / "gate.db", History.GATE)


async def test_a_locked_empty_file_is_an_outage(tmp_path):
    with raw(tmp_path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="BUSY"):
            await Database.open(tmp_path / "gate.db", History.GATE, busy_s=0.1)
        connection.execute("ROLLBACK")
