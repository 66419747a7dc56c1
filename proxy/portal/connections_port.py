"""What the portal is told of the servers behind an account, and what an owner may do there: a port.

Values and a protocol. Who implements it knows the config, the store and the servers; a page knows words.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from auth.deed import Actor, Fresh, Proof
from auth.secret import Secret
from auth.store.rows import AccountRow
from scopes.model import Service


class Way(StrEnum):
    """How the gate signs in at a server behind for one account."""

    BUILT_IN = "built in"
    """The server is the gate's own."""
    GATE = "gate"
    """As the config says, for everybody alike: nothing an owner could change."""
    SECRET = "secret"  # noqa: S105 - a way, not a secret
    """With a secret that is stored for this account."""
    PROVIDER = "provider"
    """With a token that the account's owner let a provider give."""


class State(StrEnum):
    """How it goes there."""

    GOOD = "good"
    """The last sign-in came in."""
    UNUSED = "unused"
    """No app has signed in there lately."""
    NEW = "new"
    """What is stored was tried when it was stored, and not used since."""
    REFUSED = "refused"
    """What is stored is refused. An outage since then does not make that good."""
    AWAY = "away"
    """The server did not answer; says nothing of what is stored."""
    MISSING = "missing"
    """Nothing is stored yet."""
    UNKNOWN = "unknown"
    """The history cannot be read now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One service of one account."""

    service: Service
    server: str
    """The host of the server behind; empty where it is on this machine."""
    way: Way
    login: str
    """The account's name there; empty where the gate's own server knows it by its email."""
    state: State
    since: int | None = None
    """Since when it is so; for GOOD and AWAY, when it was last so. Seconds since 1970-01-01 UTC."""
    provider: str = ""
    """Its name in the config; for PROVIDER alone."""
    can_authorise: bool = False
    """Whether the owner may let the gate in from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A way to a provider and back."""

    address: str = field(repr=False)
    """Where the owner's browser goes, by a link."""
    login: str
    """Who should agree there."""
    kept: Secret
    """What the owner's session keeps meanwhile, and nobody else ever sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorised:
    """What came of it. Where nothing took the token it is an error, and nothing is stored."""

    provider: str
    taken: tuple[Service, ...]
    refused: tuple[Service, ...]
    """Where the server behind takes no such token."""
    untried: tuple[Service, ...]
    """Where the server behind did not answer."""


class Connections(Protocol):
    """The servers behind, as seen by one owner. All raise AccountError and StoreUnavailable.

    UPSTREAM_REFUSED, UPSTREAM_AWAY and TOO_MANY_TRIES tell what a server behind said; their texts are for the
    owner, and hold nothing of what was typed.
    """

    async def states(self, account: AccountRow) -> tuple[ServiceState, ...]:
        """Give every service of the account that has a server behind."""

    async def replace_secret(
        self,
        account: AccountRow,
        services: Collection[Service],
        secret: Secret,
        actor: Actor,
        proof: Proof | Fresh,
    ) -> None:
        """Try a secret at each of these, and store it when all of them take it."""

    async def begin(self, account: AccountRow, provider: str, redirect_uri: str) -> Begun:
        """Make a way to the provider that ends at `redirect_uri`."""

    def is_answer(self, kept: Secret, account: AccountRow, target: str) -> bool:
        """Whether the address that a browser came back to (path and query) ends the way that was begun.

        Whoever asks forgets `kept` before `finish`: it is good once.
        """

    async def finish(self, account: AccountRow, kept: Secret, target: str, actor: Actor) -> Authorised:
        """Ask the provider for a token, try it, and store it where a server behind takes it."""
