"""How an account is authorised: by whom, as whom, what the provider gives, and whether that works.

Loaded only by those who authorise, because the server's parts come with it. What fails here ends the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from auth.identities import Known, check_login
from config.models import Config
from proxy.cli.desk import Desk
from proxy.cli.output import fail, fail_usage, plain
from proxy.cli.pasting import AtTerminal
from proxy.net.tls import CertificateProblem
from proxy.server.providers import poster_of, provider_of
from proxy.server.trying import OnTrial, served, table_for, try_sign_in, usual_login
from proxy.upstreams.oauth2.authorising import NotAuthorisedError, by_browser, by_device
from proxy.upstreams.oauth2.messages import Tokens
from proxy.upstreams.oauth2.provider import Flow
from proxy.upstreams.oauth2.sign_in import token_proof
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal
from scopes.model import Identity, IdentityKind, Service

if TYPE_CHECKING:
    from proxy.cli.authorizing import AuthorizeOptions

# --- what is meant ------------------------------------------------------------------------------------------


def provider_of_account(config: Config, desk: Desk, email: str, options: AuthorizeOptions) -> str:
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
    found = [row.provider for row in desk.run(desk.accounts.oauth_tokens.of(email)).tokens]
    for service in served(config, email):
        sign_in = table_for(config, service, email).sign_in
        if sign_in is not None and sign_in.provider is not None:
            found.append(sign_in.provider)
    return [name for name in dict.fromkeys(found) if name in config.oauth2]


def wanted(
    config: Config, account: Known, provider: str, options: AuthorizeOptions
) -> dict[Service, Identity]:
    """Give who the account is to be, at the servers it signs in at."""
    email = account.account.email
    services = [Service(name) for name in dict.fromkeys(options["services"])] or served(config, email)
    if not services:
        fail_usage("there is no server behind that asks for a sign-in", "name one in [upstream.imap]")
    identities = {}
    for service in services:
        own = account.identities.get(service)
        login = options["login"] or (usual_login(config, service, email) if own is None else own.login)
        check_login(login)
        identities[service] = Identity(kind=IdentityKind.OAUTH2, login=login, provider=provider)
    return identities


# --- at the provider ----------------------------------------------------------------------------------------


def authorised(
    config: Config, desk: Desk, name: str, wanted: Mapping[Service, Identity], options: AuthorizeOptions
) -> Tokens:
    """Ask the owner and the provider; ends the command when either says no."""
    try:
        provider, post = provider_of(name, config.oauth2[name]), poster_of(config.oauth2[name])
    except CertificateProblem as problem:
        fail_usage(str(problem), "see what is wrong with: wicketgate check")
    flow = Flow(options["flow"]) if options["flow"] else provider.flows[0]
    if flow not in provider.flows:
        hint = f"say --flow {provider.flows[0]}"
        fail_usage(f"{name} lets nobody in by the flow {flow}", hint)
    person = AtTerminal(as_json=options["as_json"])
    try:
        if flow is Flow.DEVICE:
            return desk.run(by_device(provider, post, person.show_code))
        login = next(iter(wanted.values())).login
        return desk.run(by_browser(provider, post, login, person))
    except NotAuthorisedError as error:
        fail(plain(str(error)), error.hint)
    except UpstreamFailure as failure:
        fail(f"{name} cannot be asked: {plain(str(failure))}", "nothing was stored; try again")


# --- at the servers behind ----------------------------------------------------------------------------------


def try_it(desk: Desk, config: Config, email: str, wanted: tuple[Service, Identity], tokens: Tokens) -> None:
    """Sign in once as the account would; what the server behind says about it is for the operator."""
    service, identity = wanted
    proof = token_proof(identity.login, tokens.access, table_for(config, service, email).address)
    kind = OnTrial(identity.login, proof)
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
