"""The servers behind in words for an account's owner: where, how we sign in, how that goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from proxy.portal.connections_port import Authorised, ServiceState, State, Way
from proxy.portal.sentences import Moment, Name, Part, Sentence, day, lately, listed
from scopes.model import Service

TITLE: Final[Mapping[Service, str]] = MappingProxyType(
    {
        Service.IMAP: "Reading mail",
        Service.SUBMISSION: "Sending mail",
        Service.DAV: "Contacts and events",
    }
)
_DOING: Final[Mapping[Service, str]] = MappingProxyType(
    {Service.IMAP: "reading mail", Service.SUBMISSION: "sending mail", Service.DAV: "contacts and events"}
)
_SERVER: Final[Mapping[Service, str]] = MappingProxyType(
    {
        Service.IMAP: "the mail server",
        Service.SUBMISSION: "the server that sends mail",
        Service.DAV: "the server of contacts and events",
    }
)
_KNOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fastmail.com": "Fastmail",
        "gmail.com": "Gmail",
        "gmx.net": "GMX",
        "mail.me.com": "iCloud",
        "mailbox.org": "mailbox.org",
        "office365.com": "Microsoft 365",
        "outlook.com": "Outlook.com",
        "yahoo.com": "Yahoo Mail",
    }
)
"""What people call the provider whose host is one of these, or ends in one."""
_PROVIDERS: Final[Mapping[str, str]] = MappingProxyType({"google": "Google", "microsoft": "Microsoft"})
"""What people call a provider whom the config calls so."""
_NOT_YOURS: Final = "Your administrator has to mend that."


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One service, ready to be shown."""

    service: Service
    title: str
    where: Sentence
    """The server, and how we sign in there."""
    state: Sentence
    advice: Sentence
    """What to do; empty where there is nothing."""
    is_bad: bool
    """Whether apps are kept out now, or were when they last came."""


def told(state: ServiceState, now: float) -> Told:
    """Put one service into words."""
    return Told(
        service=state.service,
        title=TITLE[state.service],
        where=_where(state),
        state=_state(state, now),
        advice=_advice(state),
        is_bad=state.state in (State.REFUSED, State.AWAY, State.MISSING),
    )


def provider_name(name: str) -> str:
    """Give what people call a provider of the config."""
    return _PROVIDERS.get(name, name)


def server_name(state: ServiceState) -> Part:
    """Give what people call a server behind: its provider's name, its host, or what it does."""
    host = state.server.lower()
    known = (word for end, word in _KNOWN.items() if host == end or host.endswith(f".{end}"))
    return next(known, None) or (Name(state.server) if state.server else _SERVER[state.service])


def doing(services: Iterable[Service]) -> str:
    """Say what services are for: `reading mail and sending mail`."""
    return listed(_DOING[service] for service in services)


def outcome(authorised: Authorised) -> Sentence:
    """Say what a permission is good for, once it was tried."""
    name = provider_name(authorised.provider)
    said = f"{name} let Wicketgate in, and it works for {doing(authorised.taken)}."
    if authorised.refused:
        said += f" For {doing(authorised.refused)} the server refuses it; your administrator can tell why."
    if authorised.untried:
        said += f" For {doing(authorised.untried)} it could not be tried: the server did not answer."
    return Sentence(said)


def _where(state: ServiceState) -> Sentence:
    server = server_name(state)
    match state.way:
        case Way.BUILT_IN:
            return Sentence("Wicketgate's own server. Nothing is kept here to sign in there.")
        case Way.GATE:
            return _sentence(server, ". Wicketgate signs in there for you as ", Name(state.login), ".")
        case Way.SECRET:
            return _sentence(
                server, ". Wicketgate signs in there as ", Name(state.login), " with a password."
            )
        case Way.PROVIDER:
            by = f", with your permission at {provider_name(state.provider)}."
            return _sentence(server, ". Wicketgate signs in there as ", Name(state.login), by)


def _state(state: ServiceState, now: float) -> Sentence:
    server = server_name(state)
    since, last = _moments(state, now)
    match state.state:
        case State.GOOD:
            return Sentence("It works: the last sign-in there was ", last, ".")
        case State.UNUSED:
            return Sentence("No app has signed in there in the last 30 days.")
        case State.NEW:
            what = (
                "password was tried and saved"
                if state.way is Way.SECRET
                else "permission was tried and saved"
            )
            return Sentence(f"The {what} on ", since, ". No app has come since.")
        case State.REFUSED:
            return _refused(state, server, since)
        case State.AWAY:
            return _sentence(server, " did not answer when an app last came, ", last, ".")
        case State.MISSING if state.way is Way.SECRET:
            return Sentence("No password is kept for it yet, so no app can use it.")
        case State.MISSING:
            name = provider_name(state.provider)
            return Sentence(f"You have not let Wicketgate in at {name} yet, so no app can use it.")
        case State.UNKNOWN:
            return Sentence("How it goes there cannot be told just now.")


def _refused(state: ServiceState, server: Part, since: Part) -> Sentence:
    match state.way:
        case Way.SECRET:
            return _sentence(server, " has refused the stored password since ", since, ".")
        case Way.PROVIDER:
            name = provider_name(state.provider)
            return Sentence(f"Your permission at {name} has been refused since ", since, ".")
        case _:
            return _sentence(server, " has refused Wicketgate itself since ", since, ".")


def _advice(state: ServiceState) -> Sentence:
    """Say what the owner should know or do, beyond the button that stands there."""
    match state.state, state.way:
        case State.AWAY, _:
            return Sentence("Your passwords are not the reason. Apps try again by themselves.")
        case State.REFUSED, Way.SECRET:
            return Sentence("Until it is replaced, apps hear that sign-in is not possible at the moment.")
        case State.REFUSED | State.MISSING, way if way is not Way.SECRET and not state.can_authorise:
            return Sentence(_NOT_YOURS)
    return Sentence()


def _moments(state: ServiceState, now: float) -> tuple[Part, Part]:
    """Give the day since when it is so, and the moment when it was last so."""
    if state.since is None:
        return "then", "then"
    at = lately(state.since, now)
    return day(state.since, now), at if "," in at.text else Moment(at.at, f"today at {at.text}")


def _sentence(first: Part, *parts: Part) -> Sentence:
    """Begin with a capital letter, but leave names as they are written."""
    ours = isinstance(first, str) and first in _SERVER.values()
    return Sentence(str(first).capitalize() if ours else first, *parts)
