"""Passwords from files, and what happens where nobody can be asked."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from proxy.cli.output import Failure, Misuse
from proxy.cli.questions import ask_hidden, confirm, read_password


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "password"


def test_one_line_without_its_end(file: Path) -> None:
    for octets, password in ((b"a b \n", "a b "), ("pä\r\n".encode(), "pä"), (b"x", "x")):
        file.write_bytes(octets)
        assert read_password(str(file)).reveal() == password


@pytest.mark.parametrize("octets", [b"", b"\n", b"a\nb\n", b"a\0", b"\xff", b"x" * 4097])
def test_what_is_not_one_line(file: Path, octets: bytes) -> None:
    file.write_bytes(octets)
    with pytest.raises(Misuse) as caught:
        read_password(str(file))
    assert octets.decode("latin-1") not in str(caught.value.problems) or len(octets) < 2


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(Misuse, match="no such file") as caught:
        read_password(str(file))
    assert str(Path.cwd()) in caught.value.problems[0][1]


def test_a_folder_and_an_empty_file(file: Path) -> None:
    with pytest.raises(Misuse, match="is a directory"):
        read_password(str(file.parent))
    file.touch()
    with pytest.raises(Misuse, match="is empty"):
        read_password(str(file))


def test_a_file_that_others_can_read_is_noted(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("hunter2\n")
    file.chmod(0o600)
    read_password(str(file))
    assert capsys.readouterr().err == ""
    file.chmod(0o644)
    assert read_password(str(file)).reveal() == "hunter2"
    said = f"note: {file} can be read or changed by others (mode 0644); run: chmod 0600 {file}\n"
    assert capsys.readouterr().err == said


def test_standard_input() -> None:
    @click.command()
    def command() -> None:
        click.echo(len(read_password("-").reveal()))

    assert CliRunner().invoke(command, input="hunter2\n").output == "7\n"


def test_without_a_terminal_nothing_is_asked() -> None:
    @click.command()
    @click.option("--yes", is_flag=True)
    def command(yes: bool) -> None:
        confirm("Disable a@example.org", "2 app passwords will be revoked", yes=yes)
        click.echo("done")

    told = CliRunner().invoke(command, ["--yes"])
    assert told.output == "note: Disable a@example.org: 2 app passwords will be revoked\ndone\n"
    assert told.stdout == "done\n"
    refused = CliRunner().invoke(command, input="y\n")
    assert refused.exit_code == 2
    assert (
        refused.stderr
        == "error: this asks before it acts, and there is no terminal to ask on\nhint: say --yes\n"
    )


def test_a_secret_without_a_terminal() -> None:
    @click.command()
    def command() -> None:
        ask_hidden("Primary password", otherwise="name a file")

    refused = CliRunner().invoke(command, input="hunter2\n")
    assert refused.exit_code == Misuse.exit_code != Failure.exit_code
    assert refused.stderr.startswith("error: the primary password is needed, and there is no terminal")
    assert "hint: name a file" in refused.stderr
