"""`wicketgate restore` on the command line: what it says first, what it refuses, what it puts where."""

import hashlib
import json
import os
import shutil
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.keys import new_key_text
from config.load import load
from proxy.archive.backup import vouch
from proxy.archive.container import write
from proxy.opening import key_ring
from proxy.worker import WorkerLock
from support.backups import ALICE, PRINTER, data, furnished_house, key_file, left, named, passphrase, refused
from support.house import House
from support.office import raw
from support.running import WICKETGATE
from support.terminal import on_terminal


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> House:
    return furnished_house(tmp_path_factory.mktemp("backup") / "w")


@pytest.fixture
def house(furnished: House, tmp_path: Path) -> House:
    return furnished.copy(tmp_path / "w")


def test_a_store_that_is_there_is_replaced_only_when_told(house: House) -> None:
    said = refused(house, "restore", named(house, "plain"), "--yes")
    assert f"there is a store already: {data(house) / 'gate.db'}\nhint: --replace" in said


def test_a_restore_revokes_everything_and_says_so_first(house: House) -> None:
    house.ask("account", "add", "new@example.org", "--service")
    done = house.run("restore", named(house, "plain"), "--replace", "--yes")
    assert done.exit_code == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("restored 2 accounts as of 20")
    assert first.endswith("; 2 app passwords revoked")
    kept = Path(second.removeprefix("  the store before: "))
    assert kept.parent == data(house)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "note: is not in the backup, and will be gone: new@example.org\n" in done.stderr
    assert (
        ": 2 app passwords of the backup will be revoked, the store that is there will be replaced\n"
        in done.stderr
    )
    for email in (ALICE, PRINTER):
        assert house.ask("password", "list", email) == []
        (row,) = house.ask("password", "history", email)
        assert row["ended_why"] == "restored from a backup"
        assert house.ask("audit", email)[-1]["deed"] == "restored from a backup"
    assert house.run("check").exit_code == 0
    assert left(house) == set()


def test_a_trusted_backup_lists_what_comes_back_and_what_does_not(house: House) -> None:
    house.ask("password", "revoke", ALICE, "app")
    done = house.run("restore", named(house, "plain"), "--replace", "--trust-backup", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "note: comes back alive: printer@example.org, app (" in done.stderr
    assert "note: stays revoked, as the present store knows: alice@example.org, app (" in done.stderr
    assert house.ask("password", "list", ALICE) == []
    assert len(house.ask("password", "list", PRINTER)) == 1


def test_without_a_store_it_says_what_cannot_be_known(house: House) -> None:
    house.ask("password", "revoke", ALICE, "app")
    shutil.rmtree(data(house))
    done = house.run("restore", named(house, "plain"), "--trust-backup", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "note: there is no store, so what was revoked or changed after 20" in done.stderr
    assert done.stderr.count("comes back alive") == 2
    assert "the store before" not in done.stdout


def test_a_damaged_store_is_kept_and_replaced(house: House) -> None:
    harmed = b"no database " * 5_000
    (data(house) / "gate.db").write_bytes(harmed)
    done = house.run("restore", named(house, "plain"), "--replace", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    assert "the store that is there cannot be read" in done.stderr
    assert Path(json.loads(done.stdout)["kept"]).read_bytes() == harmed
    assert house.run("check").exit_code == 0


def test_a_damaged_store_that_can_still_tell_is_believed_with_a_word_of_caution(house: House) -> None:
    house.ask("password", "revoke", ALICE, "app")
    with raw(data(house)) as store:
        (page,) = store.execute("SELECT rootpage FROM sqlite_master WHERE name = 'failure'").fetchone()
        (octets,) = store.execute("PRAGMA page_size").fetchone()
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (data(house) / "gate.db").open("r+b") as file:
        file.seek((page - 1) * octets)
        file.write(b"?" * octets)
    done = house.run("restore", named(house, "plain"), "--replace", "--trust-backup", "--yes")
    assert done.exit_code == 0, done.stderr
    assert "note: stays revoked, as the present store knows: alice@example.org, app (" in done.stderr
    assert "what it tells of revocations may not be all of them" in done.stderr


def test_it_asks_and_what_is_not_yes_is_no(house: House) -> None:
    assert "say --yes" in refused(house, "restore", named(house, "plain"), "--replace", code=2)
    command = [WICKETGATE, "-c", house.file, "restore", named(house, "plain"), "--replace"]
    done = on_terminal(command, [("Go on? [y/N]", "")])
    assert (done.code, "nothing was changed" in done.screen) == (1, True)
    assert len(house.ask("password", "list", ALICE)) == 1
    assert on_terminal(command, [("Go on? [y/N]", "y")]).code == 0


def test_a_running_gate_is_not_restored_under(house: House) -> None:
    lock = WorkerLock(data(house) / "workers")
    said = refused(house, "restore", named(house, "plain"), "--replace", "--yes")
    assert "error: the gate is running: 1 worker of it\nhint: stop it first" in said
    lock.release()
    assert house.run("restore", named(house, "plain"), "--replace", "--yes").exit_code == 0


def test_another_key_is_named(house: House) -> None:
    file = key_file(house)
    file.unlink()
    file.write_text(new_key_text())
    file.chmod(0o400)
    for name in ("plain", "whole"):
        said = refused(house, "restore", named(house, name), "--replace", "--yes", code=2)
        assert f"keys.files.{file.stem}: {file} is not the key this store's secrets were made with" in said


def test_a_key_of_another_name_is_missing(house: House) -> None:
    old = key_file(house)
    house.file.write_text(house.file.read_text("utf-8").replace(old.stem, "other"), "utf-8")
    old.with_stem("other").write_text(new_key_text())
    old.with_stem("other").chmod(0o400)
    said = refused(house, "restore", named(house, "plain"), "--replace", "--yes", code=2)
    assert f"keys.files.{old.stem}: is missing, and secrets in the store were made with it" in said


@pytest.mark.parametrize("at", [0, 600, 30_000, -1_600, -1])
def test_damage_is_found(house: House, at: int) -> None:
    octets = bytearray((house.file.parent / "plain").read_bytes())
    octets[at] ^= 0xFF
    (house.file.parent / "harmed").write_bytes(octets)
    said = refused(house, "restore", named(house, "harmed"), "--replace", "--yes")
    assert f"{named(house, 'harmed')} cannot be restored: it is " in said


def test_what_somebody_else_sealed_is_not_opened(house: House) -> None:
    """Whoever can write to the backups changes an address in it, and makes the digest fit."""
    octets = (house.file.parent / "plain").read_bytes()
    changed = octets.replace(b"alice@example.org", b"mallo@example.org")
    assert changed != octets
    (house.file.parent / "forged").write_bytes(resealed(changed))
    said = refused(house, "restore", named(house, "forged"), "--replace", "--yes")
    assert "it was not written by this gate, or somebody changed it afterwards" in said


def resealed(octets: bytes) -> bytes:
    """Make the digest fit the octets, which the key's does not."""
    start = octets.rindex(b"seal\0")
    digest = hashlib.sha256(octets[:start]).hexdigest().encode()
    field = octets.index(b'"sha256": "', start) + len(b'"sha256": "')
    return octets[:field] + digest + octets[field + 64 :]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format", 2, "it was made by wicketgate 9.0, in a form that this version cannot read"),
        ("gate", {"member": "gate.db", "revision": "9999"}, "it was made by wicketgate 9.0, whose store"),
        ("activity", {"member": "activity.db", "revision": "9999"}, "whose store this version does not know"),
        ("counts", "many", "what it says of itself cannot be understood"),
    ],
)
def test_what_a_later_version_made_is_refused(house: House, key: str, value: object, words: str) -> None:
    with tarfile.open(named(house, "plain")) as tar:
        members: dict[str, Any] = {member.name: tar.extractfile(member).read() for member in tar}
    del members["seal"]
    manifest = json.loads(members["manifest.json"]) | {"made_by": "wicketgate 9.0", key: value}
    members["manifest.json"] = json.dumps(manifest).encode()
    keys = key_ring(load(house.file))
    with Path(named(house, "later")).open("wb") as file:
        vouched = partial(vouch, keys, keys.current_id)
        write(file, members, 0, vouched)
    assert words in refused(house, "restore", named(house, "later"), "--replace", "--yes")


class _Strange(bytes):
    """A digest that is none."""

    def hex(self, *_: Any) -> str:
        return "é" * 64


@pytest.mark.parametrize(
    ("manifest", "vouched", "words"),
    [
        (b'{"format":' + b"[" * 1_000_000, bytes(32), "it is no backup of Wicketgate"),
        (None, _Strange(32), "it is damaged"),
    ],
    ids=["deep", "strange"],
)
def test_what_nobody_writes_is_no_fault_of_ours(
    house: House, manifest: bytes | None, vouched: bytes, words: str
) -> None:
    with tarfile.open(named(house, "plain")) as tar:
        members: dict[str, Any] = {member.name: tar.extractfile(member).read() for member in tar}
    del members["seal"]
    members["manifest.json"] = manifest or members["manifest.json"]
    with Path(named(house, "odd")).open("wb") as file:
        write(file, members, 0, lambda _: (key_file(house).stem, vouched))
    said = refused(house, "restore", named(house, "odd"), "--replace", "--yes")
    assert f"{named(house, 'odd')} cannot be restored: {words}" in said


def test_keys_and_certificates_are_put_back_where_they_are_missing(house: House, tmp_path: Path) -> None:
    machine = tmp_path / "new"
    machine.mkdir()
    (machine / "wicketgate.toml").write_bytes(house.file.read_bytes())
    there = House(machine / "wicketgate.toml")
    file, whole = passphrase(tmp_path), named(house, "whole")
    done = there.run("restore", whole, "--yes")
    assert (done.exit_code, "hint: say --with-keys: the backup holds it" in done.stderr) == (2, True)
    wrong = passphrase(house.file.parent, "six other words by dice")
    done = there.run("restore", whole, "--yes", "--with-keys", "--passphrase-file", wrong)
    assert (done.exit_code, "the passphrase is wrong" in done.stderr) == (1, True)
    assert [path.name for path in machine.rglob("*") if path.is_file()] == ["wicketgate.toml"]
    written = there.ask("restore", whole, "--yes", "--with-keys", "--passphrase-file", file)["files_written"]
    names = [f"keys/{key_file(house).name}", "tls/server.key", "tls/server.pem"]
    assert sorted(written) == [str(machine / name) for name in names]
    for name, mode in zip(names, (0o400, 0o400, 0o644), strict=True):
        assert (machine / name).read_bytes() == (house.file.parent / name).read_bytes()
        assert (machine / name).stat().st_mode & 0o777 == mode
    assert there.run("check").exit_code == 0
    assert len(there.ask("password", "history", ALICE)) == 1


def test_no_key_that_is_there_is_written_over(house: House) -> None:
    key = key_file(house).read_bytes()
    other = Path(named(house, "tls/server.key"))
    other.chmod(0o600)
    other.write_bytes(b"a newer key")
    file = passphrase(house.file.parent)
    answer = house.ask(
        "restore", named(house, "whole"), "--replace", "--yes", "--with-keys", "--passphrase-file", file
    )
    assert answer["files_written"] == []
    assert (key_file(house).read_bytes(), other.read_bytes()) == (key, b"a newer key")


def test_a_backup_without_keys_has_none_to_give(house: House) -> None:
    file = passphrase(house.file.parent)
    plain = named(house, "plain")
    said = refused(house, "restore", plain, "--replace", "--yes", "--with-keys", "--passphrase-file", file)
    assert "it holds no keys" in said


def test_root_makes_no_store_in_another_users_folder(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is refused")
    os.chown(data(house), 65_534, 65_534)
    said = refused(house, "restore", named(house, "plain"), "--replace", "--yes", code=2)
    assert "root would make a store there that this user cannot open" in said


def test_root_makes_no_folder_for_a_store_in_another_users_folder(house: House) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is refused")
    shutil.rmtree(data(house))
    os.chown(house.file.parent, 65_534, 65_534)
    done = house.run("restore", named(house, "plain"), "--yes")
    assert done.exit_code == 2
    assert f"{house.file.parent} belongs to user 65534" in done.stderr
    assert not data(house).exists()


def test_a_history_that_can_be_read_stays(house: House) -> None:
    (data(house) / "activity.db").unlink(missing_ok=True)
    house.ask("password", "list", ALICE)  # which makes the file
    house.ask("backup", named(house, "b"))
    with raw(data(house), "activity.db") as activity:
        activity.execute("INSERT INTO last_use VALUES ('ap_x', 'imap', 'since', 7, '')")
    house.ask("restore", named(house, "b"), "--replace", "--yes")
    with raw(data(house), "activity.db") as activity:
        assert activity.execute("SELECT client_name FROM last_use").fetchall() == [("since",)]
    (data(house) / "activity.db").write_bytes(b"no database " * 1_000)
    house.ask("restore", named(house, "b"), "--replace", "--yes")
    with raw(data(house), "activity.db") as activity:
        assert activity.execute("SELECT client_name FROM last_use").fetchall() == []


def test_a_history_elsewhere_is_put_back_there(house: House, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    history = tmp_path / "elsewhere" / "history.db"
    text = house.file.read_text("utf-8").replace(
        "[policy.hashing]", f'[store]\nactivity_url = "sqlite:{history}"\n[policy.hashing]'
    )
    house.file.write_text(text, "utf-8")
    house.ask("password", "list", ALICE)
    house.ask("backup", named(house, "b"))
    history.unlink()
    house.ask("restore", named(house, "b"), "--replace", "--yes")
    assert [path.name for path in history.parent.iterdir()] == ["history.db"]
