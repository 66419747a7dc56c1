"""What answers on each kind of listener, joined to what stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from auth.hashing import Hasher
from auth.seal import KeyRing
from auth.store.store import Store
from config.models import Config
from proxy.dav.authorities import Authorities
from proxy.dav.front_end import DavFrontEnd
from proxy.dav.settings import Settings as DavSettings
from proxy.dav.wall import Wall
from proxy.failures import House
from proxy.imap.alerts import Alerts
from proxy.imap.front_end import ImapFrontEnd
from proxy.imap.ports import Settings as ImapSettings
from proxy.letters.words import From
from proxy.net.certificates import Certificates
from proxy.net.tls import CertificateFiles
from proxy.portal.front_end import PortalFrontEnd
from proxy.ports import Ports
from proxy.server.behind import dav_upstream, imap_upstream, submission_upstream
from proxy.server.built_in import BuiltIn
from proxy.server.listening import Bound, Handler
from proxy.server.mailing import Mailing, Route
from proxy.server.portal import House as PortalHouse
from proxy.server.portal import by_host, endpoints_of, portal_of
from proxy.server.providers import Memories, safes_of
from proxy.sessions import Registry
from proxy.smtp.data import BareNewlines
from proxy.smtp.front_end import SubmissionFrontEnd
from proxy.smtp.offer import Extra, Offer, extras_of_all
from proxy.smtp.ports import Settings as SubmissionSettings
from proxy.smtp.sender import SenderRule
from proxy.smtp.session import SessionSettings, Submission
from scopes.model import Scope

_IMAP: Final = "imap"
_HTTP: Final = "http/1.1"
PROTOCOLS: Final = (_IMAP, _HTTP)
"""Names in ALPN (RFC 7301); submission has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What stands for the life of the process, whatever the configuration says later."""

    config: Config
    """The one it was started with."""
    ports: Ports
    certificates: Certificates
    store: Store
    keys: KeyRing
    built_in: BuiltIn
    mailing: Mailing
    hasher: Hasher
    registry: Registry
    bound: Callable[[], Bound]
    """The ports that answer by now."""
    alerts: Alerts = field(default_factory=Alerts)
    """What apps were warned of by IMAP."""
    memories: Memories = field(default_factory=dict)
    """What is known of OAuth 2 tokens."""


def certificate_files(config: Config) -> list[CertificateFiles]:
    """Give the certificates of the listeners."""
    return [
        CertificateFiles(names=each.names, certificate=each.certificate, key=each.key)
        for each in config.tls.certificate
    ]


async def front_ends(config: Config, stack: AsyncExitStack, base: Foundation) -> dict[str, Handler]:
    """Make all, by the keys of `[listen]`; what has no server behind is not there.

    `stack` closes what is made. Raises ServeError, PrivateFileError and CertificateProblem.
    """
    ports, certificates, built_in = base.ports, base.certificates, base.built_in
    safes = safes_of(config, base.store, base.keys, base.memories)
    for tokens in safes.tokens.values():
        stack.push_async_callback(tokens.close)
    house = House(
        host=config.server.public_host,
        portal_url=config.portal_url,
        found_at=lambda: endpoints_of(config, base.bound()).portal_url,
    )
    handlers: dict[str, Handler] = {}
    if (imap := await imap_upstream(config, built_in, safes)) is not None:
        settings = ImapSettings(house=house, tls=lambda: certificates.context(_IMAP), alerts=base.alerts)
        mail = ImapFrontEnd(ports, imap, settings)
        handlers["imaps"] = partial(mail.handle, implicit_tls=True)
        handlers["imap"] = partial(mail.handle, implicit_tls=False)
    if (smtp := await submission_upstream(config, built_in, safes)) is not None:
        submission = SubmissionFrontEnd(ports, smtp, _submission(config, house, certificates, base.store))
        handlers["submissions"] = partial(submission.handle, implicit_tls=True)
        handlers["submission"] = partial(submission.handle, implicit_tls=False)
        if config.mail is not None:
            writer = From(host=config.server.public_host, portal_url=config.portal_url)
            base.mailing.offer(Route(sender=config.mail.sender, writer=writer, upstream=smtp), stack)
    portal = _portal(config, base) if config.serves_portal else None
    if portal is not None:
        stack.callback(portal.retire)
        handlers["portal"] = handlers["https"] = portal.handle
    if (dav := await dav_upstream(config, built_in, stack)) is not None:
        covers, other = config.tls.covers, config.portal.host
        authorities = Authorities(lambda host: covers(host) and host != other)
        wall = Wall(dav.ask, authorities=authorities, served=_served(config))
        told = DavSettings(
            house=house, tls=lambda: certificates.context(_HTTP), is_ours=authorities.__contains__
        )
        handlers["https"] = DavFrontEnd(ports, dav, wall, told).handle
        if portal is not None and other is not None:
            handlers["https"] = by_host(config, portal, handlers["https"], certificates)
    return handlers


def _portal(config: Config, base: Foundation) -> PortalFrontEnd:
    """Make the portal on what the process has."""
    house = PortalHouse(
        ports=base.ports,
        registry=base.registry,
        store=base.store,
        keys=base.keys,
        hasher=base.hasher,
        certificates=base.certificates,
        bound=base.bound,
    )
    return portal_of(config, house)


def _submission(config: Config, house: House, certificates: Certificates, store: Store) -> SubmissionSettings:
    """Put together what submission is told by the config."""
    rule = SenderRule(config.sender_rule)
    offer = Offer(size_octets=config.policy.message_octets, extras=extras_of(config))
    session = SessionSettings(
        house=house,
        offer=offer,
        rule=rule,
        senders=store,
        bare_newlines=BareNewlines(config.policy.bare_newlines),
    )
    return SubmissionSettings(
        house=house,
        offer=offer,
        tls=certificates.context,
        session=partial(Submission, settings=session),
    )


def extras_of(config: Config) -> tuple[Extra, ...]:
    """Give what EHLO says beyond the fixed list; no chunks where the header is held to be looked at."""
    tables = (config.upstream.smtp, *(each.upstream.smtp for each in config.domain))
    extras = extras_of_all(table.extensions for table in tables if table is not None)
    if SenderRule(config.sender_rule) is SenderRule.UPSTREAM:
        return extras
    return tuple(extra for extra in extras if extra is not Extra.CHUNKING)


def _served(config: Config) -> frozenset[Scope]:
    """Give the DAV scopes that have a server behind."""
    tables = {Scope.CONTACTS: config.upstream.contacts, Scope.EVENTS: config.upstream.events}
    return frozenset(scope for scope, table in tables.items() if table is not None)
