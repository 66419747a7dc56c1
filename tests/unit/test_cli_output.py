"""What every end of a command looks like, whatever was raised."""

import errno

import click
import pytest

from auth.hashing import Busy
from auth.seal import UnknownKey
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from config.address import AddressError
from config.private import PrivateFileError
from config.problems import ConfigErrors, Problem
from config.scaffold import ScaffoldError
from proxy.cli.output import Failure, Misuse, fail, fail_usage, guarded, plain, table


def ended(error: BaseException) -> Failure:
    def command() -> None:
        raise error

    with pytest.raises(Failure) as caught:
        guarded(command)()
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ScaffoldError("no room", "make some"), 1, "no room"),
        (StoreUnavailable("SQLITE_BUSY"), 1, "the store cannot answer: another process holds the store"),
        (Busy(), 1, "too busy"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: permission denied"),
        (AddressError("no host", "write one"), 2, "no host"),
        (PrivateFileError("/k is missing", "make it"), 2, "/k is missing"),
        (UnknownKey("2025"), 2, "cannot be read with the keys"),
    ],
)
def test_what_is_foreseen(error: Exception, code: int, words: str) -> None:
    failure = ended(error)
    assert failure.exit_code == code
    assert words in failure.problems[0][0]


@pytest.mark.parametrize(
    ("cause", "words", "advice"),
    [
        ("SQLITE_BUSY", "another process holds the store (SQLITE_BUSY)", "try again"),
        ("SQLITE_FULL", "the disk is full (SQLITE_FULL)", "make room"),
        ("SQLITE_IOERR_SHMSIZE", "the disk is full (SQLITE_IOERR_SHMSIZE)", "make room"),
        ("SQLITE_READONLY_DIRECTORY", "cannot be opened or written by this user (", "the server's user"),
        ("the gate store cannot be opened: SQLITE_CANTOPEN", "opened: it cannot be opened or written", "run"),
        ("the gate store cannot be opened: PermissionError", "written by this user (PermissionError)", "run"),
        ("SQLITE_NOTADB", "is no database or is damaged (SQLITE_NOTADB)", "from your copy"),
        ("change feed: SQLITE_CORRUPT_INDEX", "damaged (SQLITE_CORRUPT_INDEX)", "from your copy"),
        ("SQLITE_IOERR_FSYNC", "the disk cannot be read or written", "look at the disk"),
        ("SQLITE_MISMATCH", "the store cannot answer: SQLITE_MISMATCH", "wicketgate check"),
        ("too many writes are waiting", "too many writes are waiting", "try again"),
    ],
)
def test_why_the_store_cannot_answer_is_said_in_words(cause: str, words: str, advice: str) -> None:
    failure = ended(StoreUnavailable(cause))
    what, hint = failure.problems[0]
    assert words in what
    assert advice in hint


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "make room"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/etc/hosts/x"), "name another file or folder"),
        (OSError(errno.EIO, "Input/output error"), "look at the file"),
    ],
)
def test_what_the_system_refuses_comes_with_a_hint(error: OSError, advice: str) -> None:
    assert advice in ended(error).problems[0][1]


def test_all_problems_of_a_configuration() -> None:
    failure = ended(
        ConfigErrors([Problem(key="a.b", what="is missing", hint="h"), Problem(key="c", what="x")])
    )
    assert failure.exit_code == 2
    assert failure.problems == (("a.b: is missing", "h"), ("c: x", ""))


def test_an_unforeseen_exception_is_named_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    failure = ended(KeyError("hunter2"))
    failure.show()
    shown = capsys.readouterr().err
    assert "a fault in Wicketgate: KeyError at test_cli_output.py:" in shown
    assert "hunter2" not in shown
    assert failure.exit_code == 1


@pytest.mark.parametrize(
    "error", [click.UsageError("x"), click.Abort(), BrokenPipeError(), KeyboardInterrupt()]
)
def test_what_click_and_the_program_handle_passes(error: BaseException) -> None:
    def command() -> None:
        raise error

    with pytest.raises(type(error)):
        guarded(command)()


def test_lines_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure) as caught:
        fail("it is\x1b[2J late", "come\nearlier")
    caught.value.show()
    assert capsys.readouterr().err == "error: it is\\x1b[2J late\nhint: come\\nearlier\n"
    with pytest.raises(Misuse):
        fail_usage("no")


def test_a_table_escapes_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    table(("A", "B"), [("x\x1b]0;", "ü"), ("longer", "-")])
    assert capsys.readouterr().out.splitlines() == [
        r"A         B",
        r"x\x1b]0;  ü",
        r"longer    -",
    ]
    assert plain("a\u202eb\x00") == "a\\u202eb\\x00"


def test_columns_stand_below_each_other_for_wide_letters_and_marks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(("LABEL", "N"), [("phone", "1"), ("\u643a\u5e2f", "2"), ("\U0001f4f1", "3"), ("e\u0301tui", "4")])
    assert capsys.readouterr().out.splitlines() == [
        "LABEL  N",
        "phone  1",
        "\u643a\u5e2f   2",
        "\U0001f4f1     3",
        "e\u0301tui   4",
    ]


def test_a_secret_shows_nothing_in_any_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure) as caught:
        fail(f"no {Secret('hunter2')}")
    caught.value.show()
    assert "hunter2" not in capsys.readouterr().err
