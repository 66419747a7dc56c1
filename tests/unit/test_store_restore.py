"""A store restored in place while a gate serves: nothing remembered of the other history lets anyone in."""

import sqlite3
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from auth.gate import Gate
from auth.ports import Clock, SignIn
from auth.refusal import Reason
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.throttle import AddressThrottle
from proxy.worker import Reports, Worker, WorkerLock, await_reports
from scopes.model import Grant, Service
from support.insiders import Unwatched
from support.office import ALICE, OPERATOR, Office, office, raw


def back_up(here: Office) -> None:
    """Copy the store as `sqlite3 .backup` does."""
    with raw(here.folder) as store, raw(here.folder, "backup.db") as copy:
        store.backup(copy)


def restore(here: Office) -> None:
    """Write the copy back into the open store, as `sqlite3 .restore` does."""
    with raw(here.folder, "backup.db") as copy, closing(sqlite3.connect(here.folder / "gate.db")) as store:
        copy.backup(store)


class Door:
    """A gate with a worker, as one process has them."""

    def __init__(self, here: Office, name: str = "w_1") -> None:
        self.cuts = 0
        self.worker = Worker(name, here.store, self)
        clock = Clock(wall=here.clock, monotonic=lambda: 0.0, sleep=_at_once)
        self._gate = Gate(here.store, here.hasher, here.keys, AddressThrottle(), clock=clock)

    def cut(self, app_password_ids) -> int:
        return 0

    def cut_all(self) -> int:
        self.cuts += 1
        return 1

    async def admit(self, password: Secret):
        peer = ip_address("192.0.2.1")
        wanted = SignIn(name=ALICE, secret=password, service=Service.IMAP, peer=peer)
        return await self._gate.admit(wanted, Unwatched())


async def _at_once(_seconds: float) -> None:
    """No refusal needs to take its time here."""


async def test_a_number_that_comes_again_after_a_restore_vouches_for_nothing(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        phone, door = (await here.mint("phone")).password, Door(here)
        back_up(here)
        await here.mint("tablet")
        await door.worker.start()
        assert isinstance(await door.admit(phone), Grant)
        number = (await here.store.feed_mark()).seq
        restore(here)
        done = await here.accounts.revoke(ALICE, "phone", OPERATOR)
        assert done.change.seq == number, "or this test shows nothing"
        assert (await door.admit(phone)).reason is Reason.REVOKED
        await door.worker.look()
        assert door.cuts == 1


async def test_who_signed_in_before_a_restore_is_cut_also_when_much_has_happened_since(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        phone, door = (await here.mint("phone")).password, Door(here)
        back_up(here)
        await here.mint("tablet")
        await door.worker.start()
        restore(here)
        await here.accounts.revoke(ALICE, "phone", OPERATOR)
        await here.mint("laptop")
        await door.worker.look()
        assert door.cuts == 1
        assert (await door.admit(phone)).reason is Reason.REVOKED
        await door.worker.look()
        assert door.cuts == 1


async def test_a_store_restored_to_the_same_moment_is_no_other_history(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        phone, door = (await here.mint("phone")).password, Door(here)
        await door.worker.start()
        assert isinstance(await door.admit(phone), Grant)
        back_up(here)
        restore(here)
        await door.worker.look()
        assert door.cuts == 0
        assert isinstance(await door.admit(phone), Grant)


async def test_a_report_of_the_other_history_is_no_answer_to_a_change_of_the_same_number(tmp_path):
    lock = WorkerLock(tmp_path / "workers")
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.mint("phone")
        door = Door(here, lock.name)
        await door.worker.start()
        back_up(here)
        first = (await here.accounts.revoke(ALICE, "phone", OPERATOR)).change
        await here.store.report(lock.name, first, 7)
        await here.store.report("w_dead", first, 5)
        restore(here)
        second = (await here.accounts.revoke(ALICE, "phone", OPERATOR)).change
        assert second.seq == first.seq, "or this test shows nothing"
        none = Reports(sessions_cut=0, silent_workers=1)
        assert await await_reports(here.store, tmp_path / "workers", second, wait_s=0.0) == none
        await door.worker.look()
        await door.worker.report()
        cut = Reports(sessions_cut=door.cuts, silent_workers=0)
        assert await await_reports(here.store, tmp_path / "workers", second) == cut
    lock.release()


@pytest.mark.parametrize("octets", [b"no database " * 20_000, b"", b"\xff" * 10_000])
async def test_a_file_that_was_damaged_in_place_is_read_anew_once_it_is_mended(tmp_path, octets):
    file = tmp_path / "gate.db"
    async with office(tmp_path) as here:
        await here.enrolled()
        phone, door = (await here.mint("phone")).password, Door(here)
        known = await here.store.feed_mark()
        with raw(tmp_path) as store:
            assert store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        whole = file.read_bytes()
        overwrite(file, octets)
        with pytest.raises(StoreUnavailable):
            await here.store.feed_mark()
        with pytest.raises(StoreUnavailable):
            await here.accounts.active(ALICE)
        overwrite(file, whole)
        assert await here.store.feed_mark() == known
        assert isinstance(await door.admit(phone), Grant)


def overwrite(file: Path, octets: bytes) -> None:
    """Change what the file holds; it stays the same file."""
    with file.open("r+b") as opened:
        opened.write(octets)
        opened.truncate(len(octets))
