"""The program as a whole, `init` and `check`: exit codes, lines on standard error, nothing left unsaid."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli.app import COMMANDS, program

RUN = (sys.executable, "-c", "from proxy.cli import main; main()")


def wicketgate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, [str(one) for one in arguments], prog_name="wicketgate")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert wicketgate("init", tmp_path / "w").exit_code == 0
    return tmp_path / "w" / "wicketgate.toml"


def test_help_names_every_command_and_loads_none() -> None:
    script = (
        "import sys; from proxy.cli.app import program\n"
        "try: program.main(['--help'])\n"
        "finally: assert not {'sqlalchemy', 'twisted', 'proxy.server'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"demo", "serve"}))
def test_every_command_has_help(command: str) -> None:
    done = wicketgate(command, "--help")
    assert done.exit_code == 0
    assert "Usage: wicketgate" in done.output


def test_init_then_check_is_well(config: Path) -> None:
    done = wicketgate("-c", config, "check")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{config}: all is well\n"
    assert [path.name for path in (config.parent / "data").iterdir()] == []


def test_init_takes_names_and_says_where_things_are(tmp_path: Path) -> None:
    done = wicketgate("init", tmp_path / "w", "--host", "mail.example.org", "--host", "192.0.2.7", "--json")
    facts = json.loads(done.stdout)
    assert facts["names"][:2] == ["mail.example.org", "192.0.2.7"]
    assert Path(facts["ca_file"]).exists()
    assert wicketgate("-c", facts["config"], "check").exit_code == 0


def test_init_says_what_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    done = wicketgate("init", tmp_path / "my gate")
    assert f"export WICKETGATE_CONFIG='{tmp_path}/my gate/wicketgate.toml'" in done.stdout
    assert "it listens on 127.0.0.1:1993, 127.0.0.1:1143, with the built-in mailbox" in done.stdout


def test_init_overwrites_nothing(config: Path) -> None:
    before = config.read_bytes()
    done = wicketgate("init", config.parent)
    assert done.exit_code == 1
    assert "exists already" in done.stderr
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert config.read_bytes() == before


@pytest.mark.parametrize("exists", [False, True])
def test_an_init_that_finds_no_room_leaves_nothing_behind(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "w"
    if exists:
        folder.mkdir()
        (folder / "notes").touch()
    command = ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *RUN, "init", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the folder {folder} cannot be filled: file too large\nhint: ")
    assert [path.name for path in tmp_path.rglob("*")] == (["w", "notes"] if exists else [])
    assert wicketgate("init", folder).exit_code == 0
    assert {path.name for path in folder.iterdir()} - {"notes"} == {"wicketgate.toml", "tls", "keys", "data"}


def test_init_refuses_what_is_no_host(tmp_path: Path) -> None:
    done = wicketgate("init", tmp_path / "w", "--host", "a b")
    assert done.exit_code == 2
    assert "not a host name" in done.stderr
    assert not (tmp_path / "w").exists()


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
        ('address = "embedded"', 'address = "imap://x"', "upstream.imap.address"),
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
        'sign_in = { kind = "oauth2", user = "gate", secret_file = "none.secret" }\nca_file = "none.pem"'
    )
    change(config, 'address = "embedded"', f'address = "imaps://h"\n{sign_in}')
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
    (folder / "data").rmdir()
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


def test_no_config_file(tmp_path: Path) -> None:
    done = wicketgate("check")
    assert done.exit_code == 2
    assert "WICKETGATE_CONFIG" in done.stderr
    done = wicketgate("-c", tmp_path / "absent.toml", "account", "list")
    assert done.exit_code == 2
    assert "no such file" in done.stderr


def test_the_config_file_may_be_named_in_the_environment(config: Path) -> None:
    done = CliRunner().invoke(program, ["check"], env={"WICKETGATE_CONFIG": str(config)})
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["init"], ["account", "show"], ["password", "create", "a@b.c"], ["check", "--bogus"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    done = wicketgate(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "hint: see: wicketgate" in done.stderr
    assert done.stdout == ""


def test_a_near_miss_is_named() -> None:
    for wrong, right in (("acount", "account"), ("passwords", "password")):
        done = wicketgate(wrong, "list")
        assert done.exit_code == 2
        assert done.stderr.startswith(f"error: No such command '{wrong}'. Did you mean '{right}'?")


def test_nothing_said_is_a_question_for_help() -> None:
    done = wicketgate()
    assert done.exit_code == 2
    assert "Commands:" in done.output


def test_a_reader_that_has_gone(config: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*RUN, "-c", config, "check"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""
