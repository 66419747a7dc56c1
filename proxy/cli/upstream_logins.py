"""`wicketgate account set-upstream`: who an account is at the servers behind, and the secret it has there.

The secret is asked for, or read from a file, and tried at each server before anything is stored: what does
not work today would fail every app tomorrow. Nothing is stored when one of them refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import click

from auth.identities import Known, check_login, check_secret
from auth.secret import Secret
from config.models import Config
from proxy.cli.advice import advice
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, operator
from proxy.cli.output import emit, fail, fail_usage, json_option, plain, say
from proxy.cli.questions import ask_hidden, read_password
from scopes.model import Identity, IdentityKind, Service

_OTHERWISE = "name a file that holds it with --secret-file"


class SetOptions(TypedDict):
    """The options of `account set-upstream`."""

    services: tuple[str, ...]
    login: str | None
    secret_file: str | None
    login_only: bool
    clear: bool
    no_try: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Typed:
    """Gives the secret that was typed, as the store will."""

    typed: Secret | None

    async def secret(self, account_id: str, service: Service) -> Secret | None:  # noqa: ARG002 - there is one
        return self.typed


@click.command(name="set-upstream")
@click.argument("email")
@click.option(
    "--service",
    "services",
    type=click.Choice([Service.IMAP.value, Service.SUBMISSION.value]),
    multiple=True,
    help="At this server behind alone. Repeatable; without it at each that the account signs in at.",
)
@click.option("--login", metavar="NAME", help="The account's name there; without it as the config says.")
@click.option("--secret-file", metavar="FILE", help="Read the secret from FILE, one line; - is stdin.")
@click.option("--login-only", is_flag=True, help="Set the name alone; the gate signs in as the config says.")
@click.option("--clear", is_flag=True, help="Take away what was set.")
@click.option("--no-try", is_flag=True, help="Store it untried, while the server behind is away.")
@json_option
@click.pass_obj
def set_upstream(invocation: Invocation, email: str, **options: Unpack[SetOptions]) -> None:
    """Store the login and the secret that EMAIL has at the servers behind, once they are tried.

    For a provider this is the account's own app-specific password there. It lies sealed in the store and is
    shown to nobody.
    """
    _must_fit(options)
    config = invocation.config()
    with Desk(config) as desk:
        known = desk.run(desk.accounts.identities.of(email))
        if options["clear"]:
            for service in _services(options, known.identities):
                known = desk.run(desk.accounts.identities.clear(email, service, operator()))
            _answer(known, "as the config says", as_json=options["as_json"])
            return
        wanted = _wanted(config, known, options)
        secret = _secret(options)
        if not options["no_try"]:
            for service, identity in wanted.items():
                _try(desk, config, known.account.email, (service, identity), secret)
        for service, identity in wanted.items():
            known = desk.run(desk.accounts.identities.set(email, service, identity, secret, operator()))
    words = "stored untried" if options["no_try"] else "tried and stored"
    _answer(known, words, as_json=options["as_json"])


def identity_facts(identities: Mapping[Service, Identity]) -> list[dict[str, Any]]:
    """Give who an account is at the servers behind, as JSON does; never a secret."""
    return [
        {
            "service": service.value,
            "kind": each.kind.value,
            "login": each.login,
            "provider": each.provider or None,
        }
        for service, each in identities.items()
    ]


def identity_text(identities: Mapping[Service, Identity]) -> str:
    """Give the same on one line."""
    told = (
        f"{service} as {each.login} ({each.provider or each.kind.value})"
        for service, each in identities.items()
    )
    return ", ".join(told) or "-"


def _must_fit(options: SetOptions) -> None:
    if options["clear"] and (options["login"] or options["secret_file"] or options["login_only"]):
        raise click.UsageError("--clear goes with --service alone")
    if options["login_only"] and options["secret_file"]:
        raise click.UsageError("--login-only and --secret-file exclude each other")
    if options["login_only"] and not options["login"]:
        raise click.UsageError("--login-only needs --login")


def _services(options: SetOptions, usual: Sequence[Service] | Mapping[Service, Any]) -> list[Service]:
    return [Service(name) for name in dict.fromkeys(options["services"])] or list(usual)


def _wanted(config: Config, known: Known, options: SetOptions) -> dict[Service, Identity]:
    """Give who the account is to be, at the servers it signs in at. Nothing is connected to yet."""
    from proxy.server.trying import served, table_for  # noqa: PLC0415 - only who tries pays for loading it
    from proxy.upstreams.login import template_filled  # noqa: PLC0415

    email = known.account.email
    services = _services(options, served(config, email))
    if not services:
        fail_usage("there is no server behind that asks for a secret", "name one in [upstream.imap]")
    kind = IdentityKind.LOGIN if options["login_only"] else IdentityKind.STORED
    wanted = {}
    for service in services:
        login = options["login"] or template_filled(table_for(config, service, email).login, email)
        check_login(login)
        wanted[service] = Identity(login=login, kind=kind)
    return wanted


def _secret(options: SetOptions) -> Secret | None:
    if options["login_only"]:
        return None
    file = options["secret_file"]
    secret = read_password(file) if file is not None else ask_hidden("Secret", otherwise=_OTHERWISE)
    check_secret(secret)
    return secret


def _try(
    desk: Desk, config: Config, email: str, wanted: tuple[Service, Identity], secret: Secret | None
) -> None:
    """Sign in once as the account would; what the server behind says about it is for the operator."""
    from proxy.net.tls import CertificateProblem  # noqa: PLC0415 - only who tries pays for loading it
    from proxy.server.sign_ins import Safes, sign_in_as  # noqa: PLC0415 - only who tries pays for loading it
    from proxy.server.trying import table_for, try_sign_in  # noqa: PLC0415
    from proxy.upstreams.place import UpstreamFailure  # noqa: PLC0415
    from proxy.upstreams.proof import UpstreamRefusal  # noqa: PLC0415

    service, identity = wanted
    kind = sign_in_as(table_for(config, service, email), service, Safes(secrets=_Typed(secret)))
    if kind is None:
        fail_usage(f"no secret is shown to the {service} server behind", "name the other one with --service")
    try:
        desk.run(try_sign_in(config, service, email, identity, kind))
    except CertificateProblem as problem:
        fail_usage(str(problem), "see what is wrong with: wicketgate check")
    except UpstreamRefusal as refused:
        hint = "nothing was stored; see that login and secret are right there (spaces in a secret count)"
        fail(f"the {service} server behind refuses {identity.login}: {plain(str(refused))}", hint)
    except UpstreamFailure as failure:
        hint = f"{advice(str(failure))}. Nothing was stored; --no-try stores it untried"
        fail(f"the {service} server behind cannot be tried: {plain(str(failure))}", hint)


def _answer(known: Known, words: str, *, as_json: bool) -> None:
    if as_json:
        emit({"email": known.account.email, "upstream": identity_facts(known.identities)})
    else:
        say(plain(f"{known.account.email} at the servers behind, {words}: {identity_text(known.identities)}"))
