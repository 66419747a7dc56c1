"""The program as a whole, and `init`: exit codes, lines on standard error, nothing left behind."""

import json
import os
import signal
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
        "finally: assert not {'sqlalchemy', 'twisted', 'proxy.server.serving'} & set(sys.modules)"
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
    assert {path.name for path in (config.parent / "data").iterdir()} == {"gate.db", "activity.db"}


def test_init_takes_names_and_says_where_things_are(tmp_path: Path) -> None:
    done = wicketgate("init", tmp_path / "w", "--host", "mail.example.org", "--host", "192.0.2.7", "--json")
    facts = json.loads(done.stdout)
    assert facts["names"][:2] == ["mail.example.org", "192.0.2.7"]
    assert Path(facts["ca_file"]).exists()
    assert wicketgate("-c", facts["config"], "check").exit_code == 0


def test_init_says_what_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    done = wicketgate("init", tmp_path / "my gate")
    assert f"export WICKETGATE_CONFIG='{tmp_path}/my gate/wicketgate.toml'" in done.stdout
    assert "\n  mail: 127.0.0.1:1993, 127.0.0.1:1143\n" in done.stdout
    assert "\n  sending: 127.0.0.1:1465, 127.0.0.1:1587\n" in done.stdout
    assert "\n  contacts and calendars: 127.0.0.1:8443\n" in done.stdout


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


def test_what_click_writes_in_several_lines_is_one() -> None:
    done = wicketgate("password", "create", "a@example.org", "--label", "x")
    assert done.stderr.splitlines() == [
        "error: Missing option '--scope'. Choose from: mail, contacts, events",
        "hint: see: wicketgate password create --help",
    ]


def test_a_near_miss_is_named() -> None:
    for wrong, right in (("acount", "account"), ("passwords", "password")):
        done = wicketgate(wrong, "list")
        assert done.exit_code == 2
        assert done.stderr.startswith(f"error: No such command '{wrong}'. Did you mean '{right}'?")


def test_nothing_said_is_a_question_for_help() -> None:
    done = wicketgate()
    assert done.exit_code == 2
    assert "Commands:" in done.output


def interrupted(loading: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that is sent Ctrl-C while it loads a module."""
    script = (
        "import os, signal, sys\n"
        f"{before}\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {loading!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from proxy.cli import main; main()"
    )
    command = [sys.executable, "-c", script, "account", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_ctrl_c_while_the_program_loads_ends_it_without_a_traceback() -> None:
    done = interrupted("proxy.cli.app")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_while_a_command_loads_is_told_as_later() -> None:
    done = interrupted("proxy.cli.accounts")
    assert done.returncode == 1
    assert done.stderr.strip() == "error: stopped before it was done"


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    done = interrupted("proxy.cli.app", before="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert done.returncode == 2
    assert "no config file was named" in done.stderr


def test_hints_and_next_steps_name_the_config_file_as_it_was_named(tmp_path: Path) -> None:
    assert wicketgate("init", tmp_path / "my gate").exit_code == 0
    file = tmp_path / "my gate" / "wicketgate.toml"
    here, add = f"wicketgate -c '{file}' account ", ["account", "add", "p@example.org", "--service"]
    assert f"add one with: {here}add EMAIL" in wicketgate("-c", file, "account", "list").stdout
    assert f"next: wicketgate -c '{file}' password create" in wicketgate("-c", file, *add).stdout
    assert f"hint: those there are: {here}list" in wicketgate("-c", file, "account", "show", "x").stderr
    environment = {"WICKETGATE_CONFIG": str(file)}
    done = CliRunner().invoke(program, ["account", "show", "x"], env=environment, prog_name="wicketgate")
    assert "hint: those there are: wicketgate account list" in done.stderr


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
