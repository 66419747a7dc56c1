"""`wicketgate account authorize`: let the gate into an account at an OAuth 2 provider.

The owner of the mailbox signs in at the provider and agrees: in a browser on this machine, in one elsewhere
whose last address is brought here, or with a code on another device. What the provider gives is tried at the
servers behind before it is stored, as `account set-upstream` does it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypedDict, Unpack

import click

from auth.oauth_tokens import Authorisations
from proxy.cli.app import Invocation
from proxy.cli.authorisations import authorisation_facts, shown_until
from proxy.cli.desk import Desk, operator
from proxy.cli.output import emit, emit_line, json_option, note, plain, say
from scopes.model import Identity, Service

_FLOWS = ("browser", "device")


class AuthorizeOptions(TypedDict):
    """The options of `account authorize`."""

    provider: str | None
    flow: str | None
    login: str | None
    services: tuple[str, ...]
    remove: bool
    no_try: bool
    as_json: bool


@click.command()
@click.argument("email")
@click.option("--provider", metavar="NAME", help="The provider [oauth2.NAME]; without it the account's own.")
@click.option("--flow", type=click.Choice(_FLOWS), help="In a browser, or by a code on another device.")
@click.option("--login", metavar="NAME", help="The account's name there; without it as the config says.")
@click.option(
    "--service",
    "services",
    type=click.Choice([Service.IMAP.value, Service.SUBMISSION.value]),
    multiple=True,
    help="For this server behind alone. Repeatable; without it for each that the account signs in at.",
)
@click.option("--remove", is_flag=True, help="Forget what was authorised.")
@click.option("--no-try", is_flag=True, help="Store it untried, while the server behind is away.")
@json_option
@click.pass_obj
def authorize(invocation: Invocation, email: str, **options: Unpack[AuthorizeOptions]) -> None:
    """Let the gate into EMAIL at an OAuth 2 provider, once it is tried.

    Open the address that is shown. Where the browser is on another machine, it ends at an address that it
    cannot reach: copy that one from its address bar and paste it here. With --json the output is two objects,
    a line each: what is to be opened, and the outcome.
    """
    from proxy.cli import granting  # noqa: PLC0415 - only who authorises pays for loading it
    from proxy.server.trying import set_for_it_alone  # noqa: PLC0415

    config = invocation.config()
    with Desk(config) as desk:
        account = desk.run(desk.accounts.identities.of(email))
        email = account.account.email
        name = granting.provider_of_account(config, desk, email, options)
        if options["remove"]:
            _remove(desk, email, name, options)
            return
        wanted = granting.wanted(config, account, name, options)
        tokens = granting.authorised(config, desk, name, wanted, options)
        if not options["no_try"]:
            for identity in wanted.items():
                granting.try_it(desk, config, email, identity, tokens)
        given = tokens.given(time.time())
        assert given is not None  # noqa: S101 - without one we were not authorised
        logins = set_for_it_alone(config, email, account.identities, wanted)
        known = desk.run(desk.accounts.oauth_tokens.authorise(email, name, given, logins, operator()))
    _answer(known, name, wanted, options)


def _remove(desk: Desk, email: str, provider: str, options: AuthorizeOptions) -> None:
    known = desk.run(desk.accounts.oauth_tokens.remove(email, provider, operator()))
    if options["as_json"]:
        emit({"email": email, "authorised": authorisation_facts(known.tokens)})
        return
    say(f"forgot what {email} had authorised at {plain(provider)}")
    note("the provider still lists the permission; whoever owns the mailbox takes it back there")


def _answer(
    known: Authorisations, provider: str, wanted: Mapping[Service, Identity], options: AuthorizeOptions
) -> None:
    email = known.account.email
    if options["as_json"]:
        emit_line({"email": email, "authorised": authorisation_facts(known.tokens)})
        return
    logins = ", ".join(f"{service} as {identity.login}" for service, identity in wanted.items())
    words = "stored untried" if options["no_try"] else "tried and stored"
    say(plain(f"{email} at {provider}, {words}: {logins}"))
    if until := shown_until(known.tokens, provider):
        note(f"the provider ends this on {until} UTC; docs/oauth.md says why, and how to avoid it")
