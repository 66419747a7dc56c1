"""Keys that are not those the store was filled with: every command says so and does nothing."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.authority import issue
from config.keys import new_key_text
from support.house import RUN, House, make_house

ALICE = "alice@example.org"
COMMANDS = [
    ("account", "list"),
    ("account", "show", ALICE),
    ("account", "disable", ALICE, "--yes"),
    ("password", "list", ALICE),
    ("password", "create", ALICE, "--label", "x", "--scope", "mail", "--operator"),
    ("password", "revoke-all", ALICE, "--yes"),
    ("audit",),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = make_house(tmp_path_factory.mktemp("keys") / "w")
    made.add(ALICE)
    assert made.run("check").exit_code == 0
    return made


@pytest.fixture
def house(filled: House, tmp_path: Path) -> House:
    return filled.copy(tmp_path / "w")


def key_file(house: House) -> Path:
    (file,) = (house.file.parent / "keys").iterdir()
    return file


def write_key(file: Path, octets: bytes) -> None:
    file.unlink(missing_ok=True)
    file.write_bytes(octets)
    file.chmod(0o400)


def rename_key(house: House, name: str) -> None:
    """Give the same key another id."""
    old = key_file(house)
    text = house.file.read_text(encoding="utf-8")
    assert text.count(old.stem) == 3
    house.file.write_text(text.replace(old.stem, name), encoding="utf-8")
    old.rename(old.with_stem(name))


def test_check_names_the_file_that_holds_another_key(house: House) -> None:
    file = key_file(house)
    write_key(file, new_key_text().encode())
    done = house.run("check", "--json")
    assert done.exit_code == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem == {
        "file": str(house.file),
        "key": f"keys.files.{file.stem}",
        "what": f"{file} is not the key this store's secrets were made with",
        "hint": "put the file back from your copy; a new key is added under a name of its own",
    }


def test_check_names_the_key_that_is_missing(house: House) -> None:
    before = key_file(house).stem
    rename_key(house, "other")
    done = house.run("check")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"error: {house.file}: keys.files.{before}: is missing, and secrets in the store were made with it",
        "hint: name that key's file again, from your copy where it is lost",
    ]


def test_check_says_it_beside_all_else(house: House) -> None:
    write_key(key_file(house), new_key_text().encode())
    (house.file.parent / "tls" / "server.pem").unlink()
    (house.file.parent / "data" / "activity.db").write_bytes(b"not a database" * 100)
    problems = json.loads(house.run("check", "--json").stdout)["problems"]
    assert [problem["key"] for problem in problems] == [
        "tls.certificate[0].certificate",
        f"keys.files.{key_file(house).stem}",
        "store.activity_url",
    ]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_works_with_another_key(house: House, arguments: tuple[str, ...]) -> None:
    good = key_file(house).read_bytes()
    write_key(key_file(house), new_key_text().encode())
    done = house.run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    error, hint = done.stderr.splitlines()
    assert "is not the key this store's secrets were made with" in error
    assert hint.startswith("hint: put the file back")
    write_key(key_file(house), good)
    assert house.ask("account", "show", ALICE)["state"] == "enabled", "nothing was done"


@pytest.mark.parametrize("expired", [False, True])
def test_serve_does_not_start_and_says_everything(house: House, expired: bool) -> None:
    write_key(key_file(house), new_key_text().encode())
    if expired:
        issue(house.file.parent / "tls", ["localhost"], now=datetime(2020, 1, 1, tzinfo=UTC))
    done = subprocess.run(
        [*RUN, "-c", house.file, "serve"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not the key this store's secrets were made with\nhint: put the file back" in done.stderr
    assert ("expired on" in done.stderr) is expired


def test_check_without_a_store_binds_no_key(tmp_path: Path) -> None:
    house = make_house(tmp_path / "w")
    (house.file.parent / "data" / "gate.db").unlink()
    assert house.run("check").exit_code == 2
    write_key(key_file(house), new_key_text().encode())
    assert house.run("account", "add", "printer@example.org", "--service").exit_code == 0
    write_key(key_file(house), new_key_text().encode())
    assert house.run("account", "list").exit_code == 2
