"""Signing in at a server behind outside of any session: to see whether what is about to be stored works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Container, Mapping
from dataclasses import dataclass

from config.address import AddressKind
from config.models import Config
from config.upstream import ImapUpstream as ImapTable
from config.upstream import SmtpUpstream as SmtpTable
from proxy.imap.upstream import ImapUpstream
from proxy.server.behind import place_of, telling_of
from proxy.server.errors import ServeError
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.by_domain import domain_of
from proxy.upstreams.login import template_filled
from proxy.upstreams.proof import Proof, SignInAs
from scopes.model import Grant, Identity, IdentityKind, Scope, Service


@dataclass(frozen=True, slots=True)
class OnTrial:
    """A sign-in kind for one try: as the account itself, by what is stored nowhere yet."""

    login: str
    shown: Proof

    async def proof(self, grant: Grant) -> Proof:  # noqa: ARG002 - it is for one account
        """Give what was given."""
        return self.shown

    async def refused(self, grant: Grant, proof: Proof) -> bool:  # noqa: ARG002 - it would be the same again
        """Another try would be the same one."""
        return False

    def login_of(self, grant: Grant) -> str:  # noqa: ARG002 - it is for one account
        """Give the account's login at the upstream."""
        return self.login


def table_of(config: Config, service: Service, email: str) -> ImapTable | SmtpTable | None:
    """Give the table of the mail server behind for an account, whatever it is; None where there is none."""
    name = "imap" if service is Service.IMAP else "smtp"
    tables = {each.name: getattr(each.upstream, name) for each in config.domain}
    told: ImapTable | SmtpTable | None = tables.get(domain_of(email)) or getattr(config.upstream, name)
    return told


def table_for(config: Config, service: Service, email: str) -> ImapTable | SmtpTable:
    """Give the table of the server behind for an account. Raises ServeError where a secret can go nowhere."""
    told = table_of(config, service, email)
    if told is None:
        table = "imap" if service is Service.IMAP else "smtp"
        raise ServeError(f"there is no {service} server behind for {email}", f"write [upstream.{table}]")
    if told.address.kind is AddressKind.EMBEDDED:
        raise ServeError("the built-in server needs no login and no secret", "name a server in the config")
    if isinstance(told, SmtpTable) and told.sign_in is not None and told.sign_in.kind == "none":
        what = f"{told.address} trusts the gate without a sign-in"
        raise ServeError(what, "give it a sign_in of another kind")
    return told


def usual_login(config: Config, service: Service, email: str) -> str:
    """Give the login that the config makes for an account. Raises ServeError as `table_for`."""
    return template_filled(table_for(config, service, email).login, email)


def set_for_it_alone(
    config: Config, email: str, known: Container[Service], wanted: Mapping[Service, Identity]
) -> dict[Service, str]:
    """Give the logins that must be stored with a token, because the config alone would sign in otherwise.

    `known` are the services where something is set for the account already.
    """
    logins = {}
    for service, identity in wanted.items():
        sign_in = table_for(config, service, email).sign_in
        usual = sign_in is not None and sign_in.provider == identity.provider
        same = identity.login == usual_login(config, service, email)
        if identity.kind is IdentityKind.OAUTH2 and not (usual and same and service not in known):
            logins[service] = identity.login
    return logins


def served(config: Config, email: str) -> list[Service]:
    """Give the mail services whose server behind asks the gate to sign in for this account."""
    found = []
    for service in (Service.IMAP, Service.SUBMISSION):
        with contextlib.suppress(ServeError):
            table_for(config, service, email)
            found.append(service)
    return found


async def try_sign_in(
    config: Config, service: Service, email: str, identity: Identity, kind: SignInAs
) -> None:
    """Sign in once at the account's server behind, and leave. Raises `UpstreamFailure` and ServeError."""
    told = table_for(config, service, email)
    grant = Grant(
        account_id="",
        email=email,
        app_password_id="",
        label="",
        scopes=frozenset({Scope.MAIL}),
        identities={service: identity},
    )
    # Off the loop, which would stand still for the 30 ms in which OpenSSL reads the system's authorities.
    place, telling = await asyncio.to_thread(place_of, told), telling_of(told)
    upstream = (
        ImapUpstream(place=place, sign_in_as=kind, client_address=telling)
        if service is Service.IMAP
        else SmtpUpstream(
            place=place, sign_in_as=kind, client_address=telling, name=config.server.public_host
        )
    )
    (await upstream.sign_in(grant)).connection.abort()
