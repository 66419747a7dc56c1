"""Domains with servers of their own, in one gate: mail stands where it belongs, and so does an outage."""

import threading

import pytest

from support.dovecot import running_dovecot
from support.imap import connect, refusal, subjects
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.serving import behind, running_gate
from support.slow_upstream import SECRET, slow_upstream
from support.smtp import connect as connect_smtp

ALICE, BOB, CAROL = "alice@example.org", "bob@example.net", "carol@example.edu"
UNAVAILABLE = "[UNAVAILABLE] sign-in is not possible at the moment, try again later"


@pytest.fixture(scope="module")
def dovecots():
    """Of example.org, and of example.net."""
    with running_dovecot() as org, running_dovecot() as net:
        yield {ALICE: org, BOB: net}


@pytest.fixture(scope="module")
def postfixes(dovecots):
    org, net = dovecots.values()
    with (
        running_postfix(org, PostfixOptions(mail=org.mail)) as of_org,
        running_postfix(net, PostfixOptions(mail=net.mail)) as of_net,
    ):
        yield {ALICE: of_org, BOB: of_net}


@pytest.fixture(scope="module")
def slow():
    """The server of example.edu."""
    with slow_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def gate(tmp_path_factory, dovecots, postfixes, slow):
    folder = tmp_path_factory.mktemp("domains")

    def imap(email: str, kind: str) -> str:
        dovecot = dovecots[email]
        sign_in = signing_in(folder, dovecot.secret, kind)
        return upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in)

    def smtp(email: str, kind: str) -> str:
        postfix = postfixes[email]
        sign_in = signing_in(folder, dovecots[email].secret, kind)
        return upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in)

    house = make_mail_gate(folder / "gate", imap(ALICE, "authzid"), smtp(ALICE, "authzid"))
    net = f"[domain.upstream.imap]\n{imap(BOB, 'master')}\n[domain.upstream.smtp]\n{smtp(BOB, 'master')}"
    edu = f"[domain.upstream.imap]\n{behind(folder, f'unix:{slow.path}', SECRET)}"
    house.file.write_text(
        house.file.read_text("utf-8")
        + f'\n[[domain]]\nname = "example.net"\n{net}\n\n[[domain]]\nname = "example.edu"\n{edu}\n',
        "utf-8",
    )
    for email in (ALICE, BOB, CAROL):
        house.ask("account", "add", email, "--service")
    with running_gate(house) as serving:
        yield serving


@pytest.fixture(scope="module")
def passwords(gate):
    return {email: gate.mint(email) for email in (ALICE, BOB, CAROL)}


@pytest.mark.parametrize("sender", [ALICE, BOB])
def test_what_is_sent_goes_by_the_senders_server_and_is_read_at_it(gate, dial, postfixes, passwords, sender):
    subject = f"from {sender}"
    with connect_smtp(gate.facts) as client:
        client.login(sender, passwords[sender])
        client.sendmail(sender, [sender], f"Subject: {subject}\r\n\r\nHello\r\n")
    postfixes[sender].wait_for(sender, subject)
    [other] = {ALICE, BOB} - {sender}
    for email, found in ((sender, True), (other, False)):
        reader = dial(gate.facts)
        reader.login(email, passwords[email])
        assert (subject in subjects(reader)) == found
        reader.logout()
    assert not postfixes[other].messages(sender)


def test_an_outage_of_one_domain_is_none_of_the_others(gate, dial, slow, passwords):
    said = []

    def sign_in() -> None:
        with connect(gate.facts) as client:
            said.append(refusal(client, CAROL, passwords[CAROL]))
            client.login(CAROL, passwords[CAROL])

    slow.holds = True
    waiting = threading.Thread(target=sign_in)
    waiting.start()
    held = slow.next_arrival()
    for email in (ALICE, BOB):
        reader = dial(gate.facts)
        reader.login(email, passwords[email])
        assert reader.select("INBOX")[0] == "OK"
        reader.logout()
    assert not said
    slow.holds = False
    slow.hang_up()
    held.wait_for_end()
    waiting.join()
    assert said == [UNAVAILABLE]
    assert slow.next_arrival().login == CAROL
