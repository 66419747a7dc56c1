"""Before a store goes up to a newer revision it is copied beside itself, and does not go up without."""

import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from auth.store.errors import StoreUnavailable
from auth.store.migrate import History
from proxy.cli.outages import outage
from support.office import ALICE, OPERATOR, office, raw
from support.old_stores import KEYS, old_store, revision_of

HEAD = History.GATE.head
KEPT = f"gate.db.before-{HEAD}"
OPEN = """
import sys
from pathlib import Path
from auth.store.errors import StoreUnavailable
from auth.store.migrate import History, migrate
try:
    migrate(Path(sys.argv[1]), History.GATE, create=False, busy_s=20)
except StoreUnavailable as error:
    sys.exit(str(error))
"""


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "before" in path.name)


async def opened_once(folder: Path) -> None:
    async with office(folder, keys=KEYS):
        pass


async def test_the_old_store_is_kept_as_it_was(tmp_path):
    old_store(tmp_path)
    async with office(tmp_path, keys=KEYS) as here:
        await here.accounts.revoke_all(ALICE, OPERATOR)
    assert revision_of(tmp_path) == HEAD
    assert copies(tmp_path) == [KEPT]
    assert stat.S_IMODE((tmp_path / KEPT).stat().st_mode) == 0o600
    assert revision_of(tmp_path, KEPT) == "0001"
    with raw(tmp_path, KEPT) as kept:
        assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert kept.execute("SELECT id, verifier_hash FROM app_password").fetchall() == [("ap_old", "hash")]
        assert kept.execute("SELECT seq FROM feed").fetchall() == [(41,)]


async def test_what_another_process_had_not_yet_moved_out_of_its_log_is_in_the_copy(tmp_path):
    old_store(tmp_path)
    with raw(tmp_path) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("UPDATE app_password SET label = 'tablet'")
        await opened_once(tmp_path)
    with raw(tmp_path, KEPT) as kept:
        assert kept.execute("SELECT label FROM app_password").fetchall() == [("tablet",)]


async def test_whoever_goes_back_a_version_puts_the_copy_in_its_place(tmp_path):
    old_store(tmp_path)
    await opened_once(tmp_path)
    (tmp_path / KEPT).rename(tmp_path / "gate.db")
    assert revision_of(tmp_path) == "0001"
    async with office(tmp_path, keys=KEYS) as here:
        assert (await here.accounts.find(ALICE)).id == "ac_old"


async def test_the_copy_stays_until_the_next_way_up(tmp_path):
    old_store(tmp_path)
    (tmp_path / "gate.db.before-0001").write_bytes(b"of the way up before")
    (tmp_path / "other.db.before-0001").write_bytes(b"of another store")
    await opened_once(tmp_path)
    await opened_once(tmp_path)
    assert copies(tmp_path) == [KEPT, "other.db.before-0001"]


async def test_a_new_store_has_nothing_to_copy(tmp_path):
    await opened_once(tmp_path)
    assert copies(tmp_path) == []


async def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    await opened_once(tmp_path)
    with raw(tmp_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer version"):
        await opened_once(tmp_path)
    assert copies(tmp_path) == []


async def test_without_a_copy_the_store_stays_as_it_is(tmp_path):
    old_store(tmp_path)
    (tmp_path / KEPT).mkdir()
    with pytest.raises(StoreUnavailable, match=r"the gate store stays as it is.*EISDIR"):
        await opened_once(tmp_path)
    assert revision_of(tmp_path) == "0001"
    assert copies(tmp_path) == [KEPT]
    (tmp_path / KEPT).rmdir()
    await opened_once(tmp_path)
    assert revision_of(tmp_path) == HEAD


def test_a_disk_without_room_for_the_copy_is_named(tmp_path):
    old_store(tmp_path)
    room = 48 * 1024  # more than SQLite's index of the log needs, less than the store is

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(
        [sys.executable, "-c", OPEN, tmp_path / "gate.db"], stderr=subprocess.PIPE, text=True, check=False,
        timeout=60, preexec_fn=little_room,
    )  # fmt: skip
    assert done.returncode == 1
    what, hint = outage(StoreUnavailable(done.stderr.strip()))
    assert "stays as it is" in what
    assert hint.startswith(("make room", "look at the disk"))
    assert revision_of(tmp_path) == "0001"
    assert copies(tmp_path) == []


async def test_what_a_killed_way_up_left_is_no_hindrance(tmp_path):
    old_store(tmp_path)
    (tmp_path / f".{KEPT}.new").write_bytes(b"half a copy")
    (tmp_path / KEPT).write_bytes(b"a copy of an earlier try")
    await opened_once(tmp_path)
    assert revision_of(tmp_path, KEPT) == "0001"
    assert not (tmp_path / f".{KEPT}.new").exists()
