"""Dovecot's submission service behind the gate: it lets us in as a master user, and hands on to Postfix.

Postfix trusts it (XCLIENT), so what Postfix refuses for the account passes in line through both.
"""

import smtplib

import pytest

from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.mailing import Letter, curl, msmtp, swaks
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.serving import running_gate
from support.smtp import connect

ALICE, BOB = "alice@example.org", "bob@example.net"
EXTENSIONS = 'extensions = ["CHUNKING"]'
WAYS = [("TLS", "authzid"), ("STARTTLS", "authzid"), ("TLS", "master")]


@pytest.fixture(scope="module")
def postfix():
    with running_dovecot() as dovecot, running_postfix(dovecot, PostfixOptions(xclient=True)) as server:
        yield server


@pytest.fixture(scope="module")
def dovecot(postfix):
    with running_dovecot(DovecotOptions(relay=postfix.ports.relay)) as server:
        yield server


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def gate(tmp_path_factory, dovecot, request):
    folder, (way, kind) = tmp_path_factory.mktemp("submission"), request.param
    sign_in = signing_in(folder, dovecot.secret, kind)
    smtps = f"smtps://localhost:{dovecot.ports.submissions}"
    starttls = f"smtp+starttls://localhost:{dovecot.ports.submission}"
    house = make_mail_gate(
        folder / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(smtps if way == "TLS" else starttls, dovecot.ca_file, sign_in, EXTENSIONS),
    )
    house.ask("account", "add", ALICE, "--service")
    with running_gate(house) as serving:
        yield serving


@pytest.fixture
def letter(gate, request) -> Letter:
    label = request.node.name
    return Letter(user=ALICE, password=gate.mint(ALICE, label), sender=ALICE, recipient=BOB, subject=label)


@pytest.mark.parametrize("program", [swaks, msmtp, curl])
def test_a_message_arrives(gate, dovecot, postfix, letter, tmp_path, program):
    sent = program(gate.facts, letter, tmp_path)
    assert sent.status == 0, sent.said
    message = postfix.wait_for(BOB, letter.subject)
    assert message["Return-Path"] == f"<{ALICE}>"
    assert f"submission({ALICE})" in dovecot.log


def test_what_postfix_refuses_passes_in_line(gate, postfix, letter):
    with connect(gate.facts) as client:
        client.login(ALICE, letter.password)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("somebody@example.org", [BOB], letter.text)
        assert client.sendmail(ALICE, [BOB], letter.text) == {}
    words = "<somebody@example.org>: Sender address rejected: not owned by user alice@example.org"
    assert refused.value.recipients == {BOB: (553, f"5.7.1 <{BOB}> {words}".encode())}
    postfix.wait_for(BOB, letter.subject)


def test_eight_bits_and_dots_arrive_as_they_are(gate, postfix, letter):
    body = "Gr\u00fc\u00dfe\r\n.\r\n..\r\n.x\r\n"
    head = f"From: {ALICE}\r\nSubject: {letter.subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    with connect(gate.facts) as client:
        client.login(ALICE, letter.password)
        client.sendmail(ALICE, [BOB], (head + body).encode(), ["BODY=8BITMIME"])
    message = postfix.wait_for(BOB, letter.subject)
    assert message.get_payload(decode=True).decode().split() == body.split()


def test_a_message_in_chunks_arrives(gate, postfix, letter):
    text = letter.text.encode().replace(b"\n", b"\r\n")
    with connect(gate.facts) as client:
        client.login(ALICE, letter.password)
        client.ehlo()
        assert client.mail(ALICE)[0] == 250
        assert client.rcpt(BOB)[0] == 250
        client.send(b"BDAT %d\r\n%bBDAT %d\r\n%bBDAT 0 LAST\r\n" % (20, text[:20], len(text) - 20, text[20:]))
        assert [client.getreply()[0] for _ in range(3)] == [250] * 3
    postfix.wait_for(BOB, letter.subject)
