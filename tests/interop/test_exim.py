"""The gate before a real Exim, signing in for each account over TLS and over STARTTLS.

A message sent through the gate is seen where Exim delivered it.
"""

import itertools
import smtplib
from dataclasses import replace

import pytest

from config.authority import make_authority
from support.cutting import carry_out
from support.exim import running_exim
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.mailing import Letter, curl, msmtp, swaks
from support.serving import running_gate
from support.smtp import connect, refusal
from support.waiting import until

BOB = "bob@example.net"
EXTENSIONS = 'extensions = ["CHUNKING", "DSN", "SMTPUTF8"]'
UNAVAILABLE = "454 4.7.0 sign-in is not possible at the moment, try again later"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def exim():
    with running_exim() as server:
        server.make_box(BOB)
        yield server


def addresses(exim) -> dict[str, str]:
    return {
        "smtps": f"smtps://localhost:{exim.smtps}",
        "smtp+starttls": f"smtp+starttls://localhost:{exim.smtp}",
    }


def make(folder, exim, kind: str, *, secret: str = "", ca_file=None):
    """Make a gate before it, with the built-in mailboxes to read."""
    sign_in = signing_in(folder, secret or exim.secret)
    lines = upstream(addresses(exim)[kind], ca_file or exim.ca_file, sign_in, EXTENSIONS)
    return make_mail_gate(folder / "gate", 'address = "embedded"', lines)


@pytest.fixture(scope="module", params=["smtps", "smtp+starttls"])
def gate(tmp_path_factory, exim, request):
    with running_gate(make(tmp_path_factory.mktemp("front"), exim, request.param)) as serving:
        yield serving


@pytest.fixture
def letter(gate, exim) -> Letter:
    """A letter to bob from an account of its own."""
    email = f"person{(number := next(_numbers))}@example.org"
    gate.house.add(email)
    exim.make_box(email)
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
def test_a_message_arrives_as_it_was_sent(gate, exim, letter, tmp_path, program, starttls):
    sent = program(gate.facts, replace(letter, starttls=starttls), tmp_path)
    assert sent.status == 0, sent.said
    message = exim.wait_for(BOB, letter.subject)
    assert message["Return-Path"] == f"<{letter.sender}>"
    assert message.get_content().splitlines()[0] == letter.body.strip()
    assert f"A=gate:{letter.user} " in exim.log


def test_smtplib_sends_several_in_one_session(exim, letter, client):
    client.sendmail(letter.sender, [BOB], letter.text)
    client.sendmail(letter.sender, [BOB, letter.sender], replace(letter, subject="again").text)
    assert exim.wait_for(BOB, letter.subject)
    assert exim.wait_for(letter.sender, "again")


def test_octets_of_eight_bits_arrive(exim, letter, client):
    text = replace(letter, body="Gr\u00fc\u00dfe\n").text.replace("\n", "\r\n")
    client.sendmail(letter.sender, [BOB], text.encode(), ["BODY=8BITMIME"])  # RFC 6152
    assert exim.wait_for(BOB, letter.subject).get_payload(decode=True) == "Gr\u00fc\u00dfe\n".encode()


# --- extensions ---------------------------------------------------------------------------------------------


def test_the_extensions_it_has_are_shown(client):
    client.ehlo()
    assert {"chunking", "dsn", "smtputf8", "8bitmime", "pipelining", "size"} <= set(client.esmtp_features)


def test_a_message_in_chunks(exim, letter, client):
    """RFC 3030 §2: nothing of a chunk is a line, so a dot stands as it is."""
    text = replace(letter, body="before\n.\nafter\n").text.replace("\n", "\r\n").encode()
    client.mail(letter.sender)
    client.rcpt(BOB)
    for chunk, last in ((text[:70], ""), (text[70:], ""), (b"", " LAST")):
        client.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
        assert client.getreply()[0] == 250
    assert exim.wait_for(BOB, letter.subject).get_content() == "before\n.\nafter\n"


def test_a_chunk_of_a_transaction_without_recipients_is_refused_and_goes_nowhere(exim, letter, client):
    client.mail(letter.sender)
    assert client.rcpt("nobody@example.net")[0] == 550
    text = letter.text.replace("\n", "\r\n").encode()
    client.send(b"BDAT %d LAST\r\n%b" % (len(text), text))
    assert client.getreply()[0] // 100 == 5
    client.rset()
    client.sendmail(letter.sender, [BOB], replace(letter, subject=f"after {letter.subject}").text)
    assert exim.wait_for(BOB, f"after {letter.subject}")


def test_a_sender_hears_of_the_delivery(exim, letter, client):
    """RFC 3461 §4: the parameters pass to Exim, which reports what it was asked to."""
    client.sendmail(
        letter.sender, [BOB], letter.text,
        ["RET=HDRS", "ENVID=of-the-letter"], ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{BOB}"],
    )  # fmt: skip
    until(lambda: exim.messages(letter.sender))
    [report] = exim.messages(letter.sender)
    assert report.get_content_type() == "multipart/report"
    [status] = [part for part in report.walk() if part.get_content_type() == "message/delivery-status"]
    of_message, of_recipient = status.get_payload()
    assert of_message["Original-Envelope-Id"] == "of-the-letter"
    assert of_recipient["Action"] == "delivered"
    assert of_recipient["Original-Recipient"] == of_recipient["Final-Recipient"] == f"rfc822;{BOB}"


def test_addresses_beyond_ascii(exim, letter, client):
    """RFC 6531 §3: an address, and a header, in UTF-8."""
    there = f"gr\u00fc\u00dfe-{letter.sender}"
    exim.make_box(there)
    message = replace(letter, recipient=there, subject=f"gr\u00fc\u00dfe {letter.subject}")
    client.ehlo()
    client.sendmail(
        letter.sender, [there], message.text.replace("\n", "\r\n").encode(), ["SMTPUTF8", "BODY=8BITMIME"]
    )
    assert exim.wait_for(there, message.subject)["Return-Path"] == f"<{letter.sender}>"


# --- what Exim refuses passes in line -----------------------------------------------------------------------


def test_a_recipient_it_does_not_know(exim, letter, client):
    refused = client.sendmail(letter.sender, ["nobody@example.net", BOB], letter.text)
    assert refused == {"nobody@example.net": (550, b"5.0.0 Unrouteable address")}
    assert exim.wait_for(BOB, letter.subject)


def test_a_sender_of_somebody_else(letter, client):
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        client.sendmail(BOB, [BOB], letter.text)
    assert refused.value.smtp_error.decode() == f"5.0.0 {BOB} does not belong to {letter.user}"


def test_a_message(exim, letter, client):
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail(letter.sender, [BOB], f"X-Refuse: please\n{letter.text}")
    assert (refused.value.smtp_code, refused.value.smtp_error) == (550, b"5.0.0 this message is refused")
    client.sendmail(letter.sender, [BOB], replace(letter, subject=f"after {letter.subject}").text)
    assert exim.wait_for(BOB, f"after {letter.subject}")
    assert [each["Subject"] for each in exim.messages(BOB)].count(letter.subject) == 0


# --- the end ------------------------------------------------------------------------------------------------


def test_a_revocation_ends_a_session_in_mid_message(gate, exim, letter, client):
    client.mail(letter.sender)
    client.rcpt(BOB)
    assert client.docmd("DATA")[0] == 354
    client.send(letter.text.replace("\n", "\r\n"))
    assert carry_out(gate, "password", "revoke", letter.user, "phone").cut == (1, 0)
    assert client.getreply()[0] == 421
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.docmd("NOOP")
    with connect(gate.facts) as other:
        assert "was revoked" in refusal(other, letter.user, letter.password)
    assert [each["Subject"] for each in exim.messages(BOB)].count(letter.subject) == 0


def another_authority(folder):
    return {"ca_file": make_authority(folder / "other").certificate}


def another_secret(folder):
    return {"secret": "not the secret"}


WRONG = {
    another_authority: ("unavailable", "certificate"),
    another_secret: ("upstream-refused", "refused our sign-in"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["smtps", "smtp+starttls"])
def test_an_upstream_that_is_not_ours_is_an_outage(exim, tmp_path, kind, wrong):
    house = make(tmp_path, exim, kind, **wrong(tmp_path))
    house.add("alice@example.org")
    with running_gate(house) as gate:
        with connect(gate.facts) as client:
            assert refusal(client, "alice@example.org", gate.mint("alice@example.org")) == UNAVAILABLE
            assert client.noop()[0] == 250
        reason, words = WRONG[wrong]
        assert words in gate.log.wait_for(f"reason={reason}").lower()
    assert "not the secret" not in gate.log.text
