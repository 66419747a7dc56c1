"""`wicketgate account import`: many people at once, from a list that a spreadsheet wrote.

Everything that is wrong with the list is said at once, by its lines, and nothing is done then. Secrets are
read from the list alone and printed nowhere.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from auth.deed import AccountError
from auth.deed import Problem as Refused
from auth.importing import Done, Outcome
from auth.roster import MOST_OCTETS, Roster, RosterError, read_roster
from auth.roster_check import Logins
from config.models import Config
from config.private import access_hint, reason
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted, operator
from proxy.cli.output import Failure, emit, fail_usage, json_option, note, say, table
from proxy.cli.questions import warn_if_open
from proxy.cli.upstream_logins import identity_facts, identity_text
from scopes.model import Service

_STDIN: Final = "-"
_HEADERS: Final = ("LINE", "EMAIL", "WHAT WOULD BE DONE")


@click.command(name="import", short_help="Add many people at once, from a CSV file.")
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
@click.pass_obj
def import_people(invocation: Invocation, file: str, dry_run: bool, as_json: bool) -> None:
    """Add the people in FILE, a list in CSV; - is standard input.

    Its first line names the columns: email, and as needed aliases (with blanks or semicolons between them),
    imap_login, imap_secret, smtp_login and smtp_secret: what people have at the servers behind. Between
    columns stand commas, semicolons or tabs; the letters are UTF-8.

    It only adds, so the same list can come again with more in it: what is there already stays as it is. With
    one bad row nothing is done at all, and every bad row is named. Logins and secrets are stored untried.
    """
    config = invocation.config()
    roster = _read(file)
    try:
        with Desk(config, create=not dry_run) as desk:
            importing, logins = desk.accounts.importing, _logins(config)
            if dry_run:
                done = desk.run(importing.preview(roster, logins))
            else:
                done = desk.run(importing.carry_out(roster, logins, operator()))
    except RosterError as error:
        raise _refused(file, error) from None
    if as_json:
        emit(_facts(done, dry_run=dry_run))
        return
    _say(invocation, done, dry_run=dry_run)


def _read(file: str) -> Roster:
    """Read the list; a bad one is a `Failure` that names its lines, or a Misuse where there is none."""
    try:
        if file == _STDIN:
            octets = sys.stdin.buffer.read(MOST_OCTETS + 1)
        else:
            with Path(file).open("rb") as opened:
                octets = opened.read(MOST_OCTETS + 1)
                mode = os.fstat(opened.fileno()).st_mode
    except FileNotFoundError:
        fail_usage(f"{file} cannot be read: no such file", f"relative paths start here, at {Path.cwd()}")
    except OSError as error:
        fail_usage(f"{_named(file)} cannot be read: {reason(error)}", access_hint(error))
    try:
        roster = read_roster(octets)
    except RosterError as error:
        raise _refused(file, error) from None
    if file != _STDIN and any(told.secret for row in roster.rows for told in row.upstream.values()):
        warn_if_open(file, mode)
    return roster


def _named(file: str) -> str:
    return "standard input" if file == _STDIN else file


def _refused(file: str, error: RosterError) -> Failure:
    """Put everything that is wrong with the list into lines; nothing was done."""
    where = _named(file)
    problems = [
        (f"{where}, line {fault.line}: {fault.what}" if fault.line else f"{where}: {fault.what}", fault.hint)
        for fault in error.faults
    ]
    return Failure(*problems, (f"nothing was imported: {counted(len(problems), 'fault')} in the list", ""))


def _logins(config: Config) -> Logins:
    """Say how the config calls people at the servers behind."""
    from proxy.server.errors import ServeError  # noqa: PLC0415 - only who imports pays for loading it
    from proxy.server.trying import usual_login  # noqa: PLC0415

    def login(email: str, service: Service) -> str:
        try:
            return usual_login(config, service, email)
        except ServeError as error:
            raise AccountError(Refused.BAD_LOGIN, str(error), error.hint) from None

    return login


def _facts(done: Sequence[Done], *, dry_run: bool) -> dict[str, Any]:
    rows = [
        {
            "line": each.line,
            "email": each.email,
            "outcome": each.outcome.value,
            "aliases": list(each.aliases),
            "upstream": identity_facts(each.upstream),
            "kept": [service.value for service in each.kept],
        }
        for each in done
    ]
    numbers = Counter(each.outcome for each in done)
    return {"dry_run": dry_run, **{each.value: numbers[each] for each in Outcome}, "rows": rows}


def _say(invocation: Invocation, done: Sequence[Done], *, dry_run: bool) -> None:
    changes = [each for each in done if each.outcome in (Outcome.ADDED, Outcome.COMPLETED)]
    if dry_run and changes:
        table(_HEADERS, [(str(each.line), each.email, _words(each)) for each in changes])
    for each in done:
        if each.kept:
            what = " and ".join(each.kept)
            note(f"line {each.line}, {each.email}: the store says otherwise for {what}, and stays as it is")
    numbers = Counter(each.outcome for each in done)
    added, completed = (
        counted(numbers[Outcome.ADDED], "account"),
        counted(numbers[Outcome.COMPLETED], "account"),
    )
    would = "would be " if dry_run else ""
    rest = f"{numbers[Outcome.UNCHANGED]} as they are, {numbers[Outcome.DISABLED]} disabled and left alone"
    say(f"{added} {would}added, {completed} {would}completed; {rest}")
    if dry_run:
        say("nothing was changed; without --dry-run it is done")
    elif numbers[Outcome.ADDED]:
        say(f"next: {invocation.typed('wicketgate account invite --all')}")


def _words(done: Done) -> str:
    """Say what would be done for one row."""
    parts = ["add" if done.outcome is Outcome.ADDED else "complete"]
    if done.aliases:
        parts.append(f"aliases {', '.join(done.aliases)}")
    if done.upstream:
        parts.append(identity_text(done.upstream))
    return "; ".join(parts)
