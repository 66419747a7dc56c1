"""`wicketgate account alias`: the further names of an account, each as good as its email for signing in."""

from __future__ import annotations

import click

from auth.store.rows import AccountRow
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, operator
from proxy.cli.output import emit, json_option, plain, say


@click.group()
def alias() -> None:
    """Further names to sign in by."""


@alias.command(name="list")
@click.argument("email")
@json_option
@click.pass_obj
def list_aliases(invocation: Invocation, email: str, as_json: bool) -> None:
    """List the aliases of EMAIL."""
    with Desk(invocation.config()) as desk:
        row = desk.run(desk.accounts.find(email))
    if as_json:
        emit(list(row.aliases))
        return
    if not row.aliases:
        say(f"{row.email} has no aliases")
    for name in row.aliases:
        say(plain(name))


@alias.command()
@click.argument("email")
@click.argument("name", metavar="ALIAS")
@json_option
@click.pass_obj
def add(invocation: Invocation, email: str, name: str, as_json: bool) -> None:
    """Let ALIAS sign in as EMAIL."""
    with Desk(invocation.config()) as desk:
        desk.run(desk.accounts.aliases.add(email, name, operator()))
        row = desk.run(desk.accounts.find(email))
    _answer(row, f"{name} now signs in as {row.email}", as_json=as_json)


@alias.command()
@click.argument("email")
@click.argument("name", metavar="ALIAS")
@json_option
@click.pass_obj
def remove(invocation: Invocation, email: str, name: str, as_json: bool) -> None:
    """Let ALIAS sign in as EMAIL no more."""
    with Desk(invocation.config()) as desk:
        email = desk.run(desk.accounts.find(email)).email  # which may be called by the alias that goes
        desk.run(desk.accounts.aliases.remove(email, name, operator()))
        row = desk.run(desk.accounts.find(email))
    _answer(row, f"{name} no longer signs in as {row.email}", as_json=as_json)


def _answer(row: AccountRow, words: str, *, as_json: bool) -> None:
    """Say what was done, or give what aliases there are now."""
    if as_json:
        emit({"email": row.email, "aliases": list(row.aliases)})
    else:
        say(plain(words))
