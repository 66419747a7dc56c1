"""Where apps reach this server, and which of it an app password opens. Pure.

Only what an app password opens is told: one for contacts names no mail server, one that only reads no server
that sends. Of two ports the one with TLS from the first octet is named, as RFC 8314 §3 prefers it.
"""

from __future__ import annotations

from dataclasses import dataclass

from scopes.model import Limits, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where apps and people reach this server, as they type it. A service without a port is not served."""

    host: str
    imaps: int | None = None
    imap: int | None = None
    """With STARTTLS."""
    submissions: int | None = None
    submission: int | None = None
    """With STARTTLS."""
    dav_url: str | None = None
    """Where contacts and calendars are, as in `https://mail.example.org/`."""
    portal_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A mail server as apps ask for it."""

    host: str
    port: int
    starttls: bool

    @property
    def security(self) -> str:
        """How most apps name it."""
        return "STARTTLS" if self.starttls else "SSL/TLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What an app password opens here; None for what it does not open or what is not served."""

    user: str
    """The account's primary email."""
    incoming: Server | None
    outgoing: Server | None
    contacts: str | None
    events: str | None


def served(endpoints: Endpoints) -> frozenset[Scope]:
    """Give what there is to open here, whatever the app password."""
    found = set[Scope]()
    if endpoints.imaps or endpoints.imap or endpoints.submissions or endpoints.submission:
        found.add(Scope.MAIL)
    if endpoints.dav_url is not None:
        found |= {Scope.CONTACTS, Scope.EVENTS}
    return frozenset(found)


def opened(endpoints: Endpoints, user: str, scopes: frozenset[Scope], limits: Limits) -> Opened:
    """Give what an app password of `user` with these scopes and limits opens."""
    mail, there = Scope.MAIL in scopes, endpoints
    incoming = _server(there.host, there.imaps, there.imap)
    outgoing = _server(there.host, there.submissions, there.submission)
    return Opened(
        user=user,
        incoming=incoming if mail and not limits.send_only else None,
        outgoing=outgoing if mail and not limits.read_only else None,
        contacts=endpoints.dav_url if Scope.CONTACTS in scopes else None,
        events=endpoints.dav_url if Scope.EVENTS in scopes else None,
    )


def _server(host: str, tls: int | None, starttls: int | None) -> Server | None:
    port = tls or starttls
    return None if port is None else Server(host=host, port=port, starttls=tls is None)
