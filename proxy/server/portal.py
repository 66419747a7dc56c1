"""The portal, joined to what the serving process has: accounts, history, live sessions, servers behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from auth.accounts import Accounts
from auth.deed import Revocation
from auth.hashing import Hasher
from auth.identities import Identities
from auth.seal import KeyRing
from auth.store.store import Store
from auth.upstream_tries import UpstreamTries
from config.models import Config
from config.portal import web_address
from proxy.dav.authorities import Authorities
from proxy.net.certificates import Certificates
from proxy.net.connection import Connection
from proxy.portal.front_end import PortalFrontEnd, PortalSettings
from proxy.portal.ports import PortalPorts
from proxy.portal.settings import Endpoints
from proxy.ports import Ports
from proxy.server.connections import ServersBehind
from proxy.server.listening import Bound, Handler
from proxy.server.places import workers_folder
from proxy.server.primaries import primaries_of
from proxy.sessions import Registry
from proxy.worker import Reports, await_reports

_HTTP = "http/1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What of the process the portal stands on."""

    ports: Ports
    registry: Registry
    store: Store
    keys: KeyRing
    hasher: Hasher
    certificates: Certificates
    bound: Callable[[], Bound]
    """The ports that answer by now."""


def portal_of(config: Config, house: House) -> PortalFrontEnd:
    """Make it."""
    accounts = accounts_of(config, house.store, house.hasher, house.keys)
    tries = UpstreamTries(house.store, house.keys, time.time)
    ports = PortalPorts(
        accounts=accounts,
        history=house.store,
        connections=ServersBehind(config, house.store, accounts, tries, now=time.time),
        live=house.registry.live,
        cut=partial(_cut, config, house.store),
        endpoints=lambda: endpoints_of(config, house.bound()),
        limit=config.policy.app_passwords,
        mails=config.mail is not None,
        now=time.time,
    )
    settings = PortalSettings(
        tls=lambda: house.certificates.context(_HTTP),
        is_ours=Authorities(partial(means_portal, config)).__contains__,
    )
    return PortalFrontEnd(house.ports, ports, settings)


def means_portal(config: Config, host: str) -> bool:
    """Tell whether browsers may mean the portal by a host: by its own name alone, where it has one.

    Else by every name that a certificate is for. The name that people are told counts too: it may be that of
    a web server in front.
    """
    told = urlsplit(config.portal_url or "").hostname
    if config.portal.host is None:
        return host == told or config.tls.covers(host)
    return host == config.portal.host or (host == told and host != config.server.public_host)


def accounts_of(config: Config, store: Store, hasher: Hasher, keys: KeyRing) -> Accounts:
    """Make what does deeds, as the config says."""
    return Accounts(
        store,
        hasher,
        keys,
        limit=config.policy.app_passwords,
        issuer=config.server.public_host,
        primaries=primaries_of(config, Identities(store, keys, time.time)),
    )


def by_host(config: Config, portal: PortalFrontEnd, dav: Handler, certificates: Certificates) -> Handler:
    """Serve two on one port: who asks for the portal's name in TLS gets the portal, everybody else the other.

    Each then answers for its own names alone, so a client that says another name in the request than in the
    handshake is told that it is misdirected (RFC 9110 §15.5.20).
    """
    host = config.portal.host

    async def handle(connection: Connection) -> None:
        name = await portal.greeted(connection, certificates.context(_HTTP))
        if connection.closed:
            return
        await (portal.handle(connection) if name == host else dav(connection))

    return handle


def endpoints_of(config: Config, bound: Bound) -> Endpoints:
    """Say where apps and people reach this server."""
    public = config.server.public_ports

    def port(kind: str) -> int | None:
        told: int | None = getattr(public, kind)
        return told or next(iter(getattr(bound, kind)), None)

    dav, portal = port("https"), port("portal")
    portal_url = config.portal_url
    if portal_url is None and config.portal.host is not None and dav is not None:
        portal_url = web_address(config.portal.host, dav)
    elif portal_url is None and portal is not None:
        portal_url = web_address(config.portal.host or config.server.public_host, portal)
    return Endpoints(
        host=config.server.public_host,
        imaps=port("imaps"),
        imap=port("imap"),
        submissions=port("submissions"),
        submission=port("submission"),
        dav_url=None
        if dav is None or config.upstream.dav is None
        else web_address(config.server.public_host, dav),
        portal_url=portal_url,
    )


async def _cut(config: Config, store: Store, revocation: Revocation) -> Reports:
    """Wait for the workers; that their answers cannot be had undoes nothing, and is told as silence."""
    try:
        return await await_reports(store, workers_folder(config), revocation.change)
    except OSError:
        return Reports(sessions_cut=0, silent_workers=1)
