"""Signing in at a server behind outside of any session: to see whether what is about to be stored works."""

from __future__ import annotations

import contextlib

from config.address import AddressKind
from config.models import Config
from config.upstream import ImapUpstream as ImapTable
from config.upstream import SmtpUpstream as SmtpTable
from proxy.imap.upstream import ImapUpstream
from proxy.server.behind import place_of, telling_of
from proxy.server.errors import ServeError
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.by_domain import domain_of
from proxy.upstreams.proof import SignInAs
from scopes.model import Grant, Identity, Scope, Service


def table_for(config: Config, service: Service, email: str) -> ImapTable | SmtpTable:
    """Give the table of the server behind for an account. Raises ServeError where a secret can go nowhere."""
    name = "imap" if service is Service.IMAP else "smtp"
    tables = {each.name: getattr(each.upstream, name) for each in config.domain}
    told: ImapTable | SmtpTable | None = tables.get(domain_of(email)) or getattr(config.upstream, name)
    if told is None:
        raise ServeError(f"there is no {service} server behind for {email}", f"write [upstream.{name}]")
    if told.address.kind is AddressKind.EMBEDDED:
        raise ServeError("the built-in server needs no login and no secret", "name a server in the config")
    if isinstance(told, SmtpTable) and told.sign_in is not None and told.sign_in.kind == "none":
        what = f"{told.address} trusts the gate without a sign-in"
        raise ServeError(what, "give it a sign_in of another kind")
    return told


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
    place, telling = place_of(told), telling_of(told)
    upstream = (
        ImapUpstream(place=place, sign_in_as=kind, client_address=telling)
        if service is Service.IMAP
        else SmtpUpstream(
            place=place, sign_in_as=kind, client_address=telling, name=config.server.public_host
        )
    )
    (await upstream.sign_in(grant)).connection.abort()
