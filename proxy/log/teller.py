"""What one connection tells the log: each sign-in once, each refusal once, each session's end once.

The first end of a session stands. A connection on which nobody came in tells that it was dropped, unless its
last try was refused: what becomes of the client then is no news.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from auth.refusal import Refusal
from proxy.log.events import Dropped, Ended, Refused, SessionEnded, SignedIn, Visitor, tell
from proxy.log.words import Drop, SessionEnd, word_of
from proxy.net.channel import ConnectionLost, Truncated
from proxy.net.connection import Connection
from scopes.model import Grant, Service


def end_of(lost: ConnectionLost) -> SessionEnd:
    """Name the end of a session by its client's: many close without a word of TLS, and mean no harm."""
    return SessionEnd.CLIENT_CLOSED if isinstance(lost, Truncated) else SessionEnd.CLIENT_LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """What is told of a session when it ends."""

    visitor: Visitor
    upstream: str
    began: float
    """On the monotonic clock."""


class Teller:
    """One connection's."""

    def __init__(
        self, connection: Connection, service: Service, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._service = service
        self._monotonic = monotonic
        self._sessions: dict[str, _Session] = {}  # by app password id
        self._came_in = False
        self._refused = False

    def trying(self) -> None:
        """Know that the outcome of another try is still open."""
        self._refused = False

    def refused(self, refusal: Refusal, *, name: str, client_name: str) -> None:
        """Tell of a refusal; `name` as it was typed."""
        self._refused = True
        visitor = self._visitor(
            account=refusal.email or name,
            app_password=refusal.app_password_id or "",
            label=refusal.label or "",
            client=client_name,
        )
        tell(Refused(visitor=visitor, reason=word_of(refusal), cause=refusal.cause))

    def granted(self, grant: Grant, *, client_name: str, upstream: str) -> None:
        """Tell of a sign-in, which begins a session."""
        self._came_in = True
        visitor = self._visitor(
            account=grant.email, app_password=grant.app_password_id, label=grant.label, client=client_name
        )
        began = self._monotonic()
        self._sessions[grant.app_password_id] = _Session(visitor=visitor, upstream=upstream, began=began)
        tell(SignedIn(visitor=visitor, upstream=upstream))

    def ended(self, app_password_id: str, ended: Ended) -> None:
        """Tell of the end of a session that `granted` began."""
        session = self._sessions.pop(app_password_id, None)
        if session is not None:
            seconds = self._monotonic() - session.began
            tell(
                SessionEnded(visitor=session.visitor, ended=ended, seconds=seconds, upstream=session.upstream)
            )

    def dropped(self, reason: Drop, cause: str = "") -> None:
        """Tell of the end of a connection that came to no outcome; of a fault also where it was a refusal."""
        if not self._came_in and (reason is Drop.FAULT or not self._refused):
            tell(Dropped(visitor=self._visitor(), reason=reason, cause=cause))

    def _visitor(
        self, *, account: str = "", app_password: str = "", label: str = "", client: str = ""
    ) -> Visitor:
        connection = self._connection
        return Visitor(
            service=self._service,
            address=connection.peer,
            connection=connection.id,
            tls=connection.tls_version or "",
            account=account,
            app_password=app_password,
            label=label,
            client=client,
        )
