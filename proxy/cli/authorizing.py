"""`wicketgate account authorize`: let the gate into an account at an OAuth 2 provider.

The owner of the mailbox signs in at the provider and agrees: in a browser on this machine, in one elsewhere
whose last address is brought here, or with a code on another device. What the provider gives is tried at the
servers behind before it is stored, as `account set-upstream` does it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from auth.identities import Known, check_login
from auth.oauth_tokens import Authorisations
from config.models import Config
from proxy.cli.app import Invocation
from proxy.cli.authorisations import authorisation_facts, shown_until
from proxy.cli.desk import Desk, operator
from proxy.cli.output import emit, emit_line, fail, fail_usage, json_option, note, plain, say
from proxy.cli.pasting import AtTerminal, say_now
from scopes.model import Grant, Identity, IdentityKind, Service

if TYPE_CHECKING:  # only who authorises pays for loading these
    from proxy.upstreams.oauth2.messages import DeviceCode, Tokens
    from proxy.upstreams.proof import Proof

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
    config = invocation.config()
    with Desk(config) as desk:
        account = desk.run(desk.accounts.identities.of(email))
        email = account.account.email
        name = _provider(config, desk, email, options)
        if options["remove"]:
            _remove(desk, email, name, options)
            return
        wanted = _wanted(config, account, name, options)
        tokens = _authorised(config, desk, name, wanted, options)
        if not options["no_try"]:
            for identity in wanted.items():
                _try(desk, config, email, identity, tokens)
        given = tokens.given(time.time())
        assert given is not None  # noqa: S101 - without one we were not authorised
        logins = _set_for_it_alone(config, account, wanted)
        known = desk.run(desk.accounts.oauth_tokens.authorise(email, name, given, logins, operator()))
    _answer(known, name, wanted, options)


# --- what is meant ------------------------------------------------------------------------------------------


def _provider(config: Config, desk: Desk, email: str, options: AuthorizeOptions) -> str:
    """Give the provider that is meant: the one that was named, the account's own, or the only one."""
    named, known = options["provider"], list(config.oauth2)
    if named is not None:
        if named not in known and not options["remove"]:
            hint = f"those there are: {', '.join(known) or 'none'}"
            fail_usage(f"there is no table [oauth2.{named}]", hint)
        return named
    candidates = _own_providers(config, desk, email) or known
    if not candidates:
        fail_usage("no provider is configured", "write a table [oauth2.NAME]; docs/oauth.md has the steps")
    if len(candidates) > 1:
        fail_usage("there are several providers", f"name one with --provider: {', '.join(candidates)}")
    return candidates[0]


def _own_providers(config: Config, desk: Desk, email: str) -> list[str]:
    """Give the providers by which the account signs in, or would by the config alone."""
    from proxy.server.trying import served, table_for  # noqa: PLC0415

    found = [row.provider for row in desk.run(desk.accounts.oauth_tokens.of(email)).tokens]
    for service in served(config, email):
        sign_in = table_for(config, service, email).sign_in
        if sign_in is not None and sign_in.provider is not None:
            found.append(sign_in.provider)
    return [name for name in dict.fromkeys(found) if name in config.oauth2]


def _wanted(
    config: Config, account: Known, provider: str, options: AuthorizeOptions
) -> dict[Service, Identity]:
    """Give who the account is to be, at the servers it signs in at."""
    from proxy.server.trying import served  # noqa: PLC0415

    email = account.account.email
    services = [Service(name) for name in dict.fromkeys(options["services"])] or served(config, email)
    if not services:
        fail_usage("there is no server behind that asks for a sign-in", "name one in [upstream.imap]")
    wanted = {}
    for service in services:
        own = account.identities.get(service)
        login = options["login"] or (_usual_login(config, email, service) if own is None else own.login)
        check_login(login)
        wanted[service] = Identity(kind=IdentityKind.OAUTH2, login=login, provider=provider)
    return wanted


def _set_for_it_alone(
    config: Config, account: Known, wanted: Mapping[Service, Identity]
) -> dict[Service, str]:
    """Give the logins that must be stored, because the config alone would sign in otherwise."""
    from proxy.server.trying import table_for  # noqa: PLC0415

    email, logins = account.account.email, {}
    for service, identity in wanted.items():
        sign_in = table_for(config, service, email).sign_in
        usual = sign_in is not None and sign_in.provider == identity.provider
        same = identity.login == _usual_login(config, email, service)
        if not (usual and same and service not in account.identities):
            logins[service] = identity.login
    return logins


def _usual_login(config: Config, email: str, service: Service) -> str:
    """Give the login that the config makes."""
    from proxy.server.trying import table_for  # noqa: PLC0415
    from proxy.upstreams.login import template_filled  # noqa: PLC0415

    return template_filled(table_for(config, service, email).login, email)


# --- at the provider ----------------------------------------------------------------------------------------


def _authorised(
    config: Config, desk: Desk, name: str, wanted: Mapping[Service, Identity], options: AuthorizeOptions
) -> Tokens:
    """Ask the owner and the provider; ends the command when either says no."""
    from proxy.net.tls import CertificateProblem  # noqa: PLC0415
    from proxy.server.providers import poster_of, provider_of  # noqa: PLC0415
    from proxy.upstreams.oauth2.authorising import NotAuthorisedError, by_browser, by_device  # noqa: PLC0415
    from proxy.upstreams.oauth2.provider import Flow  # noqa: PLC0415
    from proxy.upstreams.place import UpstreamFailure  # noqa: PLC0415

    try:
        provider, post = provider_of(name, config.oauth2[name]), poster_of(config.oauth2[name])
    except CertificateProblem as problem:
        fail_usage(str(problem), "see what is wrong with: wicketgate check")
    flow = Flow(options["flow"]) if options["flow"] else provider.flows[0]
    if flow not in provider.flows:
        hint = f"say --flow {provider.flows[0]}"
        fail_usage(f"{name} lets nobody in by the flow {flow}", hint)
    try:
        if flow is Flow.DEVICE:
            return desk.run(by_device(provider, post, _show_code(as_json=options["as_json"])))
        login = next(iter(wanted.values())).login
        return desk.run(by_browser(provider, post, login, AtTerminal(as_json=options["as_json"])))
    except NotAuthorisedError as error:
        fail(plain(str(error)), error.hint)
    except UpstreamFailure as failure:
        fail(f"{name} cannot be asked: {plain(str(failure))}", "nothing was stored; try again")


@dataclass(frozen=True, slots=True)
class _ShowCode:
    as_json: bool

    def __call__(self, code: DeviceCode) -> None:
        if self.as_json:
            seconds = int(code.lifetime_s)
            emit_line({"address": code.address, "user_code": code.user_code, "expires_in_s": seconds})
        else:
            say("Open this address on any device and type the code there:")
            say(f"  {plain(code.address)}")
            say(f"  {plain(code.user_code)}")
        say_now()


def _show_code(*, as_json: bool) -> _ShowCode:
    return _ShowCode(as_json)


# --- at the servers behind ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OnTrial:
    """Signs in with the token that has just been given, as the gate will."""

    login: str
    proof_of: Proof

    async def proof(self, grant: Grant) -> Proof:  # noqa: ARG002 - there is one
        return self.proof_of

    async def refused(self, grant: Grant, proof: Proof) -> bool:  # noqa: ARG002 - it would be the same again
        return False

    def login_of(self, grant: Grant) -> str:  # noqa: ARG002
        return self.login


def _try(desk: Desk, config: Config, email: str, wanted: tuple[Service, Identity], tokens: Tokens) -> None:
    """Sign in once as the account would; what the server behind says about it is for the operator."""
    from proxy.server.trying import table_for, try_sign_in  # noqa: PLC0415
    from proxy.upstreams.oauth2.sign_in import token_proof  # noqa: PLC0415
    from proxy.upstreams.place import UpstreamFailure  # noqa: PLC0415
    from proxy.upstreams.proof import UpstreamRefusal  # noqa: PLC0415

    service, identity = wanted
    proof = token_proof(identity.login, tokens.access, table_for(config, service, email).address)
    kind = _OnTrial(identity.login, proof)
    try:
        desk.run(try_sign_in(config, service, email, identity, kind))
    except UpstreamRefusal as refused:
        hint = (
            f"nothing was stored. See that it was {identity.login} who agreed, or name the account by "
            f"--login; see that it may use {service} there, or leave that server out by --service"
        )
        fail(f"the {service} server behind refuses {identity.login}: {plain(str(refused))}", hint)
    except UpstreamFailure as failure:
        hint = "nothing was stored; try again when it answers, or store it untried with --no-try"
        fail(f"the {service} server behind cannot be tried: {plain(str(failure))}", hint)


# --- what is said -------------------------------------------------------------------------------------------


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
