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
from proxy.cli.desk import Desk, operator
from proxy.cli.output import complain, emit, emit_line, fail_usage, json_option, say
from proxy.cli.questions import ask_hidden, confirm, on_terminal, will_be_revoked, yes_option

_TRIES: Final = 3
_ASKED_AGAIN: Final = frozenset({Problem.WRONG_NEW_CODE, Problem.WRONG_PROOF})
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
        current = _given_code(row, code)
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
        confirm(f"Take the second factor of {row.email} away", will_be_revoked(active), yes=yes)
        cut = desk.cut(desk.run(desk.accounts.reset_second_factor(row.email, operator())))
    if as_json:
        emit({"email": row.email, "second_factor": False} | cut.facts)
    else:
        say(f"{row.email} has no second factor now; {cut.text}")
    cut.warn()


def _given_code(row: AccountRow, code: str | None) -> Secret | None:
    """Take a code of the authenticator that is to be replaced from the options; a script must give one."""
    if not row.has_second_factor:
        return None
    if code is None and not on_terminal():
        hint = "say --code with a code of the present authenticator or a recovery code"
        fail_usage(f"{row.email} has a second factor, and there is no terminal to ask for its code on", hint)
    return None if code is None else Secret(code)


def _show(enrolment: Enrolment, *, as_json: bool) -> None:
    """Show the URI and the secret in it before anything waits for a code."""
    uri = enrolment.uri.reveal()
    if as_json:
        emit_line({"otpauth_uri": uri, "secret": enrolment.seed.reveal()})
    else:
        segno.make(uri, micro=False).terminal(out=sys.stdout, compact=True)
        say("Scan this with an authenticator app, open the address, or type the secret into the app:")
        say(f"  {uri}")
        say(f"  {_in_fours(enrolment.seed.reveal())}")
    sys.stdout.flush()


def _confirmed(desk: Desk, row: AccountRow, enrolment: Enrolment, given: Secret | None) -> tuple[Secret, ...]:
    """Ask for codes until they are right, three times on a terminal and once in a script.

    The present authenticator's code comes last: it would be too old by the time the new one is set up.
    """
    for left in range(_TRIES if on_terminal() else 1, 0, -1):
        typed = _new_code()
        current = given
        if row.has_second_factor and given is None:
            current = ask_hidden("Code of the present authenticator, or a recovery code", otherwise="")
        try:
            return desk.run(desk.accounts.confirm_enrolment(row.email, enrolment, typed, operator(), current))
        except AccountError as error:
            again = _ASKED_AGAIN if given is None else _ASKED_AGAIN - {Problem.WRONG_PROOF}
            if error.problem not in again or left == 1:
                raise
            complain(str(error), error.hint)
    raise AssertionError("the loop ends in a return or a raise")


def _in_fours(secret: str) -> str:
    """Group a secret for typing; authenticators pass over the spaces."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def _new_code() -> Secret:
    """Read the first code of the new authenticator."""
    if on_terminal():
        return ask_hidden("Code it shows now", otherwise="")
    line = sys.stdin.readline(_CODE_CHARACTERS).strip()
    if not line:
        fail_usage("no code came on standard input", "write the code that the new authenticator shows")
    return Secret(line)
