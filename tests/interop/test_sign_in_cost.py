"""What a sign-in costs is counted, not timed: the same for one app password and 25, ten accounts and 10,000.

SQL statements and argon2 runs as the store and the hasher count them; looks at the change feed, which are no
statements of the pool, are counted here.
"""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from sqlalchemy import insert

from auth.apppassword import generate
from auth.gate import Gate
from auth.ports import Clock, SignIn
from auth.refusal import Reason, Refusal
from auth.secret import Secret
from auth.store import schema
from auth.throttle import AddressThrottle
from scopes.model import Grant, Service
from support.insiders import Unwatched
from support.office import ALICE, OPERATOR, Office, office

WORLDS = [(1, 10), (25, 10), (1, 10_000), (25, 10_000)]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one sign-in took."""

    statements: int
    argon2: int
    feed: int


class FeedCounted:
    """The store, with its feed checks counted."""

    def __init__(self, store):
        self._store = store
        self.feed = 0
        self.locate, self.standing = store.locate, store.standing
        self.replace_verifier = store.replace_verifier

    async def feed_mark(self):
        self.feed += 1
        return await self._store.feed_mark()


class Door:
    """A gate as a process has it that has just been started, and what its sign-ins cost."""

    def __init__(self, staff: Office) -> None:
        self._staff = staff
        self._store = FeedCounted(staff.store)
        clock = Clock(wall=staff.clock, monotonic=lambda: 0.0, sleep=_at_once)
        self._gate = Gate(self._store, staff.hasher, staff.keys, AddressThrottle(), clock=clock)

    async def cost(self, name: str, password: Secret, outcome: type | Reason) -> Cost:
        """Sign in, be sure of the outcome, and give the cost."""
        before = self._counts()
        wanted = SignIn(name=name, secret=password, service=Service.IMAP, peer=ip_address("192.0.2.1"))
        given = await self._gate.admit(wanted, Unwatched())
        if isinstance(given, Grant):
            assert await self._gate.confirm(given, wanted, Unwatched()) is None
        assert (given.reason if isinstance(given, Refusal) else type(given)) == outcome
        statements, argon2, feed = (now - then for now, then in zip(self._counts(), before, strict=True))
        return Cost(statements=statements, argon2=argon2, feed=feed)

    def _counts(self) -> tuple[int, int, int]:
        return self._staff.store.statements, self._staff.hasher.calls.total(), self._store.feed


async def _at_once(_seconds: float) -> None:
    """No refusal needs to take its time here."""


@asynccontextmanager
async def world(folder, app_passwords: int, accounts: int):
    """Alice with so many active app passwords among so many accounts; gives her first and a revoked one."""
    async with office(folder) as staff:
        await staff.enrolled(aliases=["ally@example.org"])
        first, ended = await staff.mint("first"), await staff.mint("ended")
        await staff.accounts.revoke(ALICE, "ended", OPERATOR)
        for number in range(app_passwords - 1):
            await staff.mint(f"more {number}")
        await staff.store.write(lambda tx: add_accounts(tx, accounts - 1))
        assert await staff.accounts.preview(ALICE) == app_passwords
        assert len(await staff.accounts.all()) == accounts
        yield staff, first.password, ended.password


def add_accounts(tx, count: int) -> None:
    """Put accounts into the store, each with an app password."""
    made = {"created_at": 1, "version": 1}
    emails = [f"person{number}@example.net" for number in range(count)]
    tx.execute(
        insert(schema.account),
        [{"id": f"ac_{n}", "email": email, "is_service": True, **made} for n, email in enumerate(emails)],
    )
    tx.execute(
        insert(schema.account_name),
        [{"name": email, "account_id": f"ac_{n}", "is_email": True} for n, email in enumerate(emails)],
    )
    words = {"verifier_hash": "x", "key_id": "k1", "label": "l", "scopes": "mail", "limits": "{}"}
    tx.execute(
        insert(schema.app_password),
        [
            {"id": f"ap_{n}", "account_id": f"ac_{n}", "selector": "aaaa", "created_by": "x", **words, **made}
            for n in range(count)
        ],
    )


def altered(password: Secret) -> Secret:
    """The same selector with another verifier."""
    text = password.reveal()
    return Secret(text[:-1] + ("2" if text[-1] != "2" else "3"))


async def costs(staff: Office, good: Secret, ended: Secret) -> dict[str, Cost]:
    """Sign in in every way there is."""
    door, other = Door(staff), Door(staff)
    unknown = generate().grouped()
    return {
        "cold": await door.cost(ALICE, good, Grant),
        "warm": await door.cost(ALICE, good, Grant),
        "warm by another name": await door.cost("ally@example.org", good, Grant),
        "wrong": await door.cost(ALICE, altered(good), Reason.BAD_CREDENTIALS),
        "wrong, cold": await other.cost(ALICE, altered(good), Reason.BAD_CREDENTIALS),
        "unknown": await other.cost(ALICE, unknown, Reason.BAD_CREDENTIALS),
        "nobody": await other.cost("nobody@example.org", good, Reason.BAD_CREDENTIALS),
        "revoked": await other.cost(ALICE, ended, Reason.REVOKED),
        "revoked, again": await other.cost(ALICE, ended, Reason.REVOKED),
        "no app password": await other.cost(ALICE, Secret("hunter2"), Reason.NOT_APP_PASSWORD),
    }


@pytest.mark.parametrize(("app_passwords", "accounts"), WORLDS)
async def test_a_sign_in_costs_the_same_whatever_the_number_of_app_passwords_and_accounts(
    tmp_path, app_passwords, accounts
):
    async with world(tmp_path, app_passwords, accounts) as (staff, good, ended):
        found = await costs(staff, good, ended)
    assert found == {
        "cold": Cost(statements=2, argon2=1, feed=3),  # before the rows, after the hash, and to confirm
        "warm": Cost(statements=0, argon2=0, feed=2),
        "warm by another name": Cost(statements=2, argon2=0, feed=2),  # the name is looked up, once
        "wrong": Cost(statements=2, argon2=1, feed=1),
        "wrong, cold": Cost(statements=2, argon2=1, feed=1),
        "unknown": Cost(statements=1, argon2=1, feed=1),
        "nobody": Cost(statements=1, argon2=1, feed=1),
        "revoked": Cost(statements=2, argon2=1, feed=2),
        "revoked, again": Cost(statements=0, argon2=0, feed=1),
        "no app password": Cost(statements=0, argon2=0, feed=0),
    }
