"""How the gate signs in at the servers behind for one account, and how that goes. Pure.

What the config and the store say, put together for the account's owner. That a server did not answer says
nothing of what is stored, so an outage never hides a refusal and never looks like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from auth.identities import Known
from auth.refusal import Reason
from auth.store.oauth_tokens import TokenRow
from auth.store.outcomes import Run
from auth.store.rows import GRANTED
from config.address import Address, AddressKind
from config.models import Config
from proxy.portal.connections_port import ServiceState, State, Way
from proxy.server.trying import table_of
from proxy.upstreams.login import template_filled
from scopes.model import IdentityKind, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the store knows of one account."""

    known: Known
    tokens: Mapping[str, TokenRow] = field(default_factory=dict)
    """By provider."""
    runs: Mapping[Service, tuple[Run, ...]] | None = field(default_factory=dict)
    """None where the history cannot be read."""


def service_states(config: Config, seen: Seen) -> tuple[ServiceState, ...]:
    """Give every service that has a server behind for this account."""
    found = (_way(config, service, seen.known) for service in Service)
    return tuple(_judged(each, seen) for each in found if each is not None)


def _way(config: Config, service: Service, known: Known) -> ServiceState | None:
    """Say how it is signed in, and nothing yet of how that goes."""
    email = known.account.email
    told = config.upstream.dav if service is Service.DAV else table_of(config, service, email)
    if told is None:
        return None
    at_all = ServiceState(
        service=service, server=_host(told.address), way=Way.BUILT_IN, login="", state=State.UNUSED
    )
    if told.address.kind is AddressKind.EMBEDDED:
        return at_all
    own = known.identities.get(service)
    login = template_filled(told.login, email) if own is None else own.login
    kind = None if told.sign_in is None else told.sign_in.kind
    usual = None if told.sign_in is None else getattr(told.sign_in, "provider", None)
    if kind in ("none", "trusted-header"):
        return replace(at_all, way=Way.GATE, login=login)
    if own is not None and own.kind is not IdentityKind.LOGIN:
        stored, provider = own.kind is IdentityKind.STORED, own.provider
    else:
        stored, provider = kind == "stored", usual or ""
    if stored:
        return replace(at_all, way=Way.SECRET, login=login)
    if provider:
        named = config.oauth2.get(provider)
        return replace(
            at_all,
            way=Way.PROVIDER,
            login=login,
            provider=provider,
            can_authorise=named is not None and named.portal,
        )
    return replace(at_all, way=Way.GATE, login=login)


def _judged(way: ServiceState, seen: Seen) -> ServiceState:
    """Say how it goes."""
    own, set_at = seen.known.identities.get(way.service), seen.known.set_at.get(way.service)
    runs = None if seen.runs is None else seen.runs.get(way.service, ())
    match way.way:
        case Way.SECRET:
            if own is None or own.kind is not IdentityKind.STORED or set_at is None:
                return replace(way, state=State.MISSING)
            return _by_history(way, runs, set_at)
        case Way.PROVIDER:
            token = seen.tokens.get(way.provider)
            if token is None:
                return replace(way, state=State.MISSING)
            if token.refused_at is not None:
                before = [run.since for run in runs or () if run.outcome == Reason.UPSTREAM_REFUSED]
                return replace(way, state=State.REFUSED, since=min([token.refused_at, *before]))
            return _by_history(way, runs, token.updated_at)
        case _:
            return _by_history(way, runs, None)


def _by_history(way: ServiceState, runs: Iterable[Run] | None, set_at: int | None) -> ServiceState:
    """Judge by the sign-ins since something was set; those before tell of something else."""
    if runs is None:
        return replace(way, state=State.UNKNOWN)
    counting = {run.outcome: run for run in runs if run.until >= (set_at or 0)}
    if refused := counting.get(Reason.UPSTREAM_REFUSED.value):
        since = refused.since if way.way is not Way.SECRET else max(refused.since, set_at or 0)
        return replace(way, state=State.REFUSED, since=since)
    if away := counting.get(Reason.UNAVAILABLE.value):
        return replace(way, state=State.AWAY, since=away.until)
    if came_in := counting.get(GRANTED):
        return replace(way, state=State.GOOD, since=came_in.until)
    return replace(way, state=State.UNUSED if set_at is None else State.NEW, since=set_at)


def _host(address: Address) -> str:
    """Give the host; nothing for what is on this machine."""
    return address.host if address.over_tcp else ""
