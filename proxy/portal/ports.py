"""What the pages are joined to: accounts, the history, live sessions, the servers behind, time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from auth.accounts import Accounts
from auth.deed import Revocation
from auth.store.rows import LastUse, SignInRecord
from proxy.portal.connections_port import Connections
from proxy.portal.settings import Endpoints
from proxy.sessions import Live
from proxy.worker import Reports


class History(Protocol):
    """What merely happened: `auth.store.store.Store`. Its calls raise StoreUnavailable."""

    async def sign_ins(self, account_id: str, most: int = ...) -> list[SignInRecord]:
        """Give the newest sign-ins of one account, newest first."""

    async def last_used(self, app_password_ids: Iterable[str]) -> dict[str, list[LastUse]]:
        """Give the last uses of each of these app passwords that was ever used, newest first."""

    async def last_refused(self, account_ids: Iterable[str]) -> dict[str, SignInRecord]:
        """Give the last refused sign-in by each app password of these accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalPorts:
    """What the pages are joined to; the same for all of them."""

    accounts: Accounts
    history: History
    connections: Connections
    live: Callable[[str], Sequence[Live]]
    """The sessions by an app password that are open now."""
    cut: Callable[[Revocation], Awaitable[Reports]]
    """Waits for the workers' answers to a committed revocation."""
    endpoints: Callable[[], Endpoints]
    """Where apps and people reach this server, as far as it listens by now."""
    limit: int
    """The most active app passwords of one account."""
    mails: bool
    """Whether owners are told by mail."""
    now: Callable[[], float]
    """Seconds since 1970-01-01 UTC."""
