"""`wicketgate check`: all that is wrong, in one run, and nothing that is not."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config.load import load
from config.scaffold import init_dir
from proxy.cli.app import program
from proxy.opening import make_store

IMAP = '[upstream.imap]\naddress = "'


def wicketgate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, [str(one) for one in arguments], prog_name="wicketgate")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = init_dir(tmp_path_factory.mktemp("first") / "w")
    asyncio.run(make_store(load(file)))
    return file


@pytest.fixture
def config(tmp_path: Path, first: Path) -> Path:
    """A copy of what `init` writes, with its store: keys and schema take longer than a test."""
    return shutil.copytree(first.parent, tmp_path / "w") / first.name


def test_check_says_everything_at_once(config: Path) -> None:
    text = (
        config.read_text()
        .replace("127.0.0.1:1993", "nowhere")
        .replace("app_passwords = 25", "app_passwords = 99")
    )
    config.write_text(text)
    done = wicketgate("-c", config, "check")
    assert done.exit_code == 2
    assert [line.split(": ")[2] for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "listen.imaps[0]",
        "policy.app_passwords",
    ]
    assert done.stderr.count("hint: ") == 2


def found(config: Path) -> list[str]:
    """Give the keys of what check finds wrong."""
    done = wicketgate("-c", config, "check", "--json")
    assert done.exit_code == 2, done.output
    problems = json.loads(done.stdout)["problems"]
    assert all(problem["what"] and problem["hint"] for problem in problems)
    return [problem["key"] for problem in problems]


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('data = "data"', 'data = "data"\nport = 993', "server.port"),
        ("app_passwords = 25", "app_passwords = 99", "policy.app_passwords"),
        ('key = "tls/server.key"', 'key = "tls/server.key"\nchain = "x"', "tls.certificate[0].chain"),
        ("[keys]", "[keys]\nold = 1", "keys.old"),
        ('public_host = "localhost"', 'public_host = "elsewhere.org"', "tls.certificate"),
        (f"{IMAP}embedded", f"{IMAP}imap://x", "upstream.imap.address"),
    ],
)
def test_a_mistake_in_the_file_hides_nothing_around_it(config: Path, old: str, new: str, key: str) -> None:
    folder = config.parent
    change(config, old, new)
    (folder / "tls" / "server.pem").unlink()
    next((folder / "keys").iterdir()).chmod(0o444)
    (folder / "data").chmod(0o777)
    (folder / "data" / "gate.db").write_bytes(b"not a database" * 100)
    (folder / "data" / "activity.db").write_bytes(b"not a database" * 100)
    assert found(config) == [
        key,
        "tls.certificate[0].certificate",
        f"keys.files.{next((folder / 'keys').iterdir()).stem}",
        "server.data",
        "store.url",
        "store.activity_url",
    ]


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ('data = "data"', 'data = " "', ["server.data"]),
        ("# [store]", '[store]\nurl = "mysql:x"', ["store.url"]),
        ("# [store]", '[store]\nurll = "sqlite:elsewhere.db"', ["store.urll"]),
        ("[server]", 'store = "sqlite:x"\n[server]', ["store"]),
    ],
)
def test_no_default_is_looked_at_in_place_of_what_is_wrong(
    config: Path, old: str, new: str, keys: list[str]
) -> None:
    (config.parent / "data" / "gate.db").write_bytes(b"not a database" * 100)
    change(config, old, new)
    assert found(config) == keys


def test_what_stands_beside_a_mistake_is_looked_at(config: Path) -> None:
    sign_in = (
        'sign_in = { kind = "kerberos", user = "gate", secret_file = "none.secret" }\nca_file = "none.pem"'
    )
    change(config, f'{IMAP}embedded"', f'{IMAP}imaps://h"\n{sign_in}')
    change(config, 'certificate = "tls/server.pem"\n', "")
    (config.parent / "tls" / "server.key").chmod(0o444)
    assert found(config) == [
        "tls.certificate[0].certificate",
        "upstream.imap.sign_in.kind",
        "tls.certificate[0].key",
        "upstream.imap.sign_in.secret_file",
        "upstream.imap.ca_file",
    ]


@pytest.mark.parametrize(
    "text", ["tls = 1\nkeys = 2\nserver = 3\nupstream = 4\nstore = 5", "tls = { certificate = [1] }"]
)
def test_a_file_of_nothing_but_mistakes_is_no_fault_of_ours(config: Path, text: str) -> None:
    config.write_text(text, encoding="utf-8")
    assert "server" in found(config)


@pytest.mark.parametrize(
    ("take_away", "what"),
    [
        (shutil.rmtree, "is not there"),
        (lambda data: (data / "gate.db").unlink(), "is not there"),
        (lambda data: (data / "gate.db").write_bytes(b""), "is empty"),
    ],
)
def test_a_store_that_was_taken_away_is_no_empty_store(config: Path, take_away, what: str) -> None:
    take_away(config.parent / "data")
    left = sorted((config.parent / "data").glob("*"))
    for command in (("check",), ("account", "list"), ("audit",), ("serve",)):
        done = wicketgate("-c", config, *command)
        assert done.exit_code == 2, done.output
        assert f"store.url: {config.parent / 'data' / 'gate.db'} {what}\n" in done.stderr
        assert "hint: put it back, or mount its disk; to begin with an empty one: wicketgate -c " in (
            done.stderr
        )
        assert done.stderr.count("error: ") == 1
    assert sorted((config.parent / "data").glob("*")) == left, "nothing was made"
    done = wicketgate("-c", config, "account", "add", "printer@example.org", "--service")
    assert done.exit_code == 0, done.stderr
    assert ("there is no store yet; a new one is made" in done.stderr) is (what == "is not there")
    assert wicketgate("-c", config, "check").exit_code == 0


def test_check_looks_at_files_and_store(config: Path) -> None:
    folder = config.parent
    (folder / "tls" / "server.pem").unlink()
    next((folder / "keys").iterdir()).chmod(0o444)
    (folder / "data" / "gate.db").write_bytes(b"not a database" * 100)
    done = wicketgate("-c", config, "check", "--json")
    assert done.exit_code == 2
    facts = json.loads(done.stdout)
    assert not facts["ok"]
    assert {problem["key"] for problem in facts["problems"]} == {
        "tls.certificate[0].certificate",
        f"keys.files.{next((folder / 'keys').iterdir()).stem}",
        "store.url",
    }
    assert all(problem["what"] and problem["hint"] for problem in facts["problems"])


def test_check_goes_on_where_a_folder_cannot_be_looked_at(config: Path) -> None:
    folder = config.parent
    shutil.rmtree(folder / "data")
    (folder / "data").symlink_to("data")
    (folder / "tls" / "server.pem").unlink()
    done = wicketgate("-c", config, "check", "--json")
    assert done.exit_code == 2, done.output
    problems = json.loads(done.stdout)["problems"]
    assert [problem["key"] for problem in problems] == ["tls.certificate[0].certificate", "server.data"]
    assert "cannot be looked at" in problems[1]["what"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("name", ["gate.db", "gate.db-shm", "activity.db"])
def test_check_finds_what_root_has_made_in_the_servers_folder(config: Path, name: str) -> None:
    data = config.parent / "data"
    assert wicketgate("-c", config, "account", "list").exit_code == 0
    for beside in ("activity.db", "gate.db-wal", "gate.db-shm"):
        (data / beside).touch(mode=0o600)
    os.chown(data, 1000, 1000)
    for file in data.iterdir():
        os.chown(file, *(0, 0) if file.name == name else (1000, 1000))
    done = wicketgate("-c", config, "check")
    assert done.exit_code == 2
    assert f"{data / name} belongs to root" in done.stderr
    assert f"hint: run: chown 1000 {data / name}\n" in done.stderr
    assert done.stderr.count("error: ") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_root_has_made_hides_nothing_else(config: Path) -> None:
    data = config.parent / "data"
    assert wicketgate("-c", config, "account", "add", "a@example.org", "--service").exit_code == 0
    (data / "activity.db").touch(mode=0o600)
    os.chown(data, 1000, 1000)
    os.chown(data / "gate.db", 1000, 1000)
    key = next((config.parent / "keys").iterdir())
    key.chmod(0o600)
    key.write_text("ab" * 32)
    key.chmod(0o400)
    assert found(config) == ["store.activity_url", f"keys.files.{key.stem}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any file")
def test_check_finds_a_store_that_cannot_be_written_to(config: Path) -> None:
    assert wicketgate("-c", config, "account", "list").exit_code == 0
    (config.parent / "data" / "gate.db").chmod(0o400)
    done = wicketgate("-c", config, "check")
    assert done.exit_code == 2
    assert "gate.db cannot be written to" in done.stderr
