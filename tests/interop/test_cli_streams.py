"""Standard streams that are closed, full or gone: no traceback, and nothing counts as said that was not."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.app import program
from support.house import RUN, House, make_house

PRINTER = "printer@example.org"


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = make_house(tmp_path / "w")
    house.ask("account", "add", PRINTER, "--service")
    return house


def redirected(house: House, how: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does with these redirections."""
    command = ["/bin/sh", "-c", f'exec "$@" {how}', "sh", *RUN, "-c", str(house.file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def tried_to_mint(house: House, how: str) -> subprocess.CompletedProcess[str]:
    return redirected(
        house, how, "password", "create", PRINTER, "--label", "x", "--scope", "mail", "--operator"
    )


@pytest.mark.parametrize("how", [">&-", ">/dev/full"])
def test_an_answer_that_cannot_be_written(house: House, how: str) -> None:
    for command in (("account", "list"), ("account", "list", "--json"), ("check",)):
        done = redirected(house, how, *command)
        assert done.returncode == 1
        assert done.stderr.startswith("error: the answer cannot be written: ")
        assert done.stderr.count("\n") == 2


@pytest.mark.parametrize("how", [">&-", ">/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_password_that_cannot_be_written_was_not_shown(house: House, how: str) -> None:
    done = tried_to_mint(house, how)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [one["perhaps_never_shown"] for one in house.ask("password", "list", PRINTER)] == [True]


def test_a_password_is_not_written_into_the_store_by_a_closed_stream(house: House) -> None:
    tried_to_mint(house, ">&- 2>&-")
    assert redirected(house, "", "check").stdout.endswith("all is well\n")


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
def test_the_exit_code_tells_what_standard_error_cannot(house: House, how: str) -> None:
    assert redirected(house, how, "bogus").returncode == 2
    assert redirected(house, how, "account", "show", "nobody@example.org").returncode == 1
    done = redirected(house, how, "account", "list")
    assert (done.returncode, PRINTER in done.stdout) == (0, True)


def test_a_question_without_standard_input(house: House) -> None:
    done = redirected(house, "<&-", "account", "add", "a@example.org")
    assert done.returncode == 2
    assert "no terminal to ask on" in done.stderr


OMEGA = ("password", "create", PRINTER, "--label", "Ω", "--scope", "mail", "--operator")


def test_a_letter_the_terminal_lacks_does_not_lose_the_password(house: House) -> None:
    done = subprocess.run(
        [*RUN, "-c", house.file, *OMEGA],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (listed,) = house.ask("password", "list", PRINTER)
    assert done.stdout.startswith(b"\\u03a9 (mail)")
    assert f"    {listed['selector']}-".encode() in done.stdout
    assert listed["perhaps_never_shown"] is False


def test_a_password_in_letters_the_output_refuses_was_not_shown(house: House) -> None:
    done = CliRunner(charset="latin-1").invoke(program, ["-c", str(house.file), *OMEGA])
    assert done.exit_code == 1
    assert "was created and could not be shown\nhint: it is listed as perhaps never shown" in done.stderr
    assert [one["perhaps_never_shown"] for one in house.ask("password", "list", PRINTER)] == [True]
