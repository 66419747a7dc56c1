"""Mail programs before a gate with Dovecot and Postfix behind it: what is sent is seen to arrive.

Postfix delivers into Dovecot's mailboxes here, so a message goes the whole way round through the gate.
"""

import itertools
import zlib
from dataclasses import replace
from pathlib import Path

import imapclient
import pytest

from support.dovecot import running_dovecot
from support.imap import start_idle, subjects, trusting
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.mailing import Letter, curl, msmtp, swaks
from support.mbsync import pull
from support.offlineimap import Offline
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.serving import running_gate

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("round")
    with running_dovecot() as dovecot, running_postfix(dovecot, PostfixOptions(mail=dovecot.mail)) as postfix:
        sign_in = signing_in(folder, dovecot.secret)
        house = make_mail_gate(
            folder / "gate",
            upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
            upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in),
        )
        with running_gate(house) as serving:
            yield serving


@pytest.fixture
def letter(gate) -> Letter:
    """A letter that somebody new writes to themselves."""
    email = f"person{(number := next(_numbers))}@example.org"
    gate.house.ask("account", "add", email, "--service")
    return Letter(
        user=email, password=gate.mint(email), sender=email, recipient=email, subject=f"letter {number}"
    )


@pytest.fixture
def session(gate, dial, letter):
    """Its writer's session, INBOX selected."""
    client = dial(gate.facts)
    client.login(letter.user, letter.password)
    client.select("INBOX")
    yield client
    client.logout()


@pytest.mark.parametrize("program", [swaks, msmtp, curl])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_who_idles_sees_what_was_sent(gate, session, letter, tmp_path, program, mechanism, starttls):
    start_idle(session)
    sent = program(gate.facts, replace(letter, mechanism=mechanism, starttls=starttls), tmp_path)
    assert sent.status == 0, sent.said
    while b"EXISTS" not in session.readline():
        pass
    session.send(b"DONE\r\n")
    while b" OK " not in session.readline():
        pass
    assert subjects(session) == [letter.subject]


def test_a_client_that_compresses_idles_and_sees_what_was_sent(gate, dial, letter, tmp_path):
    """RFC 4978 before a relay that parses nothing after the sign-in."""
    client = dial(gate.facts)
    client.login(letter.user, letter.password)
    client.send(b"z1 COMPRESS DEFLATE\r\n")
    assert client.readline().startswith(b"z1 OK")
    deflate, inflate = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
    said = bytearray()

    def ask(line: bytes, until: bytes) -> None:
        client.send(deflate.compress(line) + deflate.flush(zlib.Z_SYNC_FLUSH))
        wait_for(until)

    def wait_for(words: bytes) -> None:
        said.clear()
        while words not in said:
            said.extend(inflate.decompress(client.sock.recv(65536)))

    ask(b"z2 SELECT INBOX\r\n", b"z2 OK")
    ask(b"z3 IDLE\r\n", b"+ ")
    assert swaks(gate.facts, letter, tmp_path).status == 0
    wait_for(b"1 EXISTS")
    ask(b"DONE\r\n", b"z3 OK")
    ask(b"z4 FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\n", b"z4 OK")
    assert f"Subject: {letter.subject}\r\n".encode() in said


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("starttls", [False, True])
def test_mbsync(gate, session, letter, tmp_path, starttls, mechanism):
    session.append("INBOX", "", None, b"Subject: from afar\r\n\r\nHello\r\n")
    how = {"starttls": starttls, "mechanism": mechanism}
    [message] = pull(gate.facts, letter.user, letter.password, tmp_path, **how)
    assert b"from afar" in Path(message).read_bytes()
    near = tmp_path / "mail" / "INBOX" / "new" / "1.near"
    near.write_bytes(b"From: b@example.org\nSubject: from near\n\nHello\n")
    assert len(pull(gate.facts, letter.user, letter.password, tmp_path, **how)) == 2
    assert sorted(subjects(session)) == ["from afar", "from near"]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("starttls", "mechanism"), [(False, "PLAIN"), (True, "LOGIN")])
def test_offlineimap(gate, session, letter, tmp_path, starttls, mechanism, compress):
    session.append("INBOX", "", None, b"Subject: from afar\r\n\r\nHello\r\n")
    offline = Offline(
        facts=gate.facts, user=letter.user, password=letter.password, folder=tmp_path,
        starttls=starttls, mechanism=mechanism, compress=compress,
    )  # fmt: skip
    said = offline.sync()
    [message] = offline.messages
    assert b"Subject: from afar" in message
    assert ("Enabled COMPRESS=DEFLATE" in said) == compress
    offline.put(b"From: b@example.org\nSubject: from near\n\nHello\n")
    offline.sync()
    assert len(offline.messages) == 2
    assert sorted(subjects(session)) == ["from afar", "from near"]


@pytest.mark.parametrize("starttls", [False, True])
def test_imapclient(gate, letter, tmp_path, starttls):
    facts, context = gate.facts, trusting(gate.facts["ca_file"])
    port = facts["imap_port" if starttls else "imaps_port"]
    client = imapclient.IMAPClient(facts["host"], port, ssl=not starttls, ssl_context=context, timeout=30)
    if starttls:
        client.starttls(context)
    client.login(letter.user, letter.password)
    client.select_folder("INBOX")
    client.idle()
    assert swaks(facts, letter, tmp_path).status == 0
    while not any(b"EXISTS" in response for response in client.idle_check(timeout=30)):
        pass
    client.idle_done()
    [found] = client.fetch(client.search(), ["ENVELOPE"]).values()
    assert found[b"ENVELOPE"].subject.decode() == letter.subject
    client.logout()
