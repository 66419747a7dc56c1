"""What is told of sign-ins, refusals and the ends of sessions: one event, one line.

Values only, and `tell`, which gives one to Python's logging as its message. The first fields of a line are
never a stranger's, so that whoever reads them can trust them: event, service, reason, address, connection.
A secret is in no event; what people paste into the wrong field is redacted (`proxy.logtext`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from auth.refusal import Reason
from proxy.log.text import Field, Value, cut, logfmt
from proxy.log.words import REASONS, Drop, Event, SessionEnd
from proxy.logtext import redacted
from scopes.model import IPAddress, Service

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whom a line is about, as far as is known. Empty texts are left out."""

    service: Service | Literal["portal"] | None
    """None on a listener that does not know it yet."""
    address: IPAddress | None
    """None on a Unix socket."""
    connection: str
    """The id of the connection, the same in all its lines."""
    tls: str = ""
    """The version, as in `TLSv1.3`."""
    account: str = ""
    """The primary email, or the name as it was typed when it leads to none."""
    app_password: str = ""
    """The id."""
    label: str = ""
    client: str = ""
    """What the client calls itself."""

    def begin(self, event: Event, reason: str = "") -> Iterator[Field]:
        """Give the fields every line begins with: none of them is chosen by a stranger."""
        yield "event", event
        if self.service is not None:
            yield "service", self.service
        if reason:
            yield "reason", reason
        if self.address is not None:
            yield "address", str(self.address)
        yield "connection", self.connection

    def rest(self) -> Iterator[Field]:
        """Give what is known beyond that."""
        yield from _given(
            tls=self.tls,
            account=cut(redacted(self.account)),
            app_password=self.app_password,
            label=cut(self.label),
            client=cut(redacted(self.client)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody came in."""

    visitor: Visitor
    upstream: str = ""
    """The id of the connection to the server behind; empty where there is one for each request."""

    @property
    def level(self) -> int:
        """Ordinary."""
        return logging.INFO

    def fields(self) -> Iterator[Field]:
        """Give what the line holds."""
        yield from self.visitor.begin(Event.SIGN_IN)
        yield from self.visitor.rest()
        yield from _given(upstream=self.upstream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Somebody was not let in."""

    visitor: Visitor
    reason: str
    """A word of `proxy.log.words`."""
    cause: str = ""
    """What is behind an outage; may hold what an upstream said."""

    @property
    def level(self) -> int:
        """A fault of ours is an error."""
        return logging.ERROR if self.reason == REASONS[Reason.BUG] else logging.WARNING

    def fields(self) -> Iterator[Field]:
        """Give what the line holds."""
        yield from self.visitor.begin(Event.REFUSED, self.reason)
        yield from self.visitor.rest()
        yield from _given(cause=cut(self.cause))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a session carried."""

    octets_in: int = 0
    """From the client to the server behind, without TLS."""
    octets_out: int = 0
    """To the client."""
    messages: int | None = None
    """Taken for delivery; None where there are none to take."""
    requests: int | None = None
    """Answered; None where there are none."""

    def fields(self) -> Iterator[Field]:
        """Give what is counted on this service."""
        yield "bytes_in", self.octets_in
        yield "bytes_out", self.octets_out
        if self.messages is not None:
            yield "messages", self.messages
        if self.requests is not None:
            yield "requests", self.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a session ended, as far as its protocol knows."""

    reason: SessionEnd
    traffic: Traffic | None = None
    """None when a fault or a hurried stop left nobody to count."""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """A session is over."""

    visitor: Visitor
    ended: Ended
    seconds: float
    """From the sign-in on."""
    upstream: str = ""

    @property
    def level(self) -> int:
        """A fault of ours is an error."""
        return logging.ERROR if self.ended.reason is SessionEnd.FAULT else logging.INFO

    def fields(self) -> Iterator[Field]:
        """Give what the line holds."""
        yield from self.visitor.begin(Event.SESSION_END, self.ended.reason)
        yield from self.visitor.rest()
        yield from _given(upstream=self.upstream)
        yield "duration_s", round(self.seconds, 3)
        if self.ended.traffic is not None:
            yield from self.ended.traffic.fields()
        yield from _given(cause=cut(self.ended.cause))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A connection ended without any outcome of a sign-in, and not by its client's goodbye."""

    visitor: Visitor
    reason: Drop
    cause: str = ""

    @property
    def level(self) -> int:
        """A fault of ours is an error."""
        return logging.ERROR if self.reason is Drop.FAULT else logging.INFO

    def fields(self) -> Iterator[Field]:
        """Give what the line holds."""
        yield from self.visitor.begin(Event.DROPPED, self.reason)
        yield from self.visitor.rest()
        yield from _given(cause=cut(self.cause))


Told = SignedIn | Refused | SessionEnded | Dropped


class Line:
    """An event as a message of Python's logging; as text it is its fields in logfmt."""

    __slots__ = ("fields",)

    def __init__(self, told: Told) -> None:
        self.fields = tuple(told.fields())

    def __str__(self) -> str:
        return logfmt(self.fields)


def tell(told: Told) -> None:
    """Write the one line of an event."""
    if _log.isEnabledFor(told.level):
        _log.log(told.level, Line(told))


def _given(**texts: Value) -> Iterator[Field]:
    return ((name, text) for name, text in texts.items() if text)
