"""What people and scripts read: tables and JSON on standard output, `error:` and `hint:` on standard error.

Exit codes: 0 done, 1 refused with a reason, 2 usage or configuration. `guarded` turns every exception into
such lines, so that no traceback, and no text of an unforeseen exception (it might hold a secret), is ever
shown. Text that came from outside is printed with its control characters escaped.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, ParamSpec, Protocol, TypeVar, runtime_checkable

import click

from auth.fault import fault
from auth.hashing import Busy
from auth.outage import PrimaryOutage
from auth.seal import UnknownKey, UnsealError
from auth.store.errors import StoreUnavailable
from config.address import AddressError
from config.private import PrivateFileError, access_hint, reason
from config.problems import ConfigErrors, Problem
from proxy.cli.outages import outage

P = ParamSpec("P")
T = TypeVar("T")

REFUSED: Final = 1
MISUSED: Final = 2
_GAP: Final = "  "


class Failure(click.ClickException):
    """A command that ends here: refused, with lines for a person."""

    exit_code = REFUSED

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__(problems[0][0])
        self.problems = problems

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature
        """Write `error:` and `hint:` lines to standard error."""
        for what, hint in self.problems:
            complain(what, hint)


class Misuse(Failure):
    """The same for wrong usage or configuration."""

    exit_code = MISUSED


class OutputLost(Failure):
    """Standard output took no more: a full disk, a closed stream. What was done before stays done."""


@runtime_checkable
class Hinted(Protocol):
    """An error of ours that is meant for people."""

    hint: str


def fail(what: str, hint: str = "") -> NoReturn:
    """End the command: refused, exit 1."""
    raise Failure((what, hint))


def fail_usage(what: str, hint: str = "") -> NoReturn:
    """End the command: wrong usage or configuration, exit 2."""
    raise Misuse((what, hint))


def complain(what: str, hint: str = "") -> None:
    """Write an error, and what to do, to standard error."""
    _remark(f"error: {plain(what)}")
    if hint:
        _remark(f"hint: {plain(hint)}")


def note(text: str) -> None:
    """Write a remark beside the answer to standard error."""
    _remark(f"note: {plain(text)}")


def _remark(line: str) -> None:
    """Write to standard error; where it takes nothing, the exit code still tells."""
    with suppress(OSError):
        click.echo(line, err=True)


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """Let a command end in a `Failure` whatever goes wrong; click's own exceptions pass."""

    @functools.wraps(command)
    def inner(*args: P.args, **keywords: P.kwargs) -> T:
        try:
            return command(*args, **keywords)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - the last door: what passes it would be a traceback
            failure = _explained(error)
        raise failure

    return inner


def _explained(error: Exception) -> Failure:
    """Put an exception into words."""
    match error:
        case ConfigErrors():
            return Misuse(*((str(problem), problem.hint) for problem in error.problems))
        case AddressError() | PrivateFileError():
            return Misuse((str(error), error.hint))
        case Hinted():
            return Failure((str(error), error.hint))
        case StoreUnavailable():
            return Failure(outage(error))
        case PrimaryOutage():
            hint = "nothing was changed; try again, or see what it says with: wicketgate check --connect"
            return Failure((str(error), hint))
        case Busy():
            return Failure(("this machine is too busy to hash a password now", "try again"))
        case UnknownKey() | UnsealError():
            hint = "name in keys.files every key that was ever current"
            return Misuse(("a stored secret cannot be read with the keys of the config file", hint))
        case OSError():
            where = f"{error.filename}: " if isinstance(error.filename, str) else ""
            return Failure((f"{where}{reason(error)}", _system_hint(error)))
        case _:
            return Failure((f"a fault in Wicketgate: {fault(error)}", "please report this line"))


def _system_hint(error: OSError) -> str:
    """Say what to do about what the system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room where this writes to, then try again"
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | FileExistsError):
        return "name another file or folder, or see what stands there"
    return access_hint(error)


def finish_output() -> bool:
    """Flush standard output; False when it takes no more. Never raises."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        abandon_output()
        return False
    return True


def abandon_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not fail as well."""
    with suppress(OSError, ValueError):
        lost = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, lost)
        os.close(nowhere)


def say(text: str = "") -> None:
    """Write a line of the answer; raises BrokenPipeError, and OutputLost when it cannot be written."""
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        _lose_output(reason(error))
    except UnicodeEncodeError:
        _lose_output("standard output does not take these letters")


def _lose_output(why: str) -> NoReturn:
    abandon_output()
    hint = "what the command was to change may be done: look before you repeat it"
    raise OutputLost((f"the answer cannot be written: {why}", hint)) from None


def emit(value: object) -> None:
    """Write the answer as JSON, ASCII only, so that it passes through any terminal and locale."""
    say(json.dumps(value, indent=2))


def emit_line(value: object) -> None:
    """Write JSON on one line, for an answer that comes in parts."""
    say(json.dumps(value))


def json_option(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")(command)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write columns, each as wide as its widest cell, control characters escaped."""
    cells = [tuple(headers), *(tuple(map(plain, row)) for row in rows)]
    widths = [max(columns(line[column]) for line in cells) for column in range(len(headers))]
    for line in cells:
        padded = (cell + " " * (width - columns(cell)) for cell, width in zip(line, widths, strict=True))
        say(_GAP.join(padded).rstrip())


def columns(text: str) -> int:
    """Count the columns a terminal gives to a text: two for wide letters and pictures, none for marks."""
    wide = sum(unicodedata.east_asian_width(mark) in "WF" for mark in text)
    return len(text) + wide - sum(unicodedata.combining(mark) != 0 for mark in text)


def plain(text: str) -> str:
    """Escape what a terminal might obey or hide."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, seconds since 1970-01-01 UTC, or none, as scripts and people read it; always UTC."""

    seconds: float | None

    @property
    def iso(self) -> str | None:
        """RFC 3339, as in `2027-05-22T08:00:00Z`; None for none."""
        return None if self.seconds is None else f"{self._utc(self.seconds):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def text(self) -> str:
        """To the minute, as in `2027-05-22 08:00`; `-` for none."""
        return "-" if self.seconds is None else f"{self._utc(self.seconds):%Y-%m-%d %H:%M}"

    @staticmethod
    def _utc(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)


def problem_facts(problem: Problem) -> dict[str, str]:
    """Give a problem as JSON does."""
    file = "" if problem.file is None else str(problem.file)
    return {"file": file, "key": problem.key, "what": problem.what, "hint": problem.hint}
