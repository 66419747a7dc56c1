"""A gate on an in-memory store: tests change rows between its steps, count its questions and own its time."""

import asyncio
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

from argon2 import PasswordHasher

from auth.apppassword import AppPassword, generate, verifier_message
from auth.gate import Gate
from auth.hashing import Cost, Hasher
from auth.ports import Clock, SignIn
from auth.seal import KeyRing
from auth.secret import Secret
from auth.store.rows import AppPasswordRow, FeedMark, Located, RevokedWhy, Standing
from auth.throttle import AddressThrottle
from auth.turns import Turns
from scopes.model import Limits, Scope, Service

HERE = ip_address("192.0.2.1")
COST = Cost(memory_kib=8, passes=1)
NOW = 1_800_000_000.0


async def turns_until(holds):
    """Let the loop turn until `holds()`; fails after a while instead of hanging."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a turn of the loop, not a time
            await asyncio.sleep(0)


class Moments:
    """Counts the moments before and after each await of the gate; at one of them something may happen."""

    def __init__(self):
        self.names = []
        self.at = None
        self.happens = lambda: None

    def pass_by(self, name):
        self.names.append(name)
        if self.at == len(self.names) - 1:
            self.happens()


class MemoryStore:
    """A `StandingStore` in dictionaries. `fails` holds an exception to raise, by method name."""

    def __init__(self, moments):
        self.moments = moments
        self.names = {}
        self.emails = {}
        self.disabled = set()
        self.rows = {}
        self.seq = 1
        self.token = b"drawn"
        self.calls = Counter()
        self.fails = {}

    @property
    def statements(self):
        return sum(self.calls[name] for name in ("locate", "standing", "replace_verifier", "first_use"))

    async def locate(self, name, selector):
        return await self._answer("locate", lambda: self._locate(name, selector))

    async def standing(self, app_password_id):
        return await self._answer("standing", lambda: self._standing(app_password_id))

    async def feed_mark(self):
        return await self._answer("feed_mark", lambda: FeedMark(self.seq, self.token))

    async def replace_verifier(self, app_password_id, old_hash, new_hash, key_id):
        await self._answer(
            "replace_verifier", lambda: self._replace(app_password_id, old_hash, new_hash, key_id)
        )

    async def first_use(self, app_password_id, at, where):
        await self._answer("first_use", lambda: self._first_use(app_password_id, at))

    async def _answer(self, name, answer):
        self.calls[name] += 1
        self.moments.pass_by(f"before {name}")
        await asyncio.sleep(0)
        if name in self.fails:
            raise self.fails[name]
        found = answer()
        self.moments.pass_by(f"after {name}")
        return found

    def _locate(self, name, selector):
        account_id = self.names.get(name)
        for row in self.rows.values():
            if (row.account_id, row.selector) == (account_id, selector):
                return Located(account_id=account_id, app_password_id=row.id)
        return None

    def _standing(self, app_password_id):
        row = self.rows.get(app_password_id)
        if row is None:
            return None
        disabled = row.account_id in self.disabled
        return Standing(email=self.emails[row.account_id], disabled=disabled, app_password=row)

    def _first_use(self, app_password_id, at):
        row = self.rows[app_password_id]
        if row.revoked_at is None and row.replaces is not None:
            self.rows[app_password_id] = replace(row, replaces=None)
            old = self.rows[row.replaces]
            self.rows[old.id] = replace(
                old, revoked_at=at, revoked_why=RevokedWhy.REPLACED, version=old.version + 1
            )
            self.seq += 1

    def _replace(self, app_password_id, old_hash, new_hash, key_id):
        row = self.rows[app_password_id]
        if row.verifier_hash == old_hash:
            self.rows[app_password_id] = replace(row, verifier_hash=new_hash, key_id=key_id)


class WatchedHasher(Hasher):
    """A real hasher whose checks are moments too. While `held` is not set a check waits."""

    def __init__(self, moments, **costs):
        super().__init__(slots=2, **costs)
        self.moments = moments
        self.held = asyncio.Event()
        self.held.set()
        self.waiting = 0
        self.error = None

    async def verify_app(self, stored, digest):
        self.moments.pass_by("before hash")
        self.waiting += 1
        try:
            await self.held.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        found = await super().verify_app(stored, digest)
        self.moments.pass_by("after hash")
        return found


class WatchedTurns(Turns):
    """Real turns that remember who asked for one."""

    def __init__(self):
        super().__init__()
        self.askers = []

    def turn(self, asker):
        self.askers.append(asker)
        return super().turn(asker)


class Time:
    """A clock that moves only by sleeping, and remembers how long that was."""

    def __init__(self):
        self.monotonic = 1_000.0
        self.wall = NOW
        self.sleeps = []
        self.jitter = 0.0

    async def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.monotonic += seconds
        self.wall += seconds
        await asyncio.sleep(0)

    def clock(self):
        return Clock(
            wall=lambda: self.wall,
            monotonic=lambda: self.monotonic,
            sleep=self.sleep,
            jitter=lambda: self.jitter,
        )


class TriedAttempt:
    """An attempt as the registry would know it."""

    def __init__(self, moments):
        self.moments = moments
        self.entered = []
        self.entered_at = []
        self.left = False
        self.cut = False
        self.vouched = None

    def enter(self, app_password_id):
        self.entered.append(app_password_id)
        self.entered_at.append(len(self.moments.names))

    def leave(self):
        self.left = True


class Gatehouse:
    """The gate with everything around it. Make one inside a running loop; call `close` at the end."""

    def __init__(self, *, keys=None, cost=COST, memo_size=100):
        self.moments = Moments()
        self.store = MemoryStore(self.moments)
        self.hasher = WatchedHasher(self.moments, app=cost, primary=cost)
        self.keys = keys or KeyRing({"k1": b"1" * 32}, "k1")
        self.throttle = AddressThrottle()
        self.turns = WatchedTurns()
        self.time = Time()
        self.attempts = []
        self.gate = self.another_gate(memo_size=memo_size)

    def another_gate(self, memo_size=100, keys=None):
        return Gate(
            self.store,
            self.hasher,
            keys or self.keys,
            self.throttle,
            clock=self.time.clock(),
            memo_size=memo_size,
            turns=self.turns,
        )

    def close(self):
        self.hasher.close()

    def add_account(self, email, *aliases):
        account_id = f"ac_{len(self.store.emails) + 1}"
        self.store.emails[account_id] = email
        for name in (email, *aliases):
            self.store.names[name] = account_id
        return account_id

    def add(self, account_id, password=None, scopes=(Scope.MAIL,), key_id="k1", **fields):
        """Add an app password; gives its row's id and what a client would send."""
        password = password or generate()
        digest = self.keys.pepper(key_id, verifier_message(account_id, password.selector, password.verifier))
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        row = AppPasswordRow(
            id=f"ap_{len(self.store.rows) + 1}",
            account_id=account_id,
            selector=password.selector,
            verifier_hash=hasher.hash(digest),
            key_id=key_id,
            label=f"phone {len(self.store.rows) + 1}",
            scopes=frozenset(scopes),
            limits=fields.pop("limits", Limits()),
            created_at=0,
            created_by="owner",
            shown_at=0,
            expires_at=fields.pop("expires_at", None),
            revoked_at=None,
            revoked_why=None,
            version=1,
        )
        self.store.rows[row.id] = replace(row, **fields)
        self.store.seq += 1
        return row.id, password

    def revoke(self, app_password_id, *, told=True):
        """Commit a revocation; `told` also cuts, as the worker does when it sees the change."""
        row = self.store.rows[app_password_id]
        self.store.rows[app_password_id] = replace(
            row, revoked_at=int(self.time.wall), revoked_why=RevokedWhy.BY_OWNER, version=row.version + 1
        )
        self.store.seq += 1
        for attempt in self.attempts:
            if told and attempt.entered[-1:] == [app_password_id]:
                attempt.cut = True

    def attempt(self):
        attempt = TriedAttempt(self.moments)
        self.attempts.append(attempt)
        return attempt

    async def admit(
        self, name, secret, service=Service.IMAP, peer=HERE, attempt=None, gate=None, authzid=None
    ):
        wanted = sign_in(name, secret, service, peer, authzid)
        return await (gate or self.gate).admit(wanted, attempt or self.attempt())

    async def admit_and_confirm(self, name, secret, authzid=None):
        """What a front-end does: gives the grant only when both said yes."""
        attempt, wanted = self.attempt(), sign_in(name, secret, authzid=authzid)
        outcome = await self.gate.admit(wanted, attempt)
        if hasattr(outcome, "reason"):
            return outcome
        return await self.gate.confirm(outcome, wanted, attempt) or outcome


def sign_in(name, secret, service=Service.IMAP, peer=HERE, authzid=None):
    if isinstance(secret, AppPassword):
        secret = secret.grouped()
    elif isinstance(secret, str):
        secret = Secret(secret)
    return SignIn(name=name, secret=secret, service=service, peer=peer, authzid=authzid)
