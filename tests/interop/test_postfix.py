"""The gate before a whole mail server: Dovecot, and Postfix, which asks Dovecot whom to let in.

A message sent through the gate is seen where Postfix delivered it.
"""

import itertools
import smtplib
from dataclasses import replace

import pytest

from config.authority import make_authority
from support.cutting import carry_out
from support.dovecot import running_dovecot
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.mailing import Letter, curl, msmtp, swaks
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.serving import running_gate
from support.smtp import connect, refusal
from support.waiting import until

BOB = "bob@example.net"
EXTENSIONS = 'extensions = ["CHUNKING", "DSN", "SMTPUTF8"]'
SIZE = 1_000_000
UNAVAILABLE = "454 4.7.0 sign-in is not possible at the moment, try again later"
WAYS = [("TLS", "authzid"), ("STARTTLS", "authzid"), ("TLS", "master")]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot() as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot, PostfixOptions(more=(f"message_size_limit = {SIZE}",))) as server:
        yield server


def make(folder, dovecot, postfix, way: str, kind: str, *, secret: str = "", ca_file=None):
    """Make a gate before both; how it goes to Postfix is said."""
    addresses = {
        "TLS": f"smtps://localhost:{postfix.ports.submissions}",
        "STARTTLS": f"smtp+starttls://localhost:{postfix.ports.submission}",
    }
    sign_in = signing_in(folder, secret or dovecot.secret, kind)
    return make_mail_gate(
        folder / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(addresses[way], ca_file or postfix.ca_file, sign_in, EXTENSIONS),
    )


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def gate(tmp_path_factory, dovecot, postfix, request):
    house = make(tmp_path_factory.mktemp("whole"), dovecot, postfix, *request.param)
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


@pytest.fixture
def client(gate, letter):
    """Signed in with smtplib."""
    with connect(gate.facts) as made:
        made.login(letter.user, letter.password)
        yield made


@pytest.mark.parametrize("starttls", [False, True])
@pytest.mark.parametrize("program", [swaks, msmtp, curl])
def test_a_message_arrives_as_it_was_sent(gate, postfix, letter, tmp_path, program, starttls):
    sent = program(gate.facts, replace(letter, starttls=starttls), tmp_path)
    assert sent.status == 0, sent.said
    message = postfix.wait_for(BOB, letter.subject)
    assert message["Return-Path"] == f"<{letter.sender}>"
    assert message.get_content().splitlines()[0] == letter.body.strip()
    assert f"sasl_username={letter.user}" in postfix.log


# --- extensions ---------------------------------------------------------------------------------------------


def test_the_extensions_it_has_are_shown(client):
    client.ehlo()
    assert {"chunking", "dsn", "smtputf8", "8bitmime", "pipelining", "size"} <= set(client.esmtp_features)


def test_a_message_in_chunks(postfix, letter, client):
    """RFC 3030 §2: nothing of a chunk is a line, so a dot stands as it is."""
    text = replace(letter, body="before\n.\nafter\n").text.replace("\n", "\r\n").encode()
    client.mail(letter.sender)
    client.rcpt(BOB)
    for chunk, last in ((text[:70], ""), (text[70:], ""), (b"", " LAST")):
        client.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
        assert client.getreply()[0] == 250
    assert postfix.wait_for(BOB, letter.subject).get_content() == "before\n.\nafter\n"


def test_a_sender_hears_of_the_delivery(postfix, letter, client):
    """RFC 3461 §4: the parameters pass to Postfix, which reports what it was asked to."""
    client.sendmail(
        letter.sender, [BOB], letter.text,
        ["RET=HDRS", "ENVID=of-the-letter"], ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{BOB}"],
    )  # fmt: skip
    report = postfix.wait_for(letter.sender, "Successful Mail Delivery Report")
    [status] = [part for part in report.walk() if part.get_content_type() == "message/delivery-status"]
    of_message, of_recipient = status.get_payload()
    assert of_message["Original-Envelope-Id"] == "of-the-letter"
    assert of_recipient["Action"] == "relayed"  # to the program that delivers here
    assert of_recipient["Original-Recipient"] == f"rfc822;{BOB}"


def test_addresses_beyond_ascii(postfix, letter, client):
    """RFC 6531 §3: an address, and a header, in UTF-8."""
    there = f"gr\u00fc\u00dfe-{letter.sender}"
    message = replace(letter, recipient=there, subject=f"gr\u00fc\u00dfe {letter.subject}")
    client.ehlo()
    client.sendmail(
        letter.sender, [there], message.text.replace("\n", "\r\n").encode(), ["SMTPUTF8", "BODY=8BITMIME"]
    )
    assert postfix.wait_for(there, message.subject)["Return-Path"] == f"<{letter.sender}>"


# --- what Postfix refuses passes in line --------------------------------------------------------------------


def test_postfix_says_whose_sender_it_is(postfix, letter, client):
    """`policy.sender` is "upstream" before a real server: what it refuses passes in line."""
    tagged = letter.sender.replace("@", "+shop@")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail("somebody@example.org", [BOB], letter.text)
    assert client.sendmail(tagged, [BOB], letter.text) == {}
    words = f"<somebody@example.org>: Sender address rejected: not owned by user {letter.user}"
    assert refused.value.recipients == {BOB: (553, f"5.7.1 {words}".encode())}
    assert postfix.wait_for(BOB, letter.subject)["Return-Path"] == f"<{tagged}>"


def test_a_recipient_it_does_not_take_is_no_loss_for_the_others(postfix, letter, client):
    refused = client.sendmail(letter.sender, ["nobody@", BOB], letter.text)
    assert [code for code, _ in refused.values()] == [501]
    assert postfix.wait_for(BOB, letter.subject)


def test_a_message_that_is_too_large(postfix, letter, client):
    """RFC 1870 §6: Postfix has the smaller limit, and is heard when the message is there."""
    client.mail(letter.sender)
    client.rcpt(BOB)
    code, words = client.data(letter.text + "x" * SIZE)
    assert (code, words[:6]) == (552, b"5.3.4 ")
    client.sendmail(letter.sender, [BOB], letter.text)
    assert postfix.wait_for(BOB, letter.subject)


# --- the end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["DATA", "BDAT"])
def test_a_revocation_ends_a_session_in_mid_message(gate, postfix, letter, client, command):
    client.mail(letter.sender)
    client.rcpt(BOB)
    text = letter.text.replace("\n", "\r\n")
    if command == "DATA":
        assert client.docmd("DATA")[0] == 354
        client.send(text)
    else:
        client.send(f"BDAT {len(text)}\r\n{text}")
        assert client.getreply()[0] == 250
    assert carry_out(gate, "password", "revoke", letter.user, "phone").cut == (1, 0)
    assert client.getreply()[0] == 421
    with connect(gate.facts) as other:
        assert "was revoked" in refusal(other, letter.user, letter.password)
    until(lambda: f"lost connection after {command}" in postfix.log)
    assert letter.subject not in [message["Subject"] for message in postfix.messages(BOB)]


def another_authority(folder):
    return {"ca_file": make_authority(folder / "other").certificate}


def another_secret(folder):
    return {"secret": "not the secret"}


WRONG = {
    another_authority: ("unavailable", "certificate"),
    another_secret: ("upstream-refused", "refused our sign-in"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("way", ["TLS", "STARTTLS"])
def test_an_upstream_that_is_not_ours_is_an_outage(dovecot, postfix, tmp_path, way, wrong):
    house = make(tmp_path, dovecot, postfix, way, "authzid", **wrong(tmp_path))
    house.add("alice@example.org")
    with running_gate(house) as gate:
        with connect(gate.facts) as client:
            assert refusal(client, "alice@example.org", gate.mint("alice@example.org")) == UNAVAILABLE
            assert client.noop()[0] == 250
        reason, words = WRONG[wrong]
        assert words in gate.log.wait_for(f"reason={reason}").lower()
    assert "not the secret" not in gate.log.text
