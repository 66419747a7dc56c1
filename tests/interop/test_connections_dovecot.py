"""What an owner sees and does of the servers behind, before Dovecot, Postfix and a gate that serves."""

import asyncio
import imaplib
import re
import time
from dataclasses import dataclass

import pyotp
import pytest

from auth.accounts import Accounts, Actor, Proof
from auth.deed import AccountError, Problem
from auth.hashing import Cost, Hasher
from auth.secret import Secret
from auth.upstream_tries import UpstreamTries
from config.load import load
from proxy.opening import key_ring, open_store
from proxy.portal.connections_port import State
from proxy.server.connections import ServersBehind
from scopes.model import Service
from support import imap
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.house import PRIMARY, House
from support.mail_servers import make_mail_gate, upstream
from support.postfix import running_postfix
from support.serving import running_gate
from support.waiting import until

ALICE = "alice@example.org"
OWNER = Actor(kind="owner", name=ALICE, where="192.0.2.7")
FIRST, SECOND = "abcd-efgh-ijkl-mnop", "qrst-uvwx-yzab-cdef"
BOTH = (Service.IMAP, Service.SUBMISSION)


@dataclass
class Owner:
    """Alice, each time with the store opened anew, as a portal beside the gate would have it."""

    house: House
    seed: Secret
    codes: int = 0
    """How many she has used up: the next one is that of a later step, which is good already."""

    def states(self):
        return self._with(lambda behind, account: behind.states(account))

    def state(self, service=Service.IMAP):
        return next(each.state for each in self.states() if each.service is service)

    def replace(self, secret, services=BOTH):
        shown = pyotp.TOTP(self.seed.reveal()).at(int(time.time()) + 30 * self.codes)
        proof = Proof(primary=Secret(PRIMARY), code=Secret(shown))
        self._with(
            lambda behind, account: behind.replace_secret(account, services, Secret(secret), OWNER, proof)
        )
        self.codes += 1

    def _with(self, work):
        return asyncio.run(self._run(work))

    async def _run(self, work):
        config = load(self.house.file)
        keys = key_ring(config)
        store = await open_store(config, keys)
        hasher = Hasher(primary=Cost(memory_kib=19_456, passes=2))
        try:
            accounts = Accounts(store, hasher, keys)
            tries = UpstreamTries(store, keys, time.time)
            behind = ServersBehind(config, store, accounts, tries, now=time.time)
            return await work(behind, await accounts.find(ALICE))
        finally:
            await store.close()
            hasher.close()


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(passwords={ALICE: FIRST})) as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot) as server:
        yield server


@pytest.fixture
def owner(tmp_path, dovecot, postfix):
    stored = 'sign_in = { kind = "stored" }'
    house = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, stored),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, stored),
    )
    return Owner(house, house.add(ALICE))


def change_password(dovecot, password: str) -> None:
    (dovecot.folder / "users").write_text(f"{ALICE}:{{PLAIN}}{password}\n")


def sign_in(gate, password) -> str:
    """Come as a phone does; gives what it is told."""
    with imap.connect(gate.facts) as client:
        try:
            return client.login(ALICE, password)[0]
        except imaplib.IMAP4.error as error:
            return str(error)


def test_a_password_that_was_changed_there_is_seen_and_replaced_here(owner, dovecot):
    assert [each.state for each in owner.states()] == [State.MISSING] * 2
    owner.replace(FIRST)
    with running_gate(owner.house) as gate:
        phone = gate.mint(ALICE)
        assert owner.state() is State.NEW
        assert sign_in(gate, phone) == "OK"
        until(lambda: owner.state() is State.GOOD)
        change_password(dovecot, SECOND)
        try:
            until(lambda: "UNAVAILABLE" in sign_in(gate, phone))  # Dovecot looks at its file now and then
            until(lambda: owner.state() is State.REFUSED)
            assert owner.state(Service.SUBMISSION) is State.NEW
            with pytest.raises(AccountError) as stale:
                owner.replace(FIRST, [Service.IMAP])
            assert stale.value.problem is Problem.UPSTREAM_REFUSED
            owner.replace(SECOND)
            assert owner.state() is State.NEW
            assert sign_in(gate, phone) == "OK"
            until(lambda: owner.state() is State.GOOD)
        finally:
            change_password(dovecot, FIRST)
    assert SECOND not in gate.log.text


def test_a_server_that_is_away_is_not_taken_for_one_that_refuses(owner):
    owner.replace(FIRST)
    text = owner.house.file.read_text("utf-8")
    owner.house.file.write_text(re.sub(r"imaps://localhost:\d+", "imaps://localhost:1", text), "utf-8")
    with running_gate(owner.house) as gate:
        assert "UNAVAILABLE" in sign_in(gate, gate.mint(ALICE))
        until(lambda: owner.state() is State.AWAY)
    with pytest.raises(AccountError) as away:
        owner.replace(SECOND, [Service.IMAP])
    assert away.value.problem is Problem.UPSTREAM_AWAY
