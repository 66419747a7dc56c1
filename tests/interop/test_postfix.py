"""The gate before a whole mail server: Dovecot, and Postfix, which asks Dovecot whom to let in.

A message sent through the gate is seen where Postfix delivered it.
"""

import itertools
import smtplib
from dataclasses import replace

import pytest

from support.dovecot import running_dovecot
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.mailing import Letter, curl, msmtp, swaks
from support.postfix import running_postfix
from support.serving import running_gate
from support.smtp import connect

BOB = "bob@example.net"
WAYS = [("TLS", "authzid"), ("STARTTLS", "authzid"), ("TLS", "master")]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot() as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot) as server:
        yield server


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def gate(tmp_path_factory, dovecot, postfix, request):
    folder, (way, kind) = tmp_path_factory.mktemp("whole"), request.param
    sign_in = signing_in(folder, dovecot.secret, kind)
    smtps = f"smtps://localhost:{postfix.ports.submissions}"
    starttls = f"smtp+starttls://localhost:{postfix.ports.submission}"
    house = make_mail_gate(
        folder / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(smtps if way == "TLS" else starttls, postfix.ca_file, sign_in),
    )
    with running_gate(house) as serving:
        yield serving


@pytest.fixture
def letter(gate) -> Letter:
    """A letter to bob from an account of its own."""
    email = f"person{(number := next(_numbers))}@example.org"
    gate.house.add(email)
    return Letter(
        user=email, password=gate.mint(email), sender=email, recipient=BOB, subject=f"letter {number}"
    )


@pytest.mark.parametrize("starttls", [False, True])
@pytest.mark.parametrize("program", [swaks, msmtp, curl])
def test_a_message_arrives_as_it_was_sent(gate, postfix, letter, tmp_path, program, starttls):
    sent = program(gate.facts, replace(letter, starttls=starttls), tmp_path)
    assert sent.status == 0, sent.said
    message = postfix.wait_for(BOB, letter.subject)
    assert message["Return-Path"] == f"<{letter.sender}>"
    assert message.get_content().splitlines()[0] == letter.body.strip()
    assert f"sasl_username={letter.user}" in postfix.log


def test_postfix_says_whose_sender_it_is(gate, postfix, letter):
    """`policy.sender` is "upstream" before a real server: what it refuses passes in line."""
    tagged = letter.sender.replace("@", "+shop@")
    with connect(gate.facts) as client:
        client.login(letter.user, letter.password)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("somebody@example.org", [BOB], letter.text)
        assert client.sendmail(tagged, [BOB], letter.text) == {}
    words = f"<somebody@example.org>: Sender address rejected: not owned by user {letter.user}"
    assert refused.value.recipients == {BOB: (553, f"5.7.1 {words}".encode())}
    assert postfix.wait_for(BOB, letter.subject)["Return-Path"] == f"<{tagged}>"
