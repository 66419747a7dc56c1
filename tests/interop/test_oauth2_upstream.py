"""Sign-in kind `oauth2` as a whole: a provider, mail servers that take its tokens, and the gate between.

The mail servers are stand-ins; `test_oauth2_dovecot.py` has real ones.
"""

import imaplib
import re
import signal
import smtplib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from support import imap
from support.dialects import FASTMAIL, GMAIL, MICROSOFT365
from support.oauth_provider import Fault
from support.oauth_town import ALICE, moved_in
from support.serving import Serving, answer, running_gate
from support.smtp import connect, message

UNAVAILABLE = b"sign-in is not possible at the moment, try again later"


@pytest.fixture
def town(tmp_path):
    with ExitStack() as stack:
        yield moved_in(stack, tmp_path, GMAIL)


def reads(gate: Serving, password: str) -> None:
    with imap.connect(gate.facts) as client:
        client.login(ALICE, password)
        assert client.select()[0] == "OK"


def is_unavailable(gate: Serving, password: str) -> None:
    client = imap.connect(gate.facts)
    with pytest.raises(imaplib.IMAP4.error, match=r"UNAVAILABLE"):
        client.login(ALICE, password)
    assert client.noop()[0] == "OK"
    client.logout()
    with connect(gate.facts) as sender, pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        sender.login(ALICE, password)
    assert (caught.value.smtp_code, caught.value.smtp_error) == (454, b"4.7.0 " + UNAVAILABLE)


@pytest.mark.parametrize(
    ("dialect", "mechanism"),
    [(GMAIL, "OAUTHBEARER"), (MICROSOFT365, "XOAUTH2"), (FASTMAIL, "OAUTHBEARER")],
    ids=["gmail", "microsoft365", "fastmail"],
)
def test_read_and_send_with_one_token(tmp_path, dialect, mechanism):
    with ExitStack() as stack:
        town = moved_in(stack, tmp_path, dialect)
        done = town.authorise()
        assert f"{ALICE} at home, tried and stored: imap as {ALICE}, submission as {ALICE}" in done.stdout
        town.mail.signed_in.clear()
        town.provider.asked.clear()
        with running_gate(town.house) as gate:
            password = gate.mint(ALICE)
            reads(gate, password)
            with connect(gate.facts) as client:
                client.login(ALICE, password)
                client.send_message(message(ALICE, "bob@example.net", "by token"))
            assert town.mail.signed_in == [("imap", mechanism, ALICE), ("smtp", mechanism, ALICE)]
            assert town.provider.refreshes == 1
            town.provider.forget_access_tokens()
            with connect(gate.facts) as client:  # refused in the provider's own way, and again with a new one
                client.login(ALICE, password)
            assert town.mail.refused == [("smtp", mechanism, ALICE)]
            assert town.provider.refreshes == 2
            log = gate.log
        assert b"Subject: by token" in town.mail.messages[0]
        assert not re.search(r"\b[ar]t\.[\w-]{20}", log.text)
    assert not re.search(rb"\b[ar]t\.[\w-]{20}", (town.house.file.parent / "data" / "gate.db").read_bytes())


def test_five_connections_at_once_cost_one_refresh(town):
    town.authorise()
    town.provider.asked.clear()
    town.provider.fault = Fault.SILENT
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        reads_too = threading.Barrier(5)

        def at_once() -> None:
            reads_too.wait(imap.PATIENCE_S)
            reads(gate, password)

        with ThreadPoolExecutor(5) as clients:
            waiting = [clients.submit(at_once) for _ in range(5)]
            assert town.provider.waiting.wait(imap.PATIENCE_S)
            town.provider.released.set()
            for each in waiting:
                each.result()
    assert town.provider.refreshes == 1


def test_rotated_tokens_are_kept_over_a_restart(town):
    town.provider.lifetime_s = 30  # less than the margin: each sign-in refreshes
    town.authorise()
    for _ in range(2):
        with running_gate(town.house) as gate:
            password = gate.mint(ALICE, f"phone {town.provider.refreshes}")
            reads(gate, password)
            reads(gate, password)
    assert town.provider.refreshes == 4
    brought = [form["refresh_token"] for form in town.provider.asked if "refresh_token" in form]
    assert len(set(brought)) == 4


@pytest.mark.parametrize(
    ("dialect", "mechanism"),
    [(GMAIL, "OAUTHBEARER"), (MICROSOFT365, "XOAUTH2")],
    ids=["gmail", "microsoft365"],
)
def test_a_token_that_ends_before_its_time_is_replaced_once(tmp_path, dialect, mechanism):
    with ExitStack() as stack:
        town = moved_in(stack, tmp_path, dialect)
        town.authorise()
        with running_gate(town.house) as gate:
            password = gate.mint(ALICE)
            reads(gate, password)
            before = town.provider.refreshes
            town.provider.forget_access_tokens()
            reads(gate, password)
            assert town.provider.refreshes == before + 1
            assert town.mail.refused == [("imap", mechanism, ALICE)]


def test_a_server_that_takes_no_token_costs_the_provider_no_refresh_each_time(town):
    town.authorise()
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        reads(gate, password)
        before = town.provider.refreshes
        town.mail.tokens = None
        for _ in range(3):
            is_unavailable(gate, password)
        assert town.provider.refreshes == before + 1


def test_a_revoked_authorisation_is_an_outage_and_a_line_in_the_history(town):
    town.authorise()
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        town.provider.revoke(ALICE)
        town.provider.asked.clear()
        for _ in range(2):
            is_unavailable(gate, password)
        assert town.provider.refreshes == 1  # a refusal is remembered
        assert "invalid_grant" in gate.log.wait_for("refused the refresh token")
        shown = gate.house.ask("account", "show", ALICE)["authorised"][0]
        assert shown["refused_at"] is not None
        assert "authorize again" in gate.house.run("account", "show", ALICE).stdout
        town.authorise()  # and the running gate takes it up
        reads(gate, password)
    lines = town.house.ask("account", "sign-ins", ALICE)
    stale = {line["service"] for line in lines if line["outcome"] == "upstream refused"}
    assert stale == {"imap", "submission"}


def test_an_outage_of_the_provider_harms_nothing(town):
    town.authorise()
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        for fault in (Fault.BROKEN, Fault.BUSY, Fault.GARBAGE, Fault.HUGE, Fault.REDIRECT, Fault.CUT):
            town.provider.fault = fault
            is_unavailable(gate, password)
        town.provider.fault = None
        reads(gate, password)
        town.provider.fault = Fault.BROKEN
        reads(gate, password)  # by the token in memory
    assert town.house.ask("account", "show", ALICE)["authorised"][0]["refused_at"] is None
    outcomes = {line["outcome"] for line in town.house.ask("account", "sign-ins", ALICE)}
    assert outcomes == {"unavailable", "granted"}


def test_nobody_has_authorised_the_gate(town):
    with running_gate(town.house) as gate:
        is_unavailable(gate, gate.mint(ALICE))
        assert "wicketgate account authorize" in gate.log.wait_for("not authorised at home")


def test_what_is_taken_back_ends_at_once(town):
    town.authorise()
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        reads(gate, password)
        assert gate.house.ask("account", "authorize", ALICE, "--remove") == {"email": ALICE, "authorised": []}
        is_unavailable(gate, password)
    deeds = [entry["deed"] for entry in town.house.ask("audit", ALICE)]
    assert "authorised at a provider" in deeds
    assert deeds[-1] == "provider's token removed"


def test_a_stop_waits_for_a_token_that_is_on_its_way(town):
    """The provider has rotated it by then: lost with the process, the account would be locked out."""
    town.authorise()
    town.provider.fault = Fault.SILENT
    with running_gate(town.house) as gate:
        client = imap.connect(gate.facts)
        client.send(b"a LOGIN %b %b\r\n" % (ALICE.encode(), gate.mint(ALICE).encode()))
        assert town.provider.waiting.wait(imap.PATIENCE_S)
        gate.process.terminate()
        gate.log.wait_for("stopping")
        town.provider.released.set()
        client.shutdown()
    town.provider.fault = None
    with running_gate(town.house) as gate:
        reads(gate, gate.mint(ALICE, "another"))


def test_another_configuration_keeps_the_tokens_of_an_unchanged_provider(town):
    town.authorise()
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        reads(gate, password)
        before = town.provider.refreshes
        gate.process.send_signal(signal.SIGHUP)
        gate.log.wait_for("configuration read again")
        reads(gate, password)
        assert town.provider.refreshes == before


def test_check_connect_names_what_is_wrong_with_a_token(town):
    def found() -> set[str]:
        shown = town.house.run("check", "--connect", ALICE)
        return {line.strip() for line in (shown.stdout + shown.stderr).splitlines()}

    assert any("wicketgate" in line and "account authorize" in line for line in found())
    town.authorise()
    assert town.house.run("check", "--connect", ALICE).exit_code == 0
    town.provider.revoke(ALICE)
    assert any("refused the refresh token" in line for line in found())


def test_a_check_beside_the_gate_ends_no_authorisation(town):
    """The provider sees no refresh token twice, whoever refreshes: it would end all that was authorised."""
    town.provider.lifetime_s = 1  # so that every sign-in refreshes
    town.authorise()
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        checks = [gate.command("check", "--connect", ALICE) for _ in range(4)]
        while any(check.poll() is None for check in checks):
            reads(gate, password)
        assert [answer(check)["ok"] for check in checks] == [True] * 4
    brought = [form["refresh_token"] for form in town.provider.asked if "refresh_token" in form]
    assert len(brought) > 8, "or this test shows nothing"
    assert len(set(brought)) == len(brought)
    assert list((town.house.file.parent / "data").glob("token-*")) == []
