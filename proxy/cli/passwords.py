"""`wicketgate password`: create an app password, and end one or all of them.

An app password is shown once. It is committed, printed and flushed, and only then noted as shown; whoever is
killed or loses the reader in between leaves a row that lists say was perhaps never shown.
"""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Any, Final, TypedDict, Unpack

import click

from auth.accounts import Minted, MintRequest, Proof
from auth.minting import may_have_one
from auth.names import canonical
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.rows import AccountRow
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted, operator, owner
from proxy.cli.output import (
    Moment,
    OutputLost,
    abandon_output,
    emit,
    fail,
    finish_output,
    json_option,
    note,
    plain,
    say,
)
from proxy.cli.password_lists import history, limit_facts, limit_words, list_active, scope_words
from proxy.cli.questions import (
    ask_hidden,
    confirm,
    on_terminal,
    primary_file_option,
    primary_password,
    will_be_revoked,
    yes_option,
)
from proxy.cli.times import expiry
from scopes.model import Limits, Network, Scope, in_order

_SCOPES: Final = [scope.value for scope in Scope]
_NOT_SHOWN_HINT: Final = "it is listed as perhaps never shown; revoke it by its id and create another"


def network(text: str) -> Network:
    """Read an address or a network such as `192.0.2.0/24`; raises click.BadParameter."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        hint = "write an address or a network, as in 192.0.2.0/24"
        raise click.BadParameter(f"{text!r} is neither; {hint}") from None
    if "%" in text:
        raise click.BadParameter(f"{text!r} names an interface; write the address without it")
    if ip_interface(text).ip != found.network_address:
        raise click.BadParameter(
            f"{text!r} is an address within a network; write {found}, or the address alone"
        )
    return found


class CreateOptions(TypedDict):
    """The options of `password create`."""

    label: str
    scopes: tuple[str, ...]
    expires: int | None
    networks: tuple[Network, ...]
    read_only: bool
    send_only: bool
    primary_file: str | None
    code: str | None
    as_operator: bool
    as_json: bool


@click.group()
def password() -> None:
    """App passwords: one for each app, so that one can be ended alone."""


password.add_command(list_active)
password.add_command(history)


@password.command(short_help="Create an app password and show it once.")
@click.argument("email")
@click.option(
    "--label",
    required=True,
    help="What it is for, as in phone; unique among the active ones, whatever its case.",
)
@click.option(
    "--scope", "scopes", type=click.Choice(_SCOPES), multiple=True, required=True, help="Repeatable."
)
@click.option("--expires", type=expiry, metavar="WHEN", help="30d, 12w or a date such as 2027-03-01 (UTC).")
@click.option(
    "--from",
    "networks",
    type=network,
    multiple=True,
    help="Good only from this address or network. Repeatable.",
)
@click.option("--read-only", is_flag=True, help="It reads and changes nothing, and sends no mail.")
@click.option("--send-only", is_flag=True, help="It sends mail and reads nothing; for scope mail alone.")
@primary_file_option("Read the primary password from FILE.")
@click.option("--code", metavar="CODE", help="A fresh code of the second factor, or a recovery code.")
@click.option("--operator", "as_operator", is_flag=True, help="Spare the proof; written in the audit trail.")
@json_option
@click.pass_obj
def create(invocation: Invocation, email: str, **options: Unpack[CreateOptions]) -> None:
    """Create an app password for EMAIL and show it, once.

    Asks for the primary password and a code of the second factor, unless the operator vouches. Whoever may
    open the store here can list its accounts, so that one is missing is said before anything is asked.
    """
    request = MintRequest(
        label=options["label"],
        scopes=frozenset(map(Scope, options["scopes"])),
        expires_at=options["expires"],
        limits=_limits(options),
    )
    primary_file, code, as_operator = options["primary_file"], options["code"], options["as_operator"]
    if as_operator and (primary_file is not None or code is not None):
        raise click.UsageError("--operator spares the proof; leave --primary-password-file and --code out")
    with Desk(invocation.config()) as desk:
        account = desk.run(desk.accounts.find(email))
        may_have_one(account)
        if as_operator:
            actor, proof = operator(), None
        else:
            _must_have_a_primary(account)
            actor, proof = owner(email), _proof(primary_file, code)
        minted = desk.run(desk.accounts.mint(email, request, actor, proof))
        _show_once(desk, email, minted, as_json=options["as_json"])


@password.command()
@click.argument("email")
@click.argument("which", metavar="ID-LABEL-OR-SELECTOR")
@json_option
@click.pass_obj
def revoke(invocation: Invocation, email: str, which: str, as_json: bool) -> None:
    """End one app password of EMAIL for good; its sessions are cut."""
    with Desk(invocation.config()) as desk:
        email = desk.run(desk.accounts.find(email)).email
        revocation = desk.run(desk.accounts.revoke(email, which, operator()))
        cut = desk.cut(revocation)
    row = revocation.app_password
    label, selector = ("", "") if row is None else (row.label, row.selector)
    if as_json:
        emit({"email": email, "label": label, "selector": selector} | cut.facts)
    elif revocation.change is None:
        say(f"{plain(label)} ({selector}) was revoked already")
    else:
        say(f"revoked {plain(label)} ({selector}); {counted(cut.sessions, 'session')} cut")
    cut.warn()


@password.command()
@click.argument("email")
@yes_option
@json_option
@click.pass_obj
def revoke_all(invocation: Invocation, email: str, yes: bool, as_json: bool) -> None:
    """End all app passwords of EMAIL for good; their sessions are cut."""
    with Desk(invocation.config()) as desk:
        email = desk.run(desk.accounts.find(email)).email
        active = desk.run(desk.accounts.preview(email))
        if yes or active or not on_terminal():
            confirm(f"Revoke all of {email}", will_be_revoked(active), yes=yes)
        cut = desk.cut(desk.run(desk.accounts.revoke_all(email, operator())))
    if as_json:
        emit({"email": email} | cut.facts)
    else:
        say(cut.text)
    cut.warn()


def _limits(options: CreateOptions) -> Limits:
    """Take the limits; raises click.UsageError for two that leave nothing."""
    if options["read_only"] and options["send_only"]:
        raise click.UsageError("--read-only and --send-only leave nothing to open; say one of them")
    return Limits(
        networks=tuple(dict.fromkeys(options["networks"])),
        read_only=options["read_only"],
        send_only=options["send_only"],
    )


def _must_have_a_primary(account: AccountRow) -> None:
    """Refuse to ask for what a service account does not have."""
    if account.is_service:
        hint = "only the operator makes its app passwords: say --operator"
        fail(f"{account.email} is a service account: it has no primary password", hint)


def _proof(primary_file: str | None, code: str | None) -> Proof:
    """Take the primary password and a code, from options or from the person."""
    primary = primary_password(primary_file)
    if code is None:
        given = ask_hidden("Code of the second factor", otherwise="say --code with a fresh code")
    else:
        given = Secret(code)
    return Proof(primary=primary, code=given)


def _show_once(desk: Desk, email: str, minted: Minted, *, as_json: bool) -> None:
    """Print what was committed, flush it, then note that it was shown."""
    try:
        if as_json:
            emit(_facts(minted))
        else:
            _print(email, minted)
        shown = finish_output()
    except (OSError, OutputLost):
        abandon_output()
        shown = False
    if not shown:
        fail(f"app password {minted.id} was created and could not be shown", _NOT_SHOWN_HINT)
    try:
        desk.run(desk.accounts.mark_shown(minted.id))
    except StoreUnavailable:
        note("the password is good, but the store did not take the note that it was shown")


def _print(email: str, minted: Minted) -> None:
    """Show an app password to a person."""
    until = [] if minted.expires_at is None else [f"until {Moment(minted.expires_at).text} UTC"]
    may = "; ".join([scope_words(minted.scopes), *limit_words(minted.limits), *until])
    say(f"{plain(minted.label)} ({may}), signing in as {plain(canonical(email) or email)}:")
    say("")
    say(f"    {minted.password.reveal()}")
    say("")
    say("It is not shown again. Hyphens, spaces and capitals do not matter when it is typed.")


def _facts(minted: Minted) -> dict[str, Any]:
    return {
        "id": minted.id,
        "label": minted.label,
        "selector": minted.selector,
        "scopes": list(in_order(minted.scopes)),
        **limit_facts(minted.limits),
        "expires_at": Moment(minted.expires_at).iso,
        "password": minted.password.reveal(),
    }
