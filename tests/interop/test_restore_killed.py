"""A restore killed at every step: the old store is there or the new one, and the same restore ends well.

The process kills itself when it is about to do something to a file for the nth time, so each step of ours can
come after a kill; a few are drawn for a run, all with `WICKETGATE_TESTS_LONG=1`. The one that Python does not
see, the writing of pages into the store, is killed from inside it.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auth.store.copies import copy
from support.house import House
from support.office import locked, raw
from support.running import WICKETGATE
from support.serving import make_gate
from support.waiting import eventually

PRINTER = "printer@example.org"
LONG = os.environ.get("WICKETGATE_TESTS_LONG") == "1"
DRAWN = 3
STOPPING = """
import os, signal, sys
at, folder = int(sys.argv.pop(1)), sys.argv.pop(1)
STEPS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "sqlite3.connect"}
done = 0
def step(event, arguments):
    global done
    if event in STEPS and any(folder in str(each) for each in arguments):
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(step)
from proxy.cli import main
try:
    main()
finally:
    print(done, file=sys.stderr)
"""
WRITING = """
import os, signal, sys
from pathlib import Path
from auth.store.placing import _place_over
staged, path = map(Path, sys.argv[1:])
_place_over(staged, path, (0, b""), 5, mark=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.fixture(scope="module")
def disaster(tmp_path_factory) -> tuple[House, Path]:
    """A store with an app password, a backup of it, and one more app password since."""
    folder = tmp_path_factory.mktemp("killed")
    house = make_gate(folder / "w")
    house.ask("account", "add", PRINTER, "--service")
    create = ("password", "create", PRINTER, "--scope", "mail", "--operator", "--label")
    house.ask(*create, "phone")
    house.ask("password", "list", PRINTER)  # which makes the activity file
    house.ask("backup", str(folder / "b"))
    house.ask(*create, "since")
    (house.file.parent / "data" / "activity.db").unlink()  # so that there is one to put back
    return house, folder / "b"


def data(house: House) -> Path:
    return house.file.parent / "data"


def damaged(house: House) -> None:
    (data(house) / "gate.db").write_bytes(b"no database " * 5_000)


def gone(house: House) -> None:
    (data(house) / "gate.db").unlink()


def as_it_is(house: House) -> None:
    """Nothing happened to it."""


def stopped_at(house: House, backup: Path, step: int) -> subprocess.CompletedProcess[str]:
    options = ("restore", backup, "--replace", "--yes", "--json")
    command = [sys.executable, "-c", STOPPING, str(step), data(house), "-c", house.file, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def there(house: House) -> str:
    """Say which store is there; anything between the old and the new one is neither."""
    path = data(house) / "gate.db"
    if not path.exists():
        return "none"
    if path.read_bytes().startswith(b"no database"):
        return "damaged"
    assert house.run("check").exit_code == 0
    with raw(data(house)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = {row["label"]: row["ended_why"] for row in house.ask("password", "history", PRINTER)}
    if rows == {"phone": None, "since": None}:
        return "old"
    assert rows == {"phone": "restored from a backup"}
    return "new"


@pytest.mark.parametrize(("happened", "before"), [(as_it_is, "old"), (damaged, "damaged"), (gone, "none")])
def test_killed_before_any_step_it_is_the_old_store_or_the_new_one(disaster, tmp_path, happened, before):
    first, backup = disaster
    house = first.copy(tmp_path / "whole")
    happened(house)
    whole = stopped_at(house, backup, 0)
    assert (whole.returncode, there(house)) == (0, "new"), whole.stderr
    steps, seed = int(whole.stderr.splitlines()[-1]), secrets.randbits(32)
    print(f"seed {seed}, {steps} steps")  # pytest shows it when the test fails
    drawn = range(1, steps + 1)
    for step in drawn if LONG else random.Random(seed).sample(drawn, DRAWN):
        house = first.copy(tmp_path / str(step))
        happened(house)
        assert stopped_at(house, backup, step).returncode == -signal.SIGKILL
        assert there(house) in {before, "new"}, step
        again = house.run("restore", str(backup), "--replace", "--yes", "--json")
        assert (again.exit_code, there(house)) == (0, "new"), (step, again.stderr)
        assert [path.name for path in data(house).iterdir() if path.name.startswith(".")] == []


def test_killed_while_pages_are_written_it_is_the_old_store(disaster, tmp_path):
    house = disaster[0].copy(tmp_path / "w")
    staged = tmp_path / "staged.db"
    copy(data(house) / "gate.db", staged, busy_s=1)
    with raw(tmp_path, "staged.db") as store:
        store.execute("UPDATE account SET email = 'other@example.org'")
    killed = subprocess.run([sys.executable, "-c", WRITING, staged, data(house) / "gate.db"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert there(house) == "old"


def test_killed_while_it_waits_for_the_store_it_is_the_old_one(disaster, tmp_path):
    house, backup = disaster[0].copy(tmp_path / "w"), disaster[1]
    with locked(data(house)), begun(house, backup) as process:
        asyncio.run(eventually(lambda: list(data(house).glob("gate.db.replaced-*"))))
        process.kill()
        process.wait(timeout=60)
    assert there(house) == "old"
    assert json.loads(house.run("restore", str(backup), "--replace", "--yes", "--json").stdout)["kept"]
    assert there(house) == "new"


def begun(house: House, backup: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [WICKETGATE, "-c", house.file, "restore", backup, "--replace", "--yes"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
