"""The gate before a real Cyrus, signing in as its proxy user over TLS and over STARTTLS."""

import imaplib
import itertools
import zlib

import pytest

from config.authority import make_authority
from support.cutting import carry_out, idle, wait_for_end
from support.cyrus import ADMIN, running_cyrus
from support.imap import refusal, start_idle, subjects
from support.mbsync import pull
from support.serving import behind, make_gate, running_gate

UNAVAILABLE = "[UNAVAILABLE] sign-in is not possible at the moment, try again later"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cyrus():
    with running_cyrus() as server:
        yield server


def addresses(cyrus) -> dict[str, str]:
    return {
        "imaps": f"imaps://localhost:{cyrus.imaps}",
        "imap+starttls": f"imap+starttls://localhost:{cyrus.imap}",
    }


@pytest.fixture(scope="module", params=["imaps", "imap+starttls"])
def gate(tmp_path_factory, cyrus, request):
    folder = tmp_path_factory.mktemp("front")
    lines = behind(folder, addresses(cyrus)[request.param], cyrus.secret, ca_file=cyrus.ca_file)
    with running_gate(make_gate(folder / "gate", lines)) as serving:
        yield serving


@pytest.fixture
def email(gate) -> str:
    """An account whose mailbox does not exist yet; a dot in its name is no step in a hierarchy."""
    made = f"some.person{next(_numbers)}@example.org"
    gate.house.add(made)
    return made


@pytest.fixture
def client(gate, dial, email):
    """Signed in."""
    made = dial(gate.facts)
    made.login(email, gate.mint(email))
    return made


def put(client: imaplib.IMAP4, subject: str, box: str = "INBOX") -> None:
    message = f"From: a@example.org\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()
    assert client.append(box, "", None, message)[0] == "OK"


def boxes(client: imaplib.IMAP4) -> set[str]:
    """Give the names of all mailboxes the client sees."""
    _, lines = client.list()
    return {line.decode().rpartition(' "/" ')[2].strip('"') for line in lines}


@pytest.mark.parametrize("starttls", [False, True])
def test_imaplib_appends_and_reads(gate, dial, email, starttls):
    client = dial(gate.facts, starttls=starttls)
    client.login(email, gate.mint(email))
    put(client, "first")
    put(client, "second")
    assert subjects(client) == ["first", "second"]
    assert client.logout()[0] == "BYE"


def test_mailboxes_are_made_renamed_filled_and_removed(client):
    assert client.create("Work")[0] == client.create("Work/2026")[0] == "OK"
    assert client.rename("Work/2026", "Old")[0] == "OK"
    assert boxes(client) == {"INBOX", "Work", "Old"}
    put(client, "to be filed")
    client.select("INBOX")
    assert client.uid("MOVE", "1:*", "Old")[0] == "OK"  # RFC 6851
    assert subjects(client) == []
    client.select("Old")
    assert client.store("1", "+FLAGS", r"(\Flagged $Filed)")[0] == "OK"
    assert client.search(None, "KEYWORD", "$Filed") == ("OK", [b"1"])
    assert client.close()[0] == client.delete("Old")[0] == client.delete("Work")[0] == "OK"
    assert boxes(client) == {"INBOX"}


def test_each_account_has_its_own_mailbox_and_an_alias_leads_to_it(gate, dial, email):
    assert gate.house.run("account", "alias", "add", email, f"also-{email}").exit_code == 0
    other = f"other-{email}"
    gate.house.add(other)
    for name, password in ((f"also-{email}", gate.mint(email)), (other, gate.mint(other))):
        client = dial(gate.facts)
        client.login(name, password)
        put(client, f"to {name}")
        assert subjects(client) == [f"to {name}"]
        assert boxes(client) == {"INBOX"}
        client.logout()


def test_mbsync_pulls_and_pushes(gate, client, email, tmp_path):
    put(client, "from afar")
    password = gate.mint(email, "laptop")
    assert len(pull(gate.facts, email, password, tmp_path)) == 1
    near = tmp_path / "mail" / "INBOX" / "new" / "1.near"
    near.write_bytes(b"From: b@example.org\nSubject: from near\n\nHello\n")
    assert len(pull(gate.facts, email, password, tmp_path)) == 2
    assert sorted(subjects(client)) == ["from afar", "from near"]


def test_a_large_message_passes_both_ways(client):
    body = b"".join(b"%07d and so on to the end of the line\r\n" % number for number in range(50_000))
    assert client.append("INBOX", "", None, b"Subject: large\r\n\r\n" + body)[0] == "OK"
    client.select("INBOX", readonly=True)
    _, [(_, text), _] = client.fetch("1", "(BODY.PEEK[TEXT])")
    assert text == body


def test_idle_hears_of_new_mail(gate, dial, client, email):
    client.select("INBOX")
    start_idle(client)
    other = dial(gate.facts)
    other.login(email, gate.mint(email, "tablet"))
    put(other, "news")
    assert client.readline() == b"* 1 EXISTS\r\n"


def test_a_revocation_cuts_its_idle_session_and_no_other(gate, dial, email):
    phone, tablet = gate.mint(email), gate.mint(email, "tablet")
    session, other = idle(dial(gate.facts), email, phone), dial(gate.facts)
    other.login(email, tablet)
    assert carry_out(gate, "password", "revoke", email, "phone").cut == (1, 0)
    wait_for_end(session)
    put(other, "still here")
    assert subjects(other) == ["still here"]
    assert "was revoked" in refusal(dial(gate.facts), email, phone)


def test_what_a_client_may_see_of_the_capabilities(client):
    _, [line] = client.response("CAPABILITY")
    shown = set((line or client.capability()[1][0]).decode().split())
    assert {"IMAP4rev1", "IDLE", "UIDPLUS", "MOVE", "CONDSTORE"} <= shown
    assert not {"LOGINDISABLED", "STARTTLS", "SASL-IR", "UNAUTHENTICATE"} & shown
    assert not any(name.startswith("AUTH=") for name in shown)


def test_compression_passes_through(client):
    put(client, "squeezed")
    client.select("INBOX", readonly=True)
    client.send(b"z1 COMPRESS DEFLATE\r\n")  # RFC 4978
    assert client.readline().startswith(b"z1 OK")
    deflate, inflate = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
    client.send(deflate.compress(b"z2 FETCH 1 BODY.PEEK[]\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH))
    said = b""
    while b"\r\nz2 " not in said:
        octets = client.sock.recv(4096)
        assert octets, said
        said += inflate.decompress(octets)
    assert b"Subject: squeezed\r\n" in said


def test_cyrus_may_be_told_who_the_client_is(cyrus, tmp_path, dial):
    """By ID (RFC 2971), before our sign-in."""
    more = {"ca_file": cyrus.ca_file, "client_address": "id"}
    lines = behind(tmp_path, addresses(cyrus)["imaps"], cyrus.secret, **more)
    with running_gate(make_gate(tmp_path / "gate", lines)) as gate:
        gate.house.add("told@example.org")
        client = dial(gate.facts)
        client.login("told@example.org", gate.mint("told@example.org"))
        assert client.select("INBOX")[0] == "OK"


def test_an_administrator_of_cyrus_does_not_sign_in_anew(gate, dial):
    """RFC 8437: Cyrus has UNAUTHENTICATE for administrators, and does not say so in its OK."""
    gate.house.add(ADMIN)
    client = dial(gate.facts)
    client.login(ADMIN, gate.mint(ADMIN))
    *_, line = client.capability()[1]
    assert not {b"UNAUTHENTICATE", b"COMPRESS=DEFLATE"} & set(line.split())
    for command in (b"UNAUTHENTICATE", b"COMPRESS DEFLATE", b"LOGIN a b"):
        client.send(b"x " + command + b"\r\n")
        assert client.readline().startswith(b"x BAD ")
    assert client.create(f"user/made{next(_numbers)}@example.org")[0] == "OK"  # still who it was


# --- a Cyrus that does not take us ------------------------------------------------------------------------


def another_authority(cyrus, folder):
    return {"secret": cyrus.secret, "ca_file": make_authority(folder / "other").certificate}


def another_secret(cyrus, folder):
    return {"secret": "not the secret", "ca_file": cyrus.ca_file}


WRONG = {
    another_authority: ("unavailable", "certificate"),
    another_secret: ("upstream-refused", "refused our sign-in"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["imaps", "imap+starttls"])
def test_an_upstream_that_is_not_ours_is_an_outage(cyrus, tmp_path, dial, kind, wrong):
    lines = behind(tmp_path, addresses(cyrus)[kind], **wrong(cyrus, tmp_path))
    assert_outage(tmp_path, dial, lines, *WRONG[wrong])


def test_a_cyrus_that_does_not_know_us_as_a_proxy_is_an_outage(tmp_path, dial):
    with running_cyrus(proxy="somebody-else") as cyrus:
        lines = behind(tmp_path, addresses(cyrus)["imaps"], cyrus.secret, ca_file=cyrus.ca_file)
        assert_outage(tmp_path, dial, lines, *WRONG[another_secret])


def assert_outage(folder, dial, lines: str, reason: str, words: str) -> None:
    house = make_gate(folder / "gate", lines)
    house.add("alice@example.org")
    with running_gate(house) as gate:
        client = dial(gate.facts)
        assert refusal(client, "alice@example.org", gate.mint("alice@example.org")) == UNAVAILABLE
        assert client.noop()[0] == "OK"
        assert words in gate.log.wait_for(f"reason={reason}").lower()
