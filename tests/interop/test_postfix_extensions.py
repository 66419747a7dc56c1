"""CHUNKING, DSN and SMTPUTF8 through the gate, with a real Postfix behind that has all three."""

import itertools
import smtplib
from base64 import b64encode
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.serving import running_gate
from support.smtp import connect
from support.waiting import until

BOB = "bob@example.net"
EXTENSIONS = 'extensions = ["CHUNKING", "DSN", "SMTPUTF8"]'
NO_BOX = f"{'x' * 300}@example.net"
"""Taken by Postfix, and then no file system has a mailbox of that name."""
LIMIT = 1_000_000
"""Postfix's own, far below the gate's."""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(any_name=True)) as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot, PostfixOptions(more=(f"message_size_limit = {LIMIT}",))) as server:
        yield server


def make(folder, dovecot, postfix):
    """A gate before both."""
    sign_in = signing_in(folder, dovecot.secret)
    return make_mail_gate(
        folder / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in, EXTENSIONS),
    )


@pytest.fixture(scope="module")
def gate(tmp_path_factory, dovecot, postfix):
    with running_gate(make(tmp_path_factory.mktemp("extensions"), dovecot, postfix)) as serving:
        yield serving


@pytest.fixture
def email(gate):
    """An account of the test's own."""
    name = f"sender{next(_numbers)}@example.org"
    gate.house.add(name)
    return name


@pytest.fixture
def client(gate, email):
    """Signed in for that account."""
    with connect(gate.facts) as signed_in:
        signed_in.login(email, gate.mint(email))
        yield signed_in


@pytest.fixture
def letter(email):
    """A message to bob, its subject its own."""
    return written(email, BOB)


def written(sender: str, to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, f"letter {next(_numbers)}"
    message.set_content(".\n..\n.. two dots\nMAIL FROM:<ceo@example.com>\n.\n", cte="7bit")
    return message


def begin(client: smtplib.SMTP, sender: str, to: str = BOB) -> None:
    """Open a transaction with one recipient."""
    client.ehlo_or_helo_if_needed()
    assert client.mail(sender)[0] == 250
    assert client.rcpt(to)[0] == 250


def bdat(octets: bytes, *, last: bool = False) -> bytes:
    """One chunk with its command."""
    return b"BDAT %d%b\r\n" % (len(octets), b" LAST" if last else b"") + octets


def test_what_postfix_has_is_offered(client):
    client.ehlo()
    assert {"chunking", "dsn", "smtputf8"} <= {*client.esmtp_features}


@pytest.mark.parametrize("octets", [7, 100, 100_000])
def test_a_message_in_chunks_arrives_as_it_was_sent(client, postfix, email, letter, octets):
    whole = letter.as_bytes(policy=SMTP)
    pieces = [whole[at : at + octets] for at in range(0, len(whole), octets)]
    begin(client, email)
    client.send(b"".join(map(bdat, pieces)) + b"BDAT 0 LAST\r\n")
    for piece in pieces:
        assert client.getreply() == (250, b"2.0.0 Ok: %d bytes" % len(piece))
    code, words = client.getreply()
    assert (code, b"queued as" in words) == (250, True)
    arrived = postfix.wait_for(BOB, letter["Subject"])
    assert arrived.get_content() == letter.get_content()
    assert arrived["Return-Path"] == f"<{email}>"


def test_two_messages_and_a_goodbye_without_a_wait(client, postfix, email):
    letters = [written(email, BOB) for _ in range(2)]
    said = b"".join(
        f"MAIL FROM:<{email}>\r\nRCPT TO:<{BOB}>\r\n".encode() + bdat(each.as_bytes(policy=SMTP), last=True)
        for each in letters
    )
    client.send(said + b"QUIT\r\n")
    assert [client.getreply()[0] for _ in range(7)] == [250] * 6 + [221]
    for each in letters:
        postfix.wait_for(BOB, each["Subject"])


def test_what_postfix_refuses_of_a_message_in_chunks(client, postfix, email, letter):
    """Its own limit comes in the middle of the message; the count is kept, and the next message passes."""
    half = b"x" * (LIMIT * 6 // 10)
    begin(client, email)
    client.send(bdat(half) + bdat(half) + bdat(half) + bdat(b"QUIT\r\n", last=True))
    assert [client.getreply()[0] for _ in range(4)] == [250, 552, 503, 503]
    begin(client, email)
    client.send(bdat(letter.as_bytes(policy=SMTP), last=True))
    assert client.getreply()[0] == 250
    postfix.wait_for(BOB, letter["Subject"])


def test_a_client_that_goes_before_the_last_octet_has_sent_nothing(gate, client, postfix, email, letter):
    whole = letter.as_bytes(policy=SMTP)
    begin(client, email)
    client.send(bdat(whole[:40]))
    assert client.getreply()[0] == 250
    client.send(bdat(whole[40:], last=True)[:-1])
    client.close()
    until(lambda: "lost connection after BDAT" in postfix.log)
    after = written(email, BOB)
    with connect(gate.facts) as again:
        again.login(email, gate.mint(email, label="another"))
        again.send_message(after)
    postfix.wait_for(BOB, after["Subject"])
    assert letter["Subject"] not in [message["Subject"] for message in postfix.messages(BOB)]


def test_a_stop_waits_for_a_message_in_chunks(tmp_path, dovecot, postfix):
    email = f"sender{next(_numbers)}@example.org"
    house = make(tmp_path, dovecot, postfix)
    house.add(email)
    letter = written(email, BOB)
    whole = letter.as_bytes(policy=SMTP)
    with running_gate(house) as serving:
        client = connect(serving.facts)
        client.login(email, serving.mint(email))
        begin(client, email)
        client.send(bdat(whole[:40]))
        assert client.getreply()[0] == 250
        serving.process.terminate()
        serving.log.wait_for("stopping")
        client.send(bdat(whole[40:], last=True))
        assert [client.getreply()[0] for _ in range(2)] == [250, 421]
        client.close()
        assert serving.process.wait(timeout=30) == 0
    postfix.wait_for(BOB, letter["Subject"])


def test_a_revocation_breaks_a_message_in_chunks(gate, client, postfix, email, letter):
    before = postfix.log.count("lost connection after BDAT")
    begin(client, email)
    client.send(bdat(letter.as_bytes(policy=SMTP)))
    assert client.getreply()[0] == 250
    gate.ask("password", "revoke", email, "phone")
    assert client.getreply() == (421, b"4.7.0 this app-specific password was revoked")
    client.close()
    until(lambda: postfix.log.count("lost connection after BDAT") > before)
    assert letter["Subject"] not in [message["Subject"] for message in postfix.messages(BOB)]


ORDER = ["ENVID=order+2B17"]
BOBBY = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;bobby@example.net"]


def told_in(report: EmailMessage) -> tuple[str, EmailMessage]:
    """What a report tells to programs, and the part that gives the message back."""
    _, fields, returned = report.iter_parts()
    return fields.as_string(), returned


def test_a_report_of_delivery_comes_back_where_it_was_asked_for(client, postfix, email, letter):
    client.send_message(letter, mail_options=ORDER, rcpt_options=BOBBY)
    told, _ = told_in(postfix.wait_for(email, "Successful Mail Delivery Report"))
    assert "Original-Envelope-Id: order+17" in told
    assert "Original-Recipient: rfc822;bobby@example.net" in told


@pytest.mark.parametrize(("ret", "kind"), [("HDRS", "text/rfc822-headers"), ("FULL", "message/rfc822")])
def test_a_report_of_failure_gives_back_as_much_as_was_asked_for(client, postfix, email, letter, ret, kind):
    client.send_message(letter, email, [NO_BOX], [f"RET={ret}", *ORDER], BOBBY)
    told, returned = told_in(postfix.wait_for(email, "Undelivered Mail Returned to Sender"))
    assert "Original-Envelope-Id: order+17" in told
    assert "Original-Recipient: rfc822;bobby@example.net" in told
    assert returned.get_content_type() == kind


def test_parameters_of_reports_are_held_to_their_form(client, email):
    client.ehlo()
    assert client.mail(email, ["ENVID=a=b"])[0] == 501
    assert client.mail(email, ["RET=HDRS"])[0] == 250
    assert client.rcpt(BOB, ["NOTIFY=NEVER,SUCCESS"])[0] == 501
    assert client.rcpt(BOB, ["NOTIFY=NEVER"])[0] == 250


def test_a_message_for_somebody_beyond_ascii(client, postfix, email):
    to = "用户@example.net"
    letter = written(email, to)
    client.send_message(letter)
    arrived = postfix.wait_for(to, letter["Subject"])
    assert arrived["To"] == to


def test_without_smtputf8_nobody_beyond_ascii_is_written_to(client, email):
    client.ehlo()
    assert client.docmd("MAIL", f"FROM:<{email}>")[0] == 250
    client.send("RCPT TO:<用户@example.net>\r\n".encode())
    assert client.getreply() == (553, b"5.6.7 a recipient beyond ASCII needs SMTPUTF8 at MAIL")


def test_an_account_beyond_ascii_sends_as_itself(gate, postfix):
    name = f"jörg{next(_numbers)}@example.org"
    gate.house.add(name)
    letter = written(name, BOB)
    with connect(gate.facts) as client:
        client.ehlo()
        message = b64encode(f"\0{name}\0{gate.mint(name)}".encode()).decode("ascii")  # smtplib's is in ASCII
        assert client.docmd("AUTH", f"PLAIN {message}")[0] == 235
        client.send_message(letter)
    arrived = postfix.wait_for(BOB, letter["Subject"])
    assert (arrived["From"], arrived["Return-Path"]) == (name, f"<{name}>")
