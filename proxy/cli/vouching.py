"""Who vouches for a new app password at the command line: its owner by a proof, or the operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import click

from auth.accounts import Actor, Proof
from auth.secret import Secret
from auth.store.rows import AccountRow
from proxy.cli.desk import operator, owner
from proxy.cli.output import fail
from proxy.cli.questions import ask_hidden, primary_file_option, primary_password

P = ParamSpec("P")
T = TypeVar("T")


def proof_options(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command `--primary-password-file`, `--code` and `--operator`."""
    for option in (
        click.option(
            "--operator", "as_operator", is_flag=True, help="Spare the proof; written in the audit trail."
        ),
        click.option("--code", metavar="CODE", help="A fresh code of the second factor, or a recovery code."),
        primary_file_option("Read the primary password from FILE."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Vouching:
    """What was said on the command line; raises click.UsageError for both."""

    primary_file: str | None
    code: str | None
    as_operator: bool

    def __post_init__(self) -> None:
        if self.as_operator and (self.primary_file is not None or self.code is not None):
            raise click.UsageError(
                "--operator spares the proof; leave --primary-password-file and --code out"
            )

    def who(self, account: AccountRow, email: str) -> tuple[Actor, Proof | None]:
        """Give who does it and the proof, which is asked for where no option gives it."""
        if self.as_operator:
            return operator(), None
        if account.is_service:  # do not ask for what it does not have
            hint = "only the operator makes its app passwords: say --operator"
            fail(f"{account.email} is a service account: it has no primary password", hint)
        primary = primary_password(self.primary_file)
        if self.code is None:
            given = ask_hidden("Code of the second factor", otherwise="say --code with a fresh code")
        else:
            given = Secret(self.code)
        return owner(email), Proof(primary=primary, code=given)
