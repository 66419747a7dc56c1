"""The accounts and the gate of a configuration, opened in this process beside all others."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from auth.accounts import Accounts, MintRequest
from auth.gate import Gate
from auth.hashing import Cost, Hasher
from auth.ports import Clock, SignIn
from auth.refusal import Refusal
from auth.secret import Secret
from auth.store.store import Store
from auth.throttle import AddressThrottle
from config.load import load
from proxy.opening import key_ring, open_store
from scopes.model import Grant, Scope, Service
from support.house import OPERATOR


class Unwatched:
    """An attempt that nobody cuts."""

    cut = False
    vouched = None

    def enter(self, app_password_id: str) -> None:
        """Nobody asks where it is."""

    def leave(self) -> None:
        """Nor whether it is still there."""


@dataclass(frozen=True)
class Insiders:
    """What a process of the gate has at hand."""

    store: Store
    accounts: Accounts
    gate: Gate

    async def mint(self, email: str, labels: Iterable[str]) -> None:
        """Make app passwords that open mail, and forget them."""
        for label in labels:
            minted = await self.accounts.mint(email, MintRequest(label=label, scopes={Scope.MAIL}), OPERATOR)
            await self.accounts.mark_shown(minted.id)

    async def sign_in(self, email: str, password: str) -> Grant | Refusal:
        """Ask the gate."""
        wanted = SignIn(name=email, secret=Secret(password), service=Service.IMAP, peer=None)
        return await self.gate.admit(wanted, Unwatched())


async def _at_once(_seconds: float) -> None:
    """Sleep as a clock does on which no time passes: refusals need not take their time here."""


@asynccontextmanager
async def inside(file: Path) -> AsyncIterator[Insiders]:
    """Open the store of a configuration file, with accounts and a gate over it."""
    config = load(file)
    keys = key_ring(config)
    hasher = Hasher(app=Cost(memory_kib=config.policy.hashing.app.memory_kib, passes=1))
    store = await open_store(config, keys)
    try:
        clock = Clock(wall=time.time, sleep=_at_once)
        gate = Gate(store, hasher, keys, AddressThrottle(), clock=clock)
        yield Insiders(store, Accounts(store, hasher, keys), gate)
    finally:
        await store.close()
        hasher.close()
