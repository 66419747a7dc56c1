"""`wicketgate account enrol-2fa` and `reset-2fa`: the authenticator of an account.

Enrolling shows the otpauth URI (it holds the secret) as a QR code and in letters, and counts only once a
code made from it was typed. A second enrolment replaces the first and asks for one of its codes, or a
recovery code; app passwords stay. Resetting is for the operator, when the authenticator is lost: it
ends them all.
"""

from __future__ import annotations

import sys
from typing import Final

import click
import segno

from auth.accounts import AccountError, Enrolment, Problem
from auth.secret import Secret
from auth.store.rows import AccountRow
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted, operator
from proxy.cli.output import complain, emit, emit_line, fail_usage, json_option, say
from proxy.cli.questions import ask_hidden, confirm, on_terminal, yes_option

_TRIES: Final = 3
_CODE_CHARACTERS: Final = 100


@click.command()
@click.argument("email")
@click.option(
    "--code", metavar="CODE", help="A code of the authenticator to be replaced, or a recovery code."
)
@json_option
@click.pass_obj
def enrol_2fa(invocation: Invocation, email: str, code: str | None, as_json: bool) -> None:
    """Enrol an authenticator app: shows a QR code, then asks for a code.

    A script reads the URI and writes a code made from it to standard input. With --json the output is two
    objects, a line each: one before the code is read, with the URI, and one after, with the recovery codes.
    """
    with Desk(invocation.config()) as desk:
        row = desk.run(desk.accounts.find(email))
        current = _current_code(row, code)
        enrolment = desk.run(desk.accounts.begin_enrolment(row.email))
        _show(enrolment, as_json=as_json)
        recovery = _confirmed(desk, row, enrolment, current)
    codes = [one.reveal() for one in recovery]
    if as_json:
        emit_line({"email": row.email, "recovery_codes": codes})
        return
    say(f"{row.email} has a second factor now.")
    say("Recovery codes: each replaces one code, once. They are not shown again; keep them on paper.")
    for one in codes:
        say(f"  {one}")


@click.command()
@click.argument("email")
@yes_option
@json_option
@click.pass_obj
def reset_2fa(invocation: Invocation, email: str, yes: bool, as_json: bool) -> None:
    """Take the second factor away: all app passwords are revoked, sessions cut."""
    with Desk(invocation.config()) as desk:
        row = desk.run(desk.accounts.find(email))
        active = desk.run(desk.accounts.preview(row.email))
        ends = f"{counted(active, 'app password')} will be revoked"
        confirm(f"Take the second factor of {row.email} away: {ends}. Go on?", yes=yes)
        cut = desk.cut(desk.run(desk.accounts.reset_second_factor(row.email, operator())))
    if as_json:
        emit({"email": row.email, "second_factor": False} | cut.facts)
    else:
        say(f"{row.email} has no second factor now; {cut.text}")
    cut.warn()


def _current_code(row: AccountRow, code: str | None) -> Secret | None:
    """Take a code of the authenticator that is to be replaced; None when there is none yet."""
    if not row.has_second_factor:
        return None
    if code is not None:
        return Secret(code)
    hint = "say --code with a code of the present authenticator or a recovery code"
    return ask_hidden("Code of the present authenticator, or a recovery code", otherwise=hint)


def _show(enrolment: Enrolment, *, as_json: bool) -> None:
    """Show the URI before anything waits for its code."""
    uri = enrolment.uri.reveal()
    if as_json:
        emit_line({"otpauth_uri": uri, "secret": enrolment.seed.reveal()})
    else:
        segno.make(uri, micro=False).terminal(out=sys.stdout, compact=True)
        say(uri)
    sys.stdout.flush()


def _confirmed(
    desk: Desk, row: AccountRow, enrolment: Enrolment, current: Secret | None
) -> tuple[Secret, ...]:
    """Ask for a code until one is right, three times on a terminal and once in a script."""
    for left in range(_TRIES if on_terminal() else 1, 0, -1):
        typed = _new_code()
        try:
            return desk.run(desk.accounts.confirm_enrolment(row.email, enrolment, typed, operator(), current))
        except AccountError as error:
            if error.problem is not Problem.WRONG_NEW_CODE or left == 1:
                raise
            complain(str(error), error.hint)
    raise AssertionError("the loop ends in a return or a raise")


def _new_code() -> Secret:
    """Read the first code of the new authenticator."""
    if on_terminal():
        return ask_hidden("Code it shows now", otherwise="")
    line = sys.stdin.readline(_CODE_CHARACTERS).strip()
    if not line:
        fail_usage("no code came on standard input", "write the code that the new authenticator shows")
    return Secret(line)
