"""The gate before a real Dovecot, signing in as its master user in both ways, over TLS and over STARTTLS."""

import imaplib
import itertools
import zlib

import pytest

from config.authority import make_authority
from support.cutting import carry_out, idle, wait_for_end
from support.dovecot import running_dovecot
from support.imap import refusal, subjects
from support.mail_servers import signing_in, upstream
from support.mbsync import pull
from support.programs import missing
from support.serving import behind, make_gate, running_gate

UNAVAILABLE = "[UNAVAILABLE] sign-in is not possible at the moment, try again later"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot() as server:
        yield server


def addresses(dovecot) -> dict[str, str]:
    return {
        "imaps": f"imaps://localhost:{dovecot.imaps}",
        "imap+starttls": f"imap+starttls://localhost:{dovecot.imap}",
    }


WAYS = [("imaps", "authzid"), ("imap+starttls", "authzid"), ("imaps", "master")]


@pytest.fixture(scope="module", params=WAYS, ids=" ".join)
def gate(tmp_path_factory, dovecot, request):
    folder, (address, kind) = tmp_path_factory.mktemp("front"), request.param
    sign_in = signing_in(folder, dovecot.secret, kind)
    lines = upstream(addresses(dovecot)[address], dovecot.ca_file, sign_in)
    with running_gate(make_gate(folder / "gate", lines)) as serving:
        yield serving


@pytest.fixture
def email(gate) -> str:
    """An account whose mailbox is empty."""
    made = f"person{next(_numbers)}@example.org"
    gate.house.add(made)
    return made


def put(client: imaplib.IMAP4, subject: str) -> None:
    message = f"From: a@example.org\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()
    assert client.append("INBOX", "", None, message)[0] == "OK"


@pytest.mark.parametrize("starttls", [False, True])
def test_imaplib_appends_and_reads(gate, dial, email, starttls):
    client = dial(gate.facts, starttls=starttls)
    client.login(email, gate.mint(email))
    put(client, "first")
    put(client, "second")
    assert subjects(client) == ["first", "second"]
    assert client.logout()[0] == "BYE"


def test_each_account_has_its_own_mailbox_and_an_alias_leads_to_it(gate, dial, email):
    assert gate.house.run("account", "alias", "add", email, f"also-{email}").exit_code == 0
    other = f"other-{email}"
    gate.house.add(other)
    for name, password in ((f"also-{email}", gate.mint(email)), (other, gate.mint(other))):
        client = dial(gate.facts)
        client.login(name, password)
        put(client, f"to {name}")
        assert subjects(client) == [f"to {name}"]
        client.logout()


def test_mbsync_pulls_and_pushes(gate, dial, email, tmp_path):
    password = gate.mint(email)
    client = dial(gate.facts)
    client.login(email, password)
    put(client, "from afar")
    assert len(pull(gate.facts, email, password, tmp_path)) == 1
    near = tmp_path / "mail" / "INBOX" / "new" / "1.near"
    near.write_bytes(b"From: b@example.org\nSubject: from near\n\nHello\n")
    assert len(pull(gate.facts, email, password, tmp_path)) == 2
    assert sorted(subjects(client)) == ["from afar", "from near"]
    client.logout()


def test_a_large_message_passes_both_ways(gate, dial, email):
    body = b"".join(b"%07d and so on to the end of the line\r\n" % number for number in range(50_000))
    client = dial(gate.facts)
    client.login(email, gate.mint(email))
    assert client.append("INBOX", "", None, b"Subject: large\r\n\r\n" + body)[0] == "OK"
    client.select("INBOX", readonly=True)
    _, [(_, text), _] = client.fetch("1", "(BODY.PEEK[TEXT])")
    assert text == body
    client.logout()


def test_a_revocation_cuts_its_idle_session_and_no_other(gate, dial, email):
    phone, tablet = gate.mint(email), gate.mint(email, "tablet")
    session, other = idle(dial(gate.facts), email, phone), dial(gate.facts)
    other.login(email, tablet)
    assert carry_out(gate, "password", "revoke", email, "phone").cut == (1, 0)
    wait_for_end(session)
    put(other, "still here")
    assert subjects(other) == ["still here"]
    other.logout()
    assert "was revoked" in refusal(dial(gate.facts), email, phone)


def test_what_a_client_may_see_of_the_capabilities(gate, dial, email):
    client = dial(gate.facts)
    client.login(email, gate.mint(email))
    _, [line] = client.response("CAPABILITY")
    shown = set((line or client.capability()[1][0]).decode().split())
    assert {"IMAP4rev1", "IDLE", "UIDPLUS"} <= shown
    assert not {"LOGINDISABLED", "STARTTLS", "SASL-IR", "UNAUTHENTICATE"} & shown
    assert not any(name.startswith("AUTH=") for name in shown)
    client.logout()


def test_compression_passes_through(gate, dial, email):
    client = dial(gate.facts)
    client.login(email, gate.mint(email))
    if "COMPRESS=DEFLATE" not in client.capability()[1][0].decode().split():
        missing("this Dovecot does not offer COMPRESS (Debian package dovecot-core has imap_zlib)")
    client.send(b"z1 COMPRESS DEFLATE\r\n")  # RFC 4978
    assert client.readline().startswith(b"z1 OK")
    deflate, inflate = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
    client.send(deflate.compress(b"z2 NOOP\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH))
    said = b""
    while not said.endswith(b"\r\n"):
        said += inflate.decompress(client.sock.recv(4096))
    assert said.startswith(b"z2 OK")


# --- a Dovecot that is not the right one --------------------------------------------------------------------


def another_authority(dovecot, folder):
    return {"secret": dovecot.secret, "ca_file": make_authority(folder / "other").certificate}


def no_authority_of_its_own(dovecot, folder):
    return {"secret": dovecot.secret}


def another_name(dovecot, folder):
    return {"secret": dovecot.secret, "ca_file": dovecot.ca_file, "server_name": "imap.example.org"}


def another_secret(dovecot, folder):
    return {"secret": "not the secret", "ca_file": dovecot.ca_file}


@pytest.mark.parametrize("wrong", [another_authority, no_authority_of_its_own, another_name, another_secret])
@pytest.mark.parametrize("kind", ["imaps", "imap+starttls"])
def test_an_upstream_that_is_not_ours_is_an_outage(dovecot, tmp_path, dial, kind, wrong):
    lines = behind(tmp_path, addresses(dovecot)[kind], **wrong(dovecot, tmp_path))
    house = make_gate(tmp_path / "gate", lines)
    house.add("alice@example.org")
    with running_gate(house) as gate:
        password = gate.mint("alice@example.org")
        client = dial(gate.facts)
        assert refusal(client, "alice@example.org", password) == UNAVAILABLE
        assert client.noop()[0] == "OK"
        client.logout()
        reason = "upstream-refused" if wrong is another_secret else "unavailable"
        cause = gate.log.wait_for(f"reason={reason}")
    assert dovecot.secret not in gate.log.text
    assert "not the secret" not in gate.log.text
    words = "refused our sign-in" if wrong is another_secret else "certificate"
    assert words in cause.lower()
