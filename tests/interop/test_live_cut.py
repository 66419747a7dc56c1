"""Revoked on the command line, ended in the serving process: sessions and sign-ins, within a second.

Every test has an account of its own. The moment of a deed is when its commit can be seen in the store.
"""

import imaplib
import itertools
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.limits import REPORT_WAIT_S
from support.cutting import carry_out, end_of, idle
from support.imap import refusal
from support.serving import Serving, make_gate, running_gate
from support.slow_upstream import slow_upstream

START_AND_END_S = 4.0
"""A command takes one second beside its work; a busy machine more."""
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


def reply_to(client: imaplib.IMAP4, command: bytes) -> tuple[float, str]:
    """Send a command and wait for the line that answers it; when that was, and the line without its tag."""
    client.send(b"a1 " + command + b"\r\n")
    line = client.readline()
    return time.monotonic(), line.decode().strip().removeprefix("a1 NO ")


@pytest.fixture(params=["scripted", "embedded"])
def gate(request) -> Serving:
    return request.getfixturevalue(request.param)


def test_idle_sessions_of_a_revoked_one_end_within_a_second_and_others_go_on(gate, dial, threads):
    email = newcomer(gate)
    phone, tablet = gate.mint(email), gate.mint(email, "tablet")
    lost = [idle(dial(gate.facts, starttls=way), email, phone) for way in (False, True)]
    kept = idle(dial(gate.facts), email, tablet)
    ends = [threads.submit(end_of, client) for client in lost]
    done = carry_out(gate, "password", "revoke", email, "phone")
    assert [end.result() - done.at < 1.0 for end in ends] == [True, True]
    assert done.cut == (2, 0)
    kept.send(b"DONE\r\n")
    assert b" OK" in kept.readline()
    assert kept.noop()[0] == "OK"
    kept.logout()
    assert refusal(dial(gate.facts), email, phone) == NAMED


def test_a_sign_in_that_waits_for_the_banner_is_refused_within_a_second(
    scripted, upstream, dial, threads, held, clear
):
    email = newcomer(scripted)
    phone, tablet = scripted.mint(email), scripted.mint(email, "tablet")
    held()
    waiting = dial(scripted.facts)
    reply = threads.submit(reply_to, waiting, b"LOGIN %b %b" % (email.encode(), phone.encode()))
    arrival = upstream.next_arrival()
    done = carry_out(scripted, "password", "revoke", email, "phone")
    at, words = reply.result()
    assert (words, done.cut) == (NAMED, (1, 0))
    assert at - done.at < 1.0
    arrival.wait_for_end()
    upstream.holds = False
    waiting.login(email, tablet)  # the connection is still good for a password that stands
    assert upstream.next_arrival().login == email
    waiting.logout()


@pytest.mark.parametrize("deed", DEEDS)
def test_whatever_ends_app_passwords_cuts_sessions_and_sign_ins(
    scripted, upstream, dial, threads, held, clear, deed
):
    email, neighbour = newcomer(scripted), newcomer(scripted)
    password = scripted.mint(email)
    session = idle(dial(scripted.facts), email, password)
    other = dial(scripted.facts)
    other.login(neighbour, scripted.mint(neighbour))
    arrivals = [upstream.next_arrival() for _ in range(2)]
    held()
    waiting = dial(scripted.facts)
    reply = threads.submit(reply_to, waiting, b"LOGIN %b %b" % (email.encode(), password.encode()))
    arrivals.append(upstream.next_arrival())
    end = threads.submit(end_of, session)
    words, refused_with = DEEDS[deed]
    done = carry_out(scripted, *(word.format(email) for word in words), stdin="a new primary password\n")
    assert done.cut == (2, 0)
    assert len(done.facts["revoked"]) == 1
    assert end.result() - done.at < 1.0
    assert reply.result()[0] - done.at < 1.0
    assert reply.result()[1] == refused_with
    arrivals[0].wait_for_end()
    arrivals[2].wait_for_end()
    assert other.noop()[0] == "OK"
    other.logout()
    assert refusal(waiting, email, password) == refused_with


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
    began = time.monotonic()
    scripted.process.send_signal(signal.SIGSTOP)
    try:
        done = scripted.ask("password", "revoke", email, "phone")
        took = time.monotonic() - began
    finally:
        scripted.process.send_signal(signal.SIGCONT)
    assert end_of(session) - began - took < 1.0
    assert (done["sessions_cut"], done["silent_workers"]) == (0, 1)
    assert REPORT_WAIT_S <= took < REPORT_WAIT_S + START_AND_END_S
