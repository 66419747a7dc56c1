"""Revoked on the command line, ended in the serving process: sessions and sign-ins, within a second.

Every test has an account of its own. That they end is shown by order: nothing else would end an IDLE session
or a sign-in whose upstream is silent. How soon is measured once, with `WICKETGATE_TESTS_LONG=1`, because on a
busy machine any process may stand still for a second.
"""

import imaplib
import itertools
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from support.cutting import carry_out, idle, wait_for_end
from support.imap import refusal
from support.office import raw
from support.serving import Serving, answer, make_gate, running_gate
from support.slow_upstream import slow_upstream

ENDED = "[AUTHENTICATIONFAILED]"
NAMED = f'{ENDED} the app-specific password "phone" was revoked'
UNNAMED = f"{ENDED} wrong name or app-specific password"
DEEDS = {
    "revoke": (("password", "revoke", "{}", "phone"), NAMED),
    "revoke-all": (("password", "revoke-all", "{}", "--yes"), NAMED),
    "set-password": (("account", "set-password", "{}", "--yes", "--primary-password-file", "-"), NAMED),
    "reset-2fa": (("account", "reset-2fa", "{}", "--yes"), NAMED),
    "disable": (("account", "disable", "{}", "--yes"), UNNAMED),
    "remove": (("account", "remove", "{}", "--yes"), UNNAMED),
}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def upstream():
    with slow_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def scripted(tmp_path_factory, upstream):
    folder = tmp_path_factory.mktemp("cut")
    with running_gate(make_gate(folder / "gate", upstream.settings(folder))) as gate:
        yield gate


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    with running_gate(make_gate(tmp_path_factory.mktemp("cut") / "gate")) as gate:
        yield gate


@pytest.fixture
def threads():
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture
def held(upstream):
    """The upstream keeps its banner back from the next connection on, until the test ends."""

    def hold() -> None:
        upstream.holds = True

    yield hold
    upstream.holds = False


@pytest.fixture
def clear(upstream):
    """No connection of an earlier test is taken for one of this test."""
    while not upstream.arrivals.empty():
        upstream.arrivals.get()


def newcomer(gate: Serving) -> str:
    email = f"person{next(_numbers)}@example.org"
    gate.house.add(email)
    return email


def ask_to_sign_in(client: imaplib.IMAP4, email: str, password: str) -> None:
    client.send(b"a1 LOGIN %b %b\r\n" % (email.encode(), password.encode()))


def refused_with(client: imaplib.IMAP4) -> str:
    """Wait for the line that answers the sign-in and give it without its tag."""
    return client.readline().decode().strip().removeprefix("a1 NO ")


@pytest.fixture(params=["scripted", "embedded"])
def gate(request) -> Serving:
    return request.getfixturevalue(request.param)


def test_idle_sessions_of_a_revoked_one_end_and_others_go_on(gate, dial):
    email = newcomer(gate)
    phone, tablet = gate.mint(email), gate.mint(email, "tablet")
    lost = [idle(dial(gate.facts, starttls=way), email, phone) for way in (False, True)]
    kept = idle(dial(gate.facts), email, tablet)
    assert carry_out(gate, "password", "revoke", email, "phone").cut == (2, 0)
    for client in lost:
        wait_for_end(client)
    kept.send(b"DONE\r\n")
    assert b" OK" in kept.readline()
    assert kept.noop()[0] == "OK"
    kept.logout()
    assert refusal(dial(gate.facts), email, phone) == NAMED


def test_a_sign_in_that_waits_for_the_banner_is_refused(scripted, upstream, dial, held, clear):
    email = newcomer(scripted)
    phone, tablet = scripted.mint(email), scripted.mint(email, "tablet")
    held()
    waiting = dial(scripted.facts)
    ask_to_sign_in(waiting, email, phone)
    arrival = upstream.next_arrival()
    assert carry_out(scripted, "password", "revoke", email, "phone").cut == (1, 0)
    assert refused_with(waiting) == NAMED
    arrival.wait_for_end()
    upstream.holds = False
    waiting.login(email, tablet)  # the connection is still good for a password that stands
    assert upstream.next_arrival().login == email
    waiting.logout()


@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_ends_app_passwords_cuts_sessions_and_sign_ins(scripted, upstream, dial, held, clear, deed):
    email, neighbour = newcomer(scripted), newcomer(scripted)
    password = scripted.mint(email)
    session = idle(dial(scripted.facts), email, password)
    other = dial(scripted.facts)
    other.login(neighbour, scripted.mint(neighbour))
    arrivals = [upstream.next_arrival() for _ in range(2)]
    held()
    waiting = dial(scripted.facts)
    ask_to_sign_in(waiting, email, password)
    arrivals.append(upstream.next_arrival())
    words, said = DEEDS[deed]
    done = carry_out(scripted, *(word.format(email) for word in words), stdin="a new primary password\n")
    assert done.cut == (2, 0)
    assert len(done.facts["revoked"]) == 1
    wait_for_end(session)
    assert refused_with(waiting) == said
    arrivals[0].wait_for_end()
    arrivals[2].wait_for_end()
    assert other.noop()[0] == "OK"
    other.logout()
    assert refusal(waiting, email, password) == said


def test_a_deed_with_nothing_to_end_says_none(scripted, dial):
    email = newcomer(scripted)
    client = dial(scripted.facts)
    client.login(email, scripted.mint(email))
    scripted.mint(email, "tablet")
    assert carry_out(scripted, "password", "revoke", email, "tablet").cut == (0, 0)
    assert client.noop()[0] == "OK"
    assert carry_out(scripted, "password", "revoke", email, "tablet").cut == (0, 0)
    client.logout()


def test_a_stopped_worker_is_counted_as_silent_and_cuts_as_soon_as_it_goes_on(scripted, dial):
    email = newcomer(scripted)
    session = idle(dial(scripted.facts), email, scripted.mint(email))
    scripted.process.send_signal(signal.SIGSTOP)
    try:
        done = scripted.ask("password", "revoke", email, "phone")
    finally:
        scripted.process.send_signal(signal.SIGCONT)
    assert (done["sessions_cut"], done["silent_workers"]) == (0, 1)
    wait_for_end(session)


@pytest.mark.skipif(
    os.environ.get("WICKETGATE_TESTS_LONG") != "1", reason="measures time: WICKETGATE_TESTS_LONG=1"
)
def test_from_the_commit_to_the_last_word_less_than_a_second_passes(
    scripted, upstream, dial, threads, held, clear
):
    email = newcomer(scripted)
    password = scripted.mint(email)
    session, waiting = idle(dial(scripted.facts), email, password), dial(scripted.facts)
    upstream.next_arrival()
    held()
    ask_to_sign_in(waiting, email, password)
    upstream.next_arrival()
    ends = [
        threads.submit(at_the_end_of, work, client)
        for work, client in ((wait_for_end, session), (refused_with, waiting))
    ]
    committed = revoke_and_watch(scripted, email)
    assert [end.result() - committed < 1.0 for end in ends] == [True, True]


def at_the_end_of(work, *arguments) -> float:
    work(*arguments)
    return time.monotonic()


def revoke_and_watch(gate: Serving, email: str) -> float:
    """Revoke, and give when the commit could be seen in the store; the process is the clock between looks."""
    with raw(gate.data) as store:
        look = "SELECT seq FROM feed"
        before = store.execute(look).fetchone()
        process = gate.command("password", "revoke", email, "phone")
        while store.execute(look).fetchone() == before and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
        seen = time.monotonic()
        assert answer(process)["sessions_cut"] == 2
    return seen
