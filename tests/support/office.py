"""A store in a folder, with accounts on top: cheap hashes, a clock that stands still, and codes for it."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyotp
import pytest
from sqlalchemy import text

from auth import apppassword
from auth.accounts import AccountError, Accounts, Actor, Enrolment, Minted, MintRequest, Problem, Proof
from auth.hashing import Cost, Hasher
from auth.keycheck import vouch
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store.migrate import History, migrate
from auth.store.store import Store
from scopes.model import Scope

ALICE = "alice@example.org"
BOB = "bob@example.org"
PRIMARY = Secret("correct horse battery")
OPERATOR = Actor(kind="operator", name="root", where="command line")
OWNER = Actor(kind="owner", name=ALICE, where="192.0.2.7")
CHEAP = Cost(memory_kib=8, passes=1)
NOON = 1_800_000_000.0


@dataclass
class Clock:
    """Seconds since 1970-01-01 UTC; moves only when told."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Office:
    """Accounts over a store, and what its people hold."""

    folder: Path
    store: Store
    hasher: Hasher
    keys: KeyRing
    accounts: Accounts
    clock: Clock
    seeds: dict[str, Secret] = field(default_factory=dict)

    async def person(self, email: str = ALICE, **more: Any) -> str:
        """Add a person without a second factor; give the account's id."""
        return (await self.accounts.add(email, primary=PRIMARY, actor=OPERATOR, **more)).id

    async def enrolled(self, email: str = ALICE, **more: Any) -> tuple[Secret, ...]:
        """Add a person with a second factor; give the recovery codes. The next code is good at once."""
        await self.person(email, **more)
        return await self.enrol(email)

    async def enrol(self, email: str = ALICE, proof: Any = None) -> tuple[Secret, ...]:
        """Enrol an authenticator, then let its first step pass."""
        enrolment = await self.accounts.begin_enrolment(email)
        codes = await self.accounts.confirm_enrolment(
            email, enrolment, self.first_code(enrolment), OPERATOR, proof
        )
        self.seeds[email] = enrolment.seed
        self.clock.now += 60
        return codes

    def first_code(self, enrolment: Enrolment) -> Secret:
        return Secret(pyotp.TOTP(enrolment.seed.reveal()).at(int(self.clock.now)))

    def code(self, email: str = ALICE) -> Secret:
        """What the authenticator shows now."""
        return Secret(pyotp.TOTP(self.seeds[email].reveal()).at(int(self.clock.now)))

    def proof(self, email: str = ALICE) -> Proof:
        return Proof(primary=PRIMARY, code=self.code(email))

    async def mint(self, label: str = "phone", email: str = ALICE, **more: Any) -> Minted:
        """Mint as the operator."""
        return await self.accounts.mint(email, wish(label, **more), OPERATOR)


def wish(label: str = "phone", **more: Any) -> MintRequest:
    return MintRequest(label=label, **({"scopes": {Scope.MAIL}} | more))


async def refusal(deed: Awaitable[object]) -> Problem:
    """Give what a deed is refused for."""
    with pytest.raises(AccountError) as refused:
        await deed
    return refused.value.problem


async def failures(here: Office) -> list[int]:
    """Give all counts of wrong primary passwords and codes."""

    def look(tx):
        return [row.failures for row in tx.execute(text("SELECT failures FROM failure ORDER BY failures"))]

    return await here.store.read(look)


def urls(folder: Path) -> tuple[str, str]:
    return f"sqlite:///{folder / 'gate.db'}", f"sqlite:///{folder / 'activity.db'}"


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "gate.db"
        migrate(file, History.GATE, create=True, busy_s=5.0)
        return file.read_bytes()


@asynccontextmanager
async def opened(folder: Path, *, busy_s: float = 5.0, tell_owners: bool = False) -> AsyncIterator[Store]:
    """An open store in `folder`; a new one is a copy: the way to its schema takes longer than most tests."""
    with suppress(FileExistsError), (folder / "gate.db").open("xb") as new:
        new.write(_empty_store())
    store = await Store.open(*urls(folder), create=True, busy_s=busy_s, tell_owners=tell_owners)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def office(
    folder: Path,
    *,
    limit: int = 25,
    generate: Any = apppassword.generate,
    keys: KeyRing | None = None,
    busy_s: float = 5.0,
    vouched: bool = True,
    tell_owners: bool = False,
    **more: Any,
) -> AsyncIterator[Office]:
    """Accounts at work, made with `more`; several offices may share a folder, as processes do.

    `vouched` is False for a ring that nobody has looked at.
    """
    keys = keys or KeyRing({"k1": bytes(range(32))}, "k1")
    hasher, clock = Hasher(app=CHEAP, primary=CHEAP), Clock()
    try:
        async with opened(folder, busy_s=busy_s, tell_owners=tell_owners) as store:
            if vouched:
                await vouch(store, keys)
            accounts = Accounts(
                store, hasher, keys, limit=limit, issuer="test", now=clock, generate=generate, **more
            )
            yield Office(folder, store, hasher, keys, accounts, clock)
    finally:
        hasher.close()


def raw(folder: Path, name: str = "gate.db") -> "closing[sqlite3.Connection]":
    """The file itself, behind the store's back; statements commit at once."""
    return closing(sqlite3.connect(folder / name, timeout=5, isolation_level=None))


@contextmanager
def locked(folder: Path, name: str = "gate.db") -> Iterator[None]:
    """Hold the store's write lock, as another process would."""
    with raw(folder, name) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
