"""App passwords with limits, on every service of one gate with its built-in servers: who hears what."""

import http.client
import smtplib
import ssl
from base64 import b64encode

import pytest

from support import imap, smtp
from support.serving import make_gate, running_gate
from support.waiting import until

ALICE, BOB = "alice@example.org", "bob@example.org"
HERE, ELSEWHERE = "127.0.0.0/8", "192.0.2.0/24"


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    house = make_gate(tmp_path_factory.mktemp("gate") / "gate")
    for email in (ALICE, BOB):
        house.add(email)
    with running_gate(house) as serving:
        yield serving


@pytest.fixture
def post(gate):
    """Connect with smtplib; closed at the end."""
    with smtp.connect(gate.facts) as client:
        yield client


def dav(gate, password: str, method: str, body: bytes = b"") -> tuple[int, bytes]:
    """Ask for alice's address book, which the first PROPFIND makes."""
    context = ssl.create_default_context(cafile=gate.facts["ca_file"])
    signed = b64encode(f"{ALICE}:{password}".encode()).decode()
    connection = http.client.HTTPSConnection(gate.facts["host"], gate.facts["https_port"], context=context)
    try:
        fields = {"Authorization": f"Basic {signed}", "Depth": "0", "Content-Type": "text/vcard"}
        connection.request(method, "/", body=body or None, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_only_reads_reads_and_does_not_send(gate, dial, post):
    password = gate.mint(ALICE, "archive", "--read-only", "--scope", "contacts")
    client = dial(gate.facts)
    client.login(ALICE, password)
    assert client.select("INBOX", readonly=True)[0] == "OK"
    status, [words] = client.append("INBOX", "", None, b"Subject: x\r\n\r\nx\r\n")
    assert (status, words) == ("NO", b"[NOPERM] this app password is for reading only")
    assert client.create("New")[0] == "NO"
    said = smtp.refusal(post, ALICE, password)
    words = 'the app-specific password "archive" opens mail and contacts for reading only, not for sending'
    assert said == f"535 5.7.8 {words}"
    assert dav(gate, password, "PROPFIND")[0] == 207
    assert dav(gate, password, "OPTIONS")[0] == 200


def test_what_only_sends_sends_and_does_not_read(gate, dial, post):
    password = gate.mint(ALICE, "printer", "--send-only")
    post.login(ALICE, password)
    assert post.send_message(smtp.message(ALICE, BOB, "a scan")) == {}
    said = imap.refusal(dial(gate.facts), ALICE, password)
    words = 'the app-specific password "printer" opens mail for sending only, not for reading'
    assert said == f"[NOPERM] {words}"
    assert dav(gate, password, "PROPFIND")[0] == 403
    reader = dial(gate.facts)
    reader.login(BOB, gate.mint(BOB))
    assert imap.subjects(reader) == ["a scan"]


@pytest.mark.parametrize("limit", ["--read-only", "--send-only"])
def test_where_from_comes_on_top(gate, dial, post, limit):
    near = gate.mint(ALICE, f"near {limit}", limit, "--from", HERE)
    far = gate.mint(ALICE, f"far {limit}", limit, "--from", ELSEWHERE)
    client = dial(gate.facts)
    if limit == "--send-only":
        with pytest.raises(smtplib.SMTPAuthenticationError, match="but not from your address"):
            post.login(ALICE, far)
        post.login(ALICE, near)
    else:
        assert "but not from your address" in imap.refusal(client, ALICE, far)
        client.login(ALICE, near)

    def listed() -> dict:
        return {one["label"]: one for one in gate.ask("password", "list", ALICE)}

    until(lambda: listed()[f"near {limit}"]["last_used"] != [])
    assert listed()[f"near {limit}"]["networks"] == [HERE]
    assert listed()[f"near {limit}"][limit.strip("-").replace("-", "_")] is True
    refused = {one["label"]: one for one in gate.ask("password", "history", ALICE)}
    assert refused[f"far {limit}"]["last_used"] == []
