"""A mail server that keeps primary passwords, as `auth.primaries` sees it; a floor that nobody waits for."""

import asyncio
from dataclasses import dataclass, field

from auth.outage import PrimaryOutage
from auth.primaries import Floor
from auth.secret import Secret
from auth.store.rows import AccountRow

DOMAIN = "@example.org"


@dataclass
class Mailboxes:
    """Who has which password there; only addresses of `DOMAIN` are its."""

    passwords: dict[str, Secret] = field(default_factory=dict)
    comes_in_first: bool = False
    """Whether a first sign-in is enough."""
    away: bool = False
    asked: list[tuple[str, bool]] = field(default_factory=list)
    """Each address it was asked about, and whether there was an account."""
    held: asyncio.Event | None = None
    """Where set, it answers only then; what it says was decided before."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def elsewhere(self, email: str) -> bool:
        return email.endswith(DOMAIN)

    def first_sign_in(self, email: str) -> bool:
        return self.comes_in_first and self.elsewhere(email)

    async def is_right(self, email: str, account: AccountRow | None, primary: Secret) -> bool:
        self.asked.append((email, account is not None))
        if self.away:
            raise PrimaryOutage("the mail server does not answer")
        said = self.passwords.get(email) == primary
        self.reached.set()
        if self.held is not None:
            await self.held.wait()
        return said


@dataclass
class Stopwatch:
    """Monotonic seconds that pass only while somebody pauses."""

    now: float = 1_000.0
    pauses: list[float] = field(default_factory=list)

    def floor(self) -> Floor:
        return Floor(pause=self.pause, monotonic=lambda: self.now, jitter=lambda: 0.5)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
