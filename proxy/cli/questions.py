"""What the command line asks people: secrets without echo, and whether they mean it.

Questions go to standard error and only to a terminal; a script gets a refusal with a hint instead (exit 2). A
secret is never a command-line argument, because every user of the machine can read those.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click

from auth.checks import check_primary
from auth.deed import AccountError
from auth.secret import Secret
from config.private import access_hint, reason
from proxy.cli.desk import counted
from proxy.cli.output import Failure, Misuse, complain, fail, fail_usage, note, plain

P = ParamSpec("P")
T = TypeVar("T")

PASSWORD_OCTETS: Final = 4_096
_STDIN: Final = "-"
_TRIES: Final = 3


def yes_option(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command `--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask; for scripts.")(command)


def primary_file_option(help_text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Give a command `--primary-password-file`."""
    return click.option(
        "--primary-password-file",
        "primary_file",
        metavar="FILE",
        help=f"{help_text} One line; - is standard input. Without it you are asked.",
    )


def on_terminal() -> bool:
    """Whether somebody is there to ask."""
    return sys.stdin.isatty()


def confirm(deed: str, ends: str, *, yes: bool) -> None:
    """Say what `deed` ends, and go on only if told so; what is not yes is no.

    `--yes` asks nothing, but what will end is said all the same, before anything is done.
    """
    if yes:
        note(f"{deed}: {ends}")
        return
    if not on_terminal():
        fail_usage("this asks before it acts, and there is no terminal to ask on", "say --yes")
    try:
        question = f"{plain(deed)}: {plain(ends)}. Go on? [y/N]"
        answer = click.prompt(question, default="n", show_default=False, err=True)
    except click.Abort:
        click.echo(err=True)
        raise
    if answer.strip().lower() not in ("y", "yes"):
        fail("nothing was changed", "answer y to go on, or say --yes")


def will_be_revoked(active: int) -> str:
    """Say how many app passwords a deed ends."""
    return f"{counted(active, 'app password')} will be revoked" if active else "no app password is active"


def ask_hidden(prompt: str, *, otherwise: str) -> Secret:
    """Ask for a secret without echo; `otherwise` says how a script gives it."""
    if not on_terminal():
        fail_usage(f"the {prompt.lower()} is needed, and there is no terminal to ask on", otherwise)
    return Secret(click.prompt(prompt, hide_input=True, err=True))


def primary_password(file: str | None) -> Secret:
    """Take the primary password that an account has."""
    if file is not None:
        return read_password(file)
    return ask_hidden("Primary password", otherwise="name a file that holds it with --primary-password-file")


def new_primary_password(file: str | None) -> Secret:
    """Take a primary password to be, typed twice; raises AccountError when it cannot be one.

    A slip of the finger is not the end: a person is asked again, for the next line would go to the shell.
    """
    if file is not None:
        return read_password(file)
    for left in range(_TRIES - 1, -1, -1):
        try:
            return _typed_twice()
        except (AccountError, Failure) as error:
            if isinstance(error, Misuse) or left == 0:
                raise
            what, hint = error.problems[0] if isinstance(error, Failure) else (str(error), error.hint)
            complain(what, hint)
    raise AssertionError("the loop ends in a return or a raise")


def _typed_twice() -> Secret:
    """Ask for a new password, see that it is good, and only then ask for it again."""
    otherwise = "name a file that holds it with --primary-password-file"
    first = ask_hidden("New primary password", otherwise=otherwise)
    check_primary(first)
    if ask_hidden("The same again", otherwise=otherwise) != first:
        fail("the two passwords differ", "type the same one twice; nothing was changed yet")
    return first


def read_password(file: str) -> Secret:
    """Read a password: the one line of a file, `-` for standard input, the line end dropped."""
    name = "standard input" if file == _STDIN else file
    try:
        if file == _STDIN:
            octets = sys.stdin.buffer.read(PASSWORD_OCTETS + 1)
        else:
            with Path(file).open("rb") as opened:
                warn_if_open(file, os.fstat(opened.fileno()).st_mode)
                octets = opened.read(PASSWORD_OCTETS + 1)
        line = octets.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        fail_usage(f"{file} cannot be read: no such file", f"relative paths start here, at {Path.cwd()}")
    except OSError as error:
        fail_usage(f"{name} cannot be read: {reason(error)}", access_hint(error))
    except UnicodeDecodeError:
        fail_usage(f"{name} is not UTF-8 text", "write the password as one line")
    if not octets:
        fail_usage(f"{name} is empty", "write the password as one line")
    if not line or len(octets) > PASSWORD_OCTETS or any(mark in line for mark in "\r\n\0"):
        fail_usage(f"{name} does not hold exactly one line", "write the password as one line")
    return Secret(line)


def warn_if_open(file: str, mode: int) -> None:
    """Say so when others can read a password's file; the command goes on, for they may have done so."""
    others = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
    if stat.S_ISREG(mode) and mode & others:
        advice = f"run: chmod 0600 {shlex.quote(file)}"
        note(f"{file} can be read or changed by others (mode {stat.S_IMODE(mode):04o}); {advice}")
