"""SIGTERM in the middle: what is being handed over is finished, and everybody else hears that we stop."""

from __future__ import annotations

import http.client
import signal
from base64 import b64encode

import pytest

from support import smtp
from support.imap import seconds_to_end, start_idle, trusting
from support.serving import Serving, make_gate, running_gate

ALICE = "alice@example.org"
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nFN:Bob\r\nN:Bob;;;;\r\nEND:VCARD\r\n"
BOOK = b"""<mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype>
<collection/><C:addressbook/></resourcetype></prop></set></mkcol>"""


@pytest.fixture
def house(tmp_path):
    made = make_gate(tmp_path / "gate")
    made.add(ALICE)
    return made


def mint(serving: Serving) -> str:
    return serving.mint(ALICE, "phone", "--scope", "contacts")


def stop(serving: Serving) -> None:
    """Ask it to stop, and see that it has heard."""
    serving.process.terminate()
    serving.log.wait_for("stopping")


def delivered(serving: Serving) -> list[bytes]:
    found = (serving.data / "mail").rglob("new/*")
    return [each.read_bytes() for each in found]


def test_a_message_on_its_way_is_taken_to_its_end(house, dial):
    with running_gate(house) as serving:
        password = mint(serving)
        reader = dial(serving.facts)
        reader.login(ALICE, password)
        reader.select("INBOX")
        start_idle(reader)
        client = smtp.connect(serving.facts)
        client.login(ALICE, password)
        client.mail(ALICE)
        client.rcpt(ALICE)
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: on its way\r\n\r\nfirst half, ")
        stop(serving)
        assert seconds_to_end(reader) < 10, "who only waits is not waited for"
        client.send(b"second half\r\n.\r\n")
        assert client.getreply()[0] == 250
        assert client.getreply()[0] == 421
        client.close()
        assert serving.process.wait(timeout=30) == 0
        assert [b"first half, second half\r\n" in message for message in delivered(serving)] == [True]


def test_a_signal_to_reload_ends_nothing_that_is_being_finished(house, dial):
    with running_gate(house) as serving:
        password = mint(serving)
        reader = dial(serving.facts)
        reader.login(ALICE, password)
        client = smtp.connect(serving.facts)
        client.login(ALICE, password)
        client.mail(ALICE)
        client.rcpt(ALICE)
        assert client.docmd("DATA")[0] == 354
        stop(serving)
        assert seconds_to_end(reader) < 10
        serving.process.send_signal(signal.SIGHUP)
        client.send(b"Subject: on its way\r\n\r\nall of it\r\n.\r\n")
        assert client.getreply()[0] == 250
        client.close()
        assert serving.process.wait(timeout=30) == 0
        assert len(delivered(serving)) == 1


def test_a_client_that_only_signed_in_hears_421(house):
    with running_gate(house) as serving:
        client = smtp.connect(serving.facts)
        client.login(ALICE, mint(serving))
        stop(serving)
        assert client.getreply()[0] == 421
        client.close()


def test_a_card_on_its_way_is_taken_to_its_end(house):
    with running_gate(house) as serving:
        credentials = b64encode(f"{ALICE}:{mint(serving)}".encode()).decode()
        fields = {"Authorization": f"Basic {credentials}"}
        context = trusting(serving.facts["ca_file"])
        client = http.client.HTTPSConnection(
            "localhost", serving.facts["https_port"], context=context, timeout=30
        )
        client.request("MKCOL", "/alice%40example.org/book/", BOOK, fields)
        made = client.getresponse()
        made.read()
        assert made.status == 201
        client.putrequest("PUT", "/alice%40example.org/book/1.vcf")
        for name, value in {**fields, "Content-Type": "text/vcard", "Content-Length": str(len(CARD))}.items():
            client.putheader(name, value)
        client.putheader("Expect", "100-continue")
        client.endheaders()
        assert client.sock.recv(100).startswith(b"HTTP/1.1 100 "), "the gate has let it in"
        client.send(CARD[:30])
        stop(serving)
        client.send(CARD[30:])
        put = client.getresponse()
        assert put.status == 201
        put.read()
        client.close()
        assert serving.process.wait(timeout=30) == 0
        stored = [
            path for path in (serving.data / "dav").rglob("1.vcf") if ".Radicale.cache" not in path.parts
        ]
        assert [path.read_bytes().count(b"FN:Bob") for path in stored] == [1]
