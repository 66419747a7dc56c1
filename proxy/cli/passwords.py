"""`wicketgate password`: create an app password, and end one or all of them.

An app password is shown once (`showing`). Whoever is killed or loses the reader before it was leaves a row
that lists say was perhaps never shown.
"""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from typing import Final, TypedDict, Unpack

import click

from auth.accounts import MintRequest
from auth.minting import may_have_one
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted, operator
from proxy.cli.expiring import expiring
from proxy.cli.output import emit, json_option, plain, say
from proxy.cli.password_lists import history, list_active
from proxy.cli.questions import confirm, on_terminal, will_be_revoked, yes_option
from proxy.cli.renewing import renew
from proxy.cli.showing import show_once, tell_of_change
from proxy.cli.times import expiry
from proxy.cli.vouching import Vouching, proof_options
from scopes.model import Limits, Network, Scope

_SCOPES: Final = [scope.value for scope in Scope]


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
password.add_command(renew)
password.add_command(expiring)


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
@proof_options
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
    vouching = Vouching(options["primary_file"], options["code"], options["as_operator"])
    with Desk(invocation.config()) as desk:
        account = desk.run(desk.accounts.find(email))
        may_have_one(account)
        actor, proof = vouching.who(account, email)
        minted = desk.run(desk.accounts.mint(email, request, actor, proof))
        tell_of_change(desk, minted)
        show_once(desk, email, minted, as_json=options["as_json"])


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
