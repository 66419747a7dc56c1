"""`wicketgate account`: make, show, disable, enable and remove accounts, and change their primary password.

What ends app passwords says how many first and asks; it is committed before the workers' answers are awaited,
so that exit 0 means done even when a worker is silent.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, Final, TypedDict, Unpack

import click

from auth.accounts import Revocation
from auth.checks import checked_alias, checked_email, must_be_free
from auth.deed import elsewhere
from auth.store.rows import AccountRow
from config.models import Config
from proxy.cli.aliases import alias
from proxy.cli.app import Invocation
from proxy.cli.authorisations import authorisation_facts, authorisation_text
from proxy.cli.authorizing import authorize
from proxy.cli.desk import Desk, operator
from proxy.cli.importing import import_people
from proxy.cli.inviting import invite
from proxy.cli.output import Moment, emit, json_option, plain, say, table
from proxy.cli.questions import (
    confirm,
    new_primary_password,
    primary_file_option,
    will_be_revoked,
    yes_option,
)
from proxy.cli.second_factor import enrol_2fa, reset_2fa
from proxy.cli.senders import sender
from proxy.cli.sign_ins import sign_ins
from proxy.cli.upstream_logins import identity_facts, identity_text, set_upstream

_DATA_STAYS: Final = (
    "; its mail, contacts and calendars stay at the server behind, "
    "and whoever gets this name later will see them"
)
_HEADERS: Final = ("EMAIL", "KIND", "SECOND FACTOR", "STATE", "CREATED (UTC)")


class AddOptions(TypedDict):
    """The options of `account add`."""

    service: bool
    invited: bool
    aliases: tuple[str, ...]
    primary_file: str | None
    as_json: bool


@click.group()
def account() -> None:
    """Accounts: people and devices."""


account.add_command(alias)
account.add_command(sender)
account.add_command(enrol_2fa)
account.add_command(reset_2fa)
account.add_command(sign_ins)
account.add_command(authorize)
account.add_command(set_upstream)
account.add_command(import_people)
account.add_command(invite)


@account.command()
@click.argument("email")
@click.option("--service", is_flag=True, help="A printer or script: no primary password, no second factor.")
@click.option("--invited", is_flag=True, help="A person who sets the primary password by an invitation.")
@click.option(
    "--alias", "aliases", metavar="NAME", multiple=True, help="Another name to sign in by. Repeatable."
)
@primary_file_option("Read the primary password from FILE.")
@json_option
@click.pass_obj
def add(invocation: Invocation, email: str, **options: Unpack[AddOptions]) -> None:
    """Add an account for EMAIL.

    Where the mail server keeps the primary passwords, none is asked for.
    """
    service, aliases = options["service"], options["aliases"]
    if service and options["primary_file"] is not None:
        raise click.UsageError("a service account has no primary password")
    if options["invited"] and (service or options["primary_file"] is not None):
        raise click.UsageError("--invited is for a person without a primary password yet")
    config = invocation.config()
    _must_be_new(config, email, aliases)
    invited = not service and (options["invited"] or config.primary_of(email).kind == "imap")
    if invited and options["primary_file"] is not None:
        raise elsewhere(checked_email(email))
    primary = None if service or invited else new_primary_password(options["primary_file"])
    with Desk(config, create=True) as desk:
        row = desk.run(
            desk.accounts.add(email, primary=primary, service=service, aliases=aliases, actor=operator())
        )
    if options["as_json"]:
        emit(_facts(row))
        return
    say(f"added {row.email}")
    email = shlex.quote(row.email)
    if service:
        command = f"wicketgate password create {email} --label LABEL --scope mail --operator"
    else:
        command = f"wicketgate account {'invite' if invited else 'enrol-2fa'} {email}"
    say(f"next: {invocation.typed(command)}")


@account.command(name="list")
@json_option
@click.pass_obj
def list_accounts(invocation: Invocation, as_json: bool) -> None:
    """List the accounts."""
    with Desk(invocation.config()) as desk:
        rows = desk.run(desk.accounts.all())
    if as_json:
        emit([_facts(row) for row in rows])
    elif not rows:
        say(invocation.typed("no accounts yet; add one with: wicketgate account add EMAIL"))
    else:
        table(_HEADERS, [_cells(row) for row in rows])


@account.command()
@click.argument("email")
@json_option
@click.pass_obj
def show(invocation: Invocation, email: str, as_json: bool) -> None:
    """Show one account."""
    with Desk(invocation.config()) as desk:
        row = desk.run(desk.accounts.find(email))
        active = desk.run(desk.accounts.preview(row.email))
        listed = desk.run(desk.accounts.senders.of(row.email)).listed
        identities = desk.run(desk.accounts.identities.of(row.email)).identities
        tokens = desk.run(desk.accounts.oauth_tokens.of(row.email)).tokens
    if as_json:
        behind = {"upstream": identity_facts(identities), "authorised": authorisation_facts(tokens)}
        emit(_facts(row) | {"senders": list(listed), **behind, "app_passwords": active})
        return
    kind, second_factor, state, created = _cells(row)[1:]
    say(row.email)
    say(f"  kind           {kind}")
    say(f"  state          {state}")
    say(f"  aliases        {', '.join(row.aliases) or '-'}")
    say(f"  also sends as  {', '.join(listed) or '-'}")
    say(plain(f"  upstream       {identity_text(identities)}"))
    say(plain(f"  authorised     {authorisation_text(tokens)}"))
    say(f"  second factor  {second_factor}")
    say(f"  app passwords  {active} active")
    say(f"  created        {created} UTC")


@account.command()
@click.argument("email")
@yes_option
@json_option
@click.pass_obj
def disable(invocation: Invocation, email: str, yes: bool, as_json: bool) -> None:
    """Disable an account: all its app passwords are revoked, its sessions cut."""
    with Desk(invocation.config()) as desk:
        email = _warn_and_confirm(desk, email, "Disable", yes=yes)
        revocation = desk.run(desk.accounts.disable(email, operator()))
        _answer(desk, revocation, {"email": email, "state": "disabled"}, f"disabled {email}", as_json=as_json)


@account.command()
@click.argument("email")
@json_option
@click.pass_obj
def enable(invocation: Invocation, email: str, as_json: bool) -> None:
    """Enable a disabled account; its revoked app passwords stay dead."""
    with Desk(invocation.config()) as desk:
        email = desk.run(desk.accounts.find(email)).email
        desk.run(desk.accounts.enable(email, operator()))
    if as_json:
        emit({"email": email, "state": "enabled"})
    else:
        say(f"enabled {email}")


@account.command(short_help="Remove an account for good; its mail and the like stay.")
@click.argument("email")
@yes_option
@json_option
@click.pass_obj
def remove(invocation: Invocation, email: str, yes: bool, as_json: bool) -> None:
    """Remove an account for good: all its app passwords are revoked, its sessions cut.

    Its history and audit trail stay readable. Its mail, contacts and calendars stay too, at the servers
    behind or in the built-in ones: whoever gets the same name later will see them, unless they are taken
    away there.
    """
    with Desk(invocation.config()) as desk:
        email = _warn_and_confirm(desk, email, "Remove", yes=yes, more=_DATA_STAYS)
        revocation = desk.run(desk.accounts.remove(email, operator()))
        _answer(desk, revocation, {"email": email, "state": "removed"}, f"removed {email}", as_json=as_json)


@account.command()
@click.argument("email")
@primary_file_option("Read the new primary password from FILE.")
@yes_option
@json_option
@click.pass_obj
def set_password(
    invocation: Invocation, email: str, primary_file: str | None, yes: bool, as_json: bool
) -> None:
    """Set a new primary password: all app passwords are revoked, sessions cut."""
    config = invocation.config()
    with Desk(config) as desk:
        _must_be_kept_here(config, desk.run(desk.accounts.find(email)))
        email = _warn_and_confirm(desk, email, "Change the primary password of", yes=yes)
        new = new_primary_password(primary_file)
        revocation = desk.run(desk.accounts.set_primary(email, new, operator(), None))
        words = f"changed the primary password of {email}"
        _answer(desk, revocation, {"email": email}, words, as_json=as_json)


@account.command(short_help="Hear that it was changed at the mail server; for hooks there.")
@click.argument("email")
@json_option
@click.pass_obj
def primary_changed(invocation: Invocation, email: str, as_json: bool) -> None:
    """Hear that EMAIL has changed the primary password at the mail server that keeps it.

    All app passwords are revoked and sessions cut, without a question: call it where passwords are changed.
    Without it the change is seen when the new one is first used here.
    """
    with Desk(invocation.config()) as desk:
        email = desk.run(desk.accounts.find(email)).email
        revocation = desk.run(desk.accounts.primary_changed(email, operator()))
        words = f"noted that {email} has another primary password"
        _answer(desk, revocation, {"email": email}, words, as_json=as_json)


def _must_be_kept_here(config: Config, row: AccountRow) -> None:
    """Refuse before a password is asked for that would be stored nowhere."""
    if not row.is_service and config.primary_of(row.email).kind == "imap":
        raise elsewhere(row.email)


def _must_be_new(config: Config, email: str, aliases: Sequence[str]) -> None:
    """Refuse names that are none or taken before a password is asked for; the deed looks again.

    A store that is not there yet is made by the deed alone: giving up at the question leaves none behind.
    """
    wanted = (checked_email(email), *map(checked_alias, aliases))
    if config.store.gate_file.exists():
        with Desk(config, create=True) as desk:
            desk.run(desk.store.read(lambda tx: must_be_free(tx, wanted)))


def _warn_and_confirm(desk: Desk, name: str, deed: str, *, yes: bool, more: str = "") -> str:
    """Say how many app passwords the deed ends, and ask; gives the email of the account called `name`."""
    row = desk.run(desk.accounts.find(name))
    ends = will_be_revoked(desk.run(desk.accounts.preview(row.email)))
    confirm(f"{deed} {row.email}", ends + more, yes=yes)
    return row.email


def _answer(desk: Desk, revocation: Revocation, facts: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Wait for the workers and say what was done."""
    cut = desk.cut(revocation)
    if as_json:
        emit(facts | cut.facts)
    else:
        say(f"{words}; {cut.text}")
    cut.warn()


def _state(row: AccountRow) -> str:
    return "enabled" if row.disabled_at is None else f"disabled since {Moment(row.disabled_at).text}"


def _cells(row: AccountRow) -> tuple[str, ...]:
    kind = "service" if row.is_service else "person"
    second_factor = "-" if row.is_service else "enrolled" if row.has_second_factor else "missing"
    return (row.email, kind, second_factor, _state(row), Moment(row.created_at).text)


def _facts(row: AccountRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "email": row.email,
        "aliases": list(row.aliases),
        "kind": "service" if row.is_service else "person",
        "second_factor": row.has_second_factor,
        "state": "enabled" if row.disabled_at is None else "disabled",
        "created_at": Moment(row.created_at).iso,
        "disabled_at": Moment(row.disabled_at).iso,
    }
