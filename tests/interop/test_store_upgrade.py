"""Stores of earlier versions are brought up when they are opened, with all that is in them."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from ipaddress import ip_network

import pytest

from auth.store.errors import StoreUnavailable
from auth.store.migrate import History
from scopes.model import Limits
from support.office import ALICE, BOB, OPERATOR, locked, office, raw
from support.old_stores import KEYS, old_store, revision_of

OPEN = """
import sys
from pathlib import Path
from auth.store.migrate import History, migrate
migrate(Path(sys.argv[1]), History.GATE, create=False, busy_s=20)
"""


async def test_what_was_in_the_first_store_is_there_and_what_is_new_works(tmp_path):
    old_store(tmp_path)
    assert revision_of(tmp_path) == "0001"
    async with office(tmp_path, keys=KEYS) as here:
        assert revision_of(tmp_path) == History.GATE.head
        assert await here.store.feed_mark() == (41, b"\1")
        account = await here.accounts.find("al@example.org")
        assert (account.id, account.email, account.aliases) == ("ac_old", ALICE, ("al@example.org",))
        (row,) = await here.accounts.history(ALICE)
        assert (row.id, row.verifier_hash, row.revoked_at) == ("ap_old", "hash", 9)
        assert row.limits == Limits(networks=(ip_network("192.0.2.0/24"),))
        assert [entry.deed for entry in await here.accounts.audit(ALICE)] == ["app password revoked"]
        await here.accounts.senders.add(ALICE, "*@example.net", OPERATOR)
        assert await here.store.sender_addresses("ac_old") == (ALICE, "al@example.org", "*@example.net")
        await here.person(BOB)


async def test_the_triggers_of_the_first_store_still_hold(tmp_path):
    old_store(tmp_path)
    async with office(tmp_path, keys=KEYS):
        pass
    with raw(tmp_path) as connection:
        for statement in (
            "UPDATE app_password SET revoked_at = NULL, revoked_why = NULL",
            "DELETE FROM audit",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)


def test_several_processes_bring_one_store_up_at_once(tmp_path):
    old_store(tmp_path)
    running = [subprocess.Popen([sys.executable, "-c", OPEN, tmp_path / "gate.db"]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0] * 3
    with closing(sqlite3.connect(tmp_path / "gate.db")) as connection:
        assert connection.execute("SELECT seq FROM feed").fetchall() == [(41,)]
        assert connection.execute("SELECT * FROM account_sender").fetchall() == []


async def test_a_way_up_that_fails_leaves_the_old_store_as_it_was(tmp_path):
    old_store(tmp_path)
    with raw(tmp_path) as connection:
        connection.execute("CREATE TABLE account_sender (mine TEXT)")
    with pytest.raises(StoreUnavailable):
        async with office(tmp_path, keys=KEYS):
            pass
    assert revision_of(tmp_path) == "0001"
    with raw(tmp_path) as connection:
        connection.execute("DROP TABLE account_sender")
    async with office(tmp_path, keys=KEYS) as here:
        assert (await here.accounts.find(ALICE)).id == "ac_old"


async def test_an_old_store_that_somebody_holds_is_an_outage_and_stays(tmp_path):
    old_store(tmp_path)
    with locked(tmp_path), pytest.raises(StoreUnavailable, match="BUSY"):
        async with office(tmp_path, keys=KEYS, busy_s=0.1):
            pass
    assert revision_of(tmp_path) == "0001"
