"""The servers behind the gate, made from the config."""

from __future__ import annotations

from contextlib import AsyncExitStack

from config.address import AddressKind
from config.models import Config
from config.upstream import ImapUpstream as ImapTable
from config.upstream import SmtpUpstream as SmtpTable
from config.upstream import Upstream
from proxy.dav.upstream import DavUpstream
from proxy.imap import upstream as imap
from proxy.imap.upstream import ImapUpstream
from proxy.net.tls import CertificateFiles, client_context
from proxy.server.built_in import BuiltIn
from proxy.server.errors import ServeError
from proxy.server.sign_ins import Safes, sign_in_as
from proxy.smtp import upstream as smtp
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.by_domain import ByDomain
from proxy.upstreams.login import Logins, login_template
from proxy.upstreams.place import Place
from proxy.upstreams.telling import Telling
from scopes.model import Service


async def imap_upstream(config: Config, built_in: BuiltIn, safes: Safes) -> ByDomain[imap.SignedIn] | None:
    """Make the way to the IMAP servers behind."""
    told = config.upstream.imap
    usual = None
    if told is not None and told.address.kind is AddressKind.EMBEDDED:
        mail = await built_in.mail()
        place = Place(address=told.address, embedded_socket=lambda: mail.socket_path)
        usual = ImapUpstream(place=place, sign_in_as=Authzid(user=mail.user, secret=mail.secret))
    elif told is not None:
        usual = _imap(told, safes)
    tables = {each.name: each.upstream.imap for each in config.domain}
    others = {name: _imap(table, safes) for name, table in tables.items() if table is not None}
    return ByDomain(usual=usual, by_domain=others) if usual or others else None


def _imap(told: ImapTable, safes: Safes) -> ImapUpstream:
    kind = sign_in_as(told, Service.IMAP, safes)
    if kind is None:
        raise ServeError(f"no way to sign in at {told.address}", "write its sign_in")
    return ImapUpstream(place=place_of(told), sign_in_as=kind, client_address=telling_of(told))


async def submission_upstream(
    config: Config, built_in: BuiltIn, safes: Safes
) -> ByDomain[smtp.SignedIn] | None:
    """Make the way to the submission servers behind."""
    told, name = config.upstream.smtp, config.server.public_host
    usual = None
    if told is not None and told.address.kind is AddressKind.EMBEDDED:
        delivery = await built_in.delivery()
        place = Place(address=told.address, embedded_socket=lambda: delivery.socket_path)
        kind = Authzid(user=delivery.user, secret=delivery.secret)
        usual = SmtpUpstream(place=place, sign_in_as=kind, name=name)
    elif told is not None:
        usual = _smtp(told, safes, name)
    tables = {each.name: each.upstream.smtp for each in config.domain}
    others = {domain: _smtp(table, safes, name) for domain, table in tables.items() if table is not None}
    return ByDomain(usual=usual, by_domain=others) if usual or others else None


def _smtp(told: SmtpTable, safes: Safes, name: str) -> SmtpUpstream:
    kind = sign_in_as(told, Service.SUBMISSION, safes)
    logins = Logins(template=told.login, service=Service.SUBMISSION)
    return SmtpUpstream(
        place=place_of(told), sign_in_as=kind, client_address=telling_of(told), logins=logins, name=name
    )


async def dav_upstream(config: Config, built_in: BuiltIn, stack: AsyncExitStack) -> DavUpstream | None:
    """Make the way to the server of contacts and calendars behind; `stack` closes what it keeps open."""
    told = config.upstream.dav
    if told is None:
        return None
    if told.address.kind is AddressKind.EMBEDDED:
        dav = await built_in.dav()
        place = Place(address=told.address, embedded_socket=lambda: dav.socket_path)
        upstream = DavUpstream(place, header=dav.header, login=login_template("{email}"))
    elif told.sign_in is None:
        raise ServeError(f"no way to sign in at {told.address}", "write its sign_in")
    else:
        upstream = DavUpstream(place_of(told), header=told.sign_in.header, login=login_template(told.login))
    stack.callback(upstream.close)
    return upstream


def place_of(told: Upstream) -> Place:
    """Say where a server that is not built in is, and read what TLS needs."""
    context = None
    if told.address.over_tls:
        shown = None
        if told.client_certificate is not None and told.client_key is not None:
            shown = CertificateFiles(names=(), certificate=told.client_certificate, key=told.client_key)
        context = client_context(told.ca_file, shown)
    return Place(address=told.address, tls=context, server_name=told.server_name)


def telling_of(told: ImapTable | SmtpTable) -> Telling | None:
    """Say how a server is told who the client is."""
    return None if told.client_address is None else Telling(told.client_address)
