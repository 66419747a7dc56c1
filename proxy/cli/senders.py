"""`wicketgate account sender`: what an account may send as, beside its email and its aliases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from auth.senders import Sending
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, operator
from proxy.cli.output import emit, json_option, note, plain, say, table

_HEADERS: Final = ("ADDRESS", "WHY")
_TO_QUOTE: Final = "Quote a domain, '*@example.net', or the shell may replace the star."

_LEFT_TO_UPSTREAM: Final = (
    "senders are left to the server behind here, which may say otherwise; "
    'this counts once the config file has sender = "own" in [policy]'
)


@click.group()
def sender() -> None:
    """What an account may send as."""


@sender.command(name="list")
@click.argument("email")
@json_option
@click.pass_obj
def list_senders(invocation: Invocation, email: str, as_json: bool) -> None:
    """List all that EMAIL may send as, and why."""
    with Desk(invocation.config()) as desk:
        sending = desk.run(desk.accounts.senders.of(email))
    if as_json:
        emit([{"address": address, "why": why} for address, why in _reasons(sending)])
    else:
        table(_HEADERS, list(_reasons(sending)))


@sender.command(epilog=_TO_QUOTE)
@click.argument("email")
@click.argument("address")
@json_option
@click.pass_obj
def add(invocation: Invocation, email: str, address: str, as_json: bool) -> None:
    """Let EMAIL send as ADDRESS, or as every address of a domain.

    Beside these an account sends as its email, as its email with +anything before the @, and as its aliases.
    """
    config = invocation.config()
    with Desk(config) as desk:
        sending = desk.run(desk.accounts.senders.add(email, address, operator()))
    _answer(sending, f"{sending.account.email} may now send as {address}", as_json=as_json)
    if config.sender_rule == "upstream":
        note(_LEFT_TO_UPSTREAM)


@sender.command(epilog=_TO_QUOTE)
@click.argument("email")
@click.argument("address")
@json_option
@click.pass_obj
def remove(invocation: Invocation, email: str, address: str, as_json: bool) -> None:
    """Let EMAIL send as ADDRESS no more."""
    with Desk(invocation.config()) as desk:
        sending = desk.run(desk.accounts.senders.remove(email, address, operator()))
    _answer(sending, f"{sending.account.email} may no longer send as {address}", as_json=as_json)


def _answer(sending: Sending, words: str, *, as_json: bool) -> None:
    """Say what was done, or give what is listed now."""
    if as_json:
        emit({"email": sending.account.email, "senders": list(sending.listed)})
    else:
        say(plain(words))


def _reasons(sending: Sending) -> Iterator[tuple[str, str]]:
    """Give each address with the word for why; one that is an alias and listed has two."""
    for name in sending.own:
        yield name, "email" if name == sending.account.email else "alias"
    for address in sending.listed:
        yield address, "listed"
