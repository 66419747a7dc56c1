"""`wicketgate backup` on the command line: what it writes, what it says, what it refuses and leaves."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support.backups import (
    ALICE,
    PASSPHRASE,
    data,
    furnished_house,
    key_file,
    left,
    named,
    passphrase,
    refused,
)
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


def test_a_backup_is_a_private_tar_of_what_it_says(house: House) -> None:
    done = house.run("backup", named(house, "b"))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [
        "  store     2 accounts, 2 active app passwords",
        "  history   of sign-ins and last use",
        "  files     the config file, tls.certificate[0].certificate",
        "  secrets   none",
    ]
    assert f"keep copies elsewhere: {named(house, 'tls/server.key')}, {key_file(house)}" in done.stderr
    assert (house.file.parent / "b").stat().st_mode & 0o777 == 0o600
    with tarfile.open(named(house, "b")) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    assert list(members) == [
        *("manifest.json", "wicketgate.toml", "files/tls.certificate[0].certificate"),
        *("gate.db", "activity.db", "seal"),
    ]
    assert members["wicketgate.toml"] == house.file.read_bytes()
    manifest = json.loads(members["manifest.json"])
    assert manifest["counts"] == {"accounts": 2, "app_passwords": 2}
    assert [key["id"] for key in manifest["keys"]] == [key_file(house).stem]
    assert left(house) == set()


def test_secrets_lie_in_it_under_the_passphrase_alone(house: House) -> None:
    octets = (house.file.parent / "whole").read_bytes()
    key = key_file(house).read_bytes().strip()
    secrets = (key, bytes.fromhex(key.decode()), PASSPHRASE.encode(), b"PRIVATE KEY")
    assert [secret for secret in secrets if secret in octets] == []
    assert b"secrets.sealed" in octets


def test_nothing_that_was_deleted_goes_along(house: House) -> None:
    house.ask("account", "alias", "add", ALICE, "a-name-taken-back")
    house.ask("account", "alias", "remove", ALICE, "a-name-taken-back")
    with raw(data(house)) as store:
        store.execute("DROP TRIGGER audit_stays")
        store.execute("DELETE FROM audit WHERE detail = 'a-name-taken-back'")
    house.ask("backup", named(house, "b"))
    assert b"a-name-taken-back" not in (house.file.parent / "b").read_bytes()


def test_a_name_that_is_taken_is_replaced_only_by_force(house: House) -> None:
    taken = house.file.parent / "taken"
    taken.write_bytes(b"what was there")
    assert "is there already" in refused(house, "backup", named(house, "taken"))
    assert taken.read_bytes() == b"what was there"
    house.ask("backup", named(house, "taken"), "--force")
    assert tarfile.is_tarfile(taken)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-",), 2, "not written to standard output"),
        (("{}/none/b",), 1, "there is no folder"),
        (("{}/data",), 1, "is not a file"),
        (("{}/data", "--force"), 1, "is not a file"),
        (("{}/b", "--with-keys"), 2, "there is no terminal to ask on"),
        (("{}/b", "--passphrase-file", "x"), 2, "--passphrase-file goes with --with-keys"),
    ],
)
def test_what_cannot_be_written_is_refused(
    house: House, arguments: tuple[str, ...], code: int, words: str
) -> None:
    given = [word.format(house.file.parent) for word in arguments]
    assert words in refused(house, "backup", *given, code=code)


def test_a_short_passphrase_is_refused(house: House) -> None:
    file = passphrase(house.file.parent, "too short")
    said = refused(house, "backup", named(house, "b"), "--with-keys", "--passphrase-file", file)
    assert "the passphrase is too short\nhint: take 12 characters" in said


def test_a_passphrase_is_asked_for_twice(house: House) -> None:
    command = [WICKETGATE, "-c", house.file, "backup", named(house, "b"), "--with-keys"]
    done = on_terminal(command, [("Passphrase", PASSPHRASE), ("again", PASSPHRASE + "x")])
    assert done.code == 1
    assert "the two passphrases differ" in done.screen
    assert not Path(named(house, "b")).exists()
    assert on_terminal(command, [("Passphrase", PASSPHRASE), ("again", PASSPHRASE)]).code == 0
    assert PASSPHRASE not in done.screen


def test_a_secret_that_cannot_be_read_stops_a_backup_with_keys_alone(house: House) -> None:
    Path(named(house, "tls/server.key")).unlink()
    file = passphrase(house.file.parent)
    said = refused(house, "backup", named(house, "b"), "--with-keys", "--passphrase-file", file, code=2)
    assert "server.key cannot be read: no such file" in said
    Path(named(house, "tls/server.pem")).unlink()
    done = house.run("backup", named(house, "b"))
    assert done.exit_code == 0
    assert "tls.certificate[0].certificate is not in it" in done.stderr


def test_an_activity_file_that_is_damaged_is_left_out(house: House) -> None:
    (data(house) / "activity.db").write_bytes(b"no database " * 1_000)
    done = house.run("backup", named(house, "b"))
    assert done.exit_code == 0
    assert "history of sign-ins are not in it, for they cannot be read" in done.stderr


def test_what_the_built_in_servers_keep_is_said_to_be_missing(house: House) -> None:
    (data(house) / "mail").mkdir()
    done = house.run("backup", named(house, "b"))
    said = f"note: what the built-in servers keep is not in it; copy it apart: {data(house) / 'mail'}\n"
    assert done.stderr.endswith(said)


def test_what_a_killed_backup_left_is_taken_away_by_the_next(house: House) -> None:
    killed = house.file.parent / ".wicketgate-unfinished-k1ll3d__"
    killed.mkdir(mode=0o700)
    (killed / "gate.db").write_bytes(b"half a copy")
    house.ask("backup", named(house, "b"))
    assert left(house) == set()


def test_a_full_disk_leaves_no_backup(house: House) -> None:
    limit = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (65536, 65536))"
    code = f"{limit}; from proxy.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "-c", house.file, "backup", named(house, "b")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert not Path(named(house, "b")).exists()
    assert left(house) == set()
