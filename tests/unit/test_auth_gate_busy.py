"""A gate whose store is held by another process alone: what SQLite calls BUSY is never a wrong password."""

from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from auth.apppassword import generate
from auth.gate import Gate
from auth.ports import Clock, SignIn
from auth.refusal import Reason
from auth.secret import Secret
from auth.store.errors import StoreUnavailable
from auth.store.rows import FeedMark
from auth.throttle import AddressThrottle
from scopes.model import Grant, Service
from support.insiders import Unwatched
from support.office import ALICE, Office, office, raw

WRONG = generate().grouped()


@contextmanager
def held_alone(folder):
    """Hold the file so that not even readers of the log come in; nobody may be at it already."""
    with raw(folder) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


class FeedAnswers:
    """The store, but that its feed still answers, as it may just before somebody takes the file."""

    def __init__(self, store) -> None:
        self.locate, self.standing = store.locate, store.standing
        self.replace_verifier = store.replace_verifier

    async def feed_mark(self) -> FeedMark:
        return FeedMark(1, b"known")


async def _at_once(_seconds: float) -> None:
    """No refusal needs to take its time here."""


def gate_over(store, here: Office) -> Gate:
    clock = Clock(wall=here.clock, monotonic=lambda: 0.0, sleep=_at_once)
    return Gate(store, here.hasher, here.keys, AddressThrottle(), clock=clock)


async def outcome(gate: Gate, password: Secret, name: str = ALICE):
    """Give the refusal, or the type of what was granted."""
    peer = ip_address("192.0.2.1")
    wanted = SignIn(name=name, secret=password, service=Service.IMAP, peer=peer)
    given = await gate.admit(wanted, Unwatched())
    return Grant if isinstance(given, Grant) else (given.reason, given.cause)


async def minted(folder) -> Secret:
    """Give an app password in a store that nobody is at any more."""
    async with office(folder) as here:
        await here.enrolled()
        return (await here.mint()).password


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        (lambda store: store, "StoreUnavailable: change feed: SQLITE_BUSY"),
        (FeedAnswers, "StoreUnavailable: SQLITE_BUSY"),
    ],
    ids=["feed", "locate"],
)
async def test_a_store_held_by_another_is_an_outage_for_right_and_wrong_and_passes(tmp_path, over, cause):
    password = await minted(tmp_path)
    async with office(tmp_path, busy_s=0.05, vouched=False) as here:
        gate = gate_over(over(here.store), here)
        with held_alone(tmp_path):
            for secret, name in ((password, ALICE), (WRONG, ALICE), (WRONG, "nobody@example.org")):
                assert await outcome(gate, secret, name) == (Reason.UNAVAILABLE, cause)
            assert here.hasher.calls == {}, "nothing was looked at, so nothing was found wrong"
        assert await outcome(gate, password) is Grant
        assert (await outcome(gate, WRONG))[0] is Reason.BAD_CREDENTIALS


async def test_every_question_of_a_sign_in_says_busy(tmp_path):
    await minted(tmp_path)
    async with office(tmp_path, busy_s=0.05, vouched=False) as here:
        with held_alone(tmp_path):
            for question in (
                here.store.feed_mark(),
                here.store.changes_since(0),
                here.store.locate(ALICE, "abcd"),
                here.store.standing("ap_1"),
            ):
                with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
                    await question
