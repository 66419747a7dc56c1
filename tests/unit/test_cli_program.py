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


def test_init_overwrites_nothing(config: Path) -> None:
    before = config.read_bytes()
    done = wicketgate("init", config.parent)
    assert done.exit_code == 1
    assert "exists already" in done.stderr
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert config.read_bytes() == before


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
