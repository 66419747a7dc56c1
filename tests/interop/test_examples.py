"""Every example is started and signed in to, with nothing changed but the places it names."""

import re

import pytest

from config.authority import write_file
from support import smtp
from support.cyrus import running_cyrus
from support.dovecot import running_dovecot
from support.examples import moved
from support.exim import running_exim
from support.house import House
from support.imap import subjects
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.radicale_program import running_radicale
from support.serving import running_gate
from support.vdirsyncer import vdir

EMAIL = "alice@example.org"


def signs_in(house: House, dial) -> None:
    house.add(EMAIL)
    with running_gate(house) as serving:
        client = dial(serving.facts)
        client.login(EMAIL, serving.mint(EMAIL))
        assert client.select("INBOX")[0] == "OK"
        client.logout()


def test_embedded(root, tmp_path, dial):
    signs_in(moved(root, tmp_path, "embedded.toml", {}), dial)


@pytest.fixture
def dovecot():
    with running_dovecot() as server:
        yield server


def test_dovecot(root, tmp_path, dial, dovecot):
    places = {"imaps://dovecot.internal": f"imaps://localhost:{dovecot.imaps}"}
    places |= internal(tmp_path, "dovecot", dovecot)
    signs_in(moved(root, tmp_path, "dovecot.toml", places), dial)


def test_dovecot_postfix(root, tmp_path, dial, dovecot):
    with running_postfix(dovecot, PostfixOptions(mail=dovecot.mail)) as postfix:
        write_file(tmp_path / "gate.secret", f"{dovecot.secret}\n".encode(), 0o400)
        both = tmp_path / "both-ca.pem"  # the tests' servers have an authority each
        both.write_bytes(dovecot.ca_file.read_bytes() + postfix.ca_file.read_bytes())
        places = {
            "/var/lib/wicketgate": str(tmp_path / "data"),
            "/etc/wicketgate/certificates/mail.example.org/fullchain.pem": str(tmp_path / "tls/server.pem"),
            "/etc/wicketgate/certificates/mail.example.org/privkey.pem": str(tmp_path / "tls/server.key"),
            "/etc/wicketgate/internal-ca.pem": str(both),
            "/etc/wicketgate/keys/gate.secret": str(tmp_path / "gate.secret"),
            "/etc/wicketgate/keys": str(tmp_path / "keys"),
            "imaps://dovecot.internal": f"imaps://localhost:{dovecot.imaps}",
            "smtps://postfix.internal": f"smtps://localhost:{postfix.ports.submissions}",
            'server_name = "dovecot.internal"': 'server_name = "localhost"',
            'server_name = "postfix.internal"': 'server_name = "localhost"',
        }
        house = moved(root, tmp_path, "dovecot-postfix.toml", places)
        house.add(EMAIL)
        with running_gate(house) as serving:
            password = serving.mint(EMAIL)
            with smtp.connect(serving.facts) as sender:
                sender.login(EMAIL, password)
                sender.sendmail(EMAIL, [EMAIL], "Subject: the whole way\r\n\r\nHello\r\n")
            postfix.wait_for(EMAIL, "the whole way")
            client = dial(serving.facts)
            client.login(EMAIL, password)
            assert subjects(client) == ["the whole way"]
            client.logout()


def internal(folder, name: str, server) -> dict[str, str]:
    """Where the files of an example are for a server of the tests, but for its address."""
    write_file(folder / "gate.secret", f"{server.secret}\n".encode(), 0o400)
    return {
        "/var/lib/wicketgate": str(folder / "data"),
        "/etc/wicketgate/certificates/mail.example.org/fullchain.pem": str(folder / "tls/server.pem"),
        "/etc/wicketgate/certificates/mail.example.org/privkey.pem": str(folder / "tls/server.key"),
        f"/etc/wicketgate/{name}-ca.pem": str(server.ca_file),
        f"/etc/wicketgate/keys/{name}-gate.secret": str(folder / "gate.secret"),
        "/etc/wicketgate/keys": str(folder / "keys"),
        f'server_name = "{name}.internal"': 'server_name = "localhost"',
    }


def test_cyrus(root, tmp_path, dial):
    with running_cyrus() as server:
        places = {"imaps://cyrus.internal": f"imaps://localhost:{server.imaps}"}
        signs_in(moved(root, tmp_path, "cyrus.toml", internal(tmp_path, "cyrus", server) | places), dial)


def test_exim(root, tmp_path):
    with running_exim() as server:
        places = {"smtps://exim.internal": f"smtps://localhost:{server.smtps}"}
        house = moved(root, tmp_path, "exim.toml", internal(tmp_path, "exim", server) | places)
        house.add(EMAIL)
        server.make_box(EMAIL)
        with running_gate(house) as serving, smtp.connect(serving.facts) as client:
            client.login(EMAIL, serving.mint(EMAIL))
            client.sendmail(EMAIL, [EMAIL], "Subject: by Exim\r\n\r\nHello\r\n")
            assert server.wait_for(EMAIL, "by Exim")


def test_radicale(root, tmp_path):
    with running_radicale(tmp_path / "radicale") as port:
        places = {
            "/var/lib/wicketgate": str(tmp_path / "data"),
            "/etc/wicketgate/certificates/dav.example.org/fullchain.pem": str(tmp_path / "tls/server.pem"),
            "/etc/wicketgate/certificates/dav.example.org/privkey.pem": str(tmp_path / "tls/server.key"),
            "/etc/wicketgate/keys": str(tmp_path / "keys"),
            "http://127.0.0.1:5232": f"http://127.0.0.1:{port}",
            'names = ["dav.example.org"]': 'names = ["dav.example.org", "localhost"]',
        }
        house = moved(root, tmp_path, "radicale.toml", places)
        house.add(EMAIL)
        with running_gate(house) as serving:
            password = serving.mint(EMAIL, "phone", "--scope", "contacts")
            client = vdir(serving.facts, EMAIL, password, tmp_path / "vdir", "carddav")
            (tmp_path / "vdir/items/book").mkdir()
            card = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nFN:Bob\r\nN:Bob;;;;\r\nEND:VCARD\r\n"
            (tmp_path / "vdir/items/book/1.vcf").write_bytes(card)
            client.sync()
    stored = [path for path in (tmp_path / "radicale").rglob("*.vcf") if ".Radicale.cache" not in path.parts]
    assert [b"FN:Bob" in each.read_bytes() for each in stored] == [True]


def test_there_is_no_example_that_nobody_starts(root):
    files = (root / "tests" / "interop").glob("test_examples*.py")
    texts = [file.read_text("utf-8") for file in files]
    tests = [name for text in texts for name in re.findall(r"^def test_(\w+)", text, re.MULTILINE)]
    tested = {f"{name.replace('_', '-')}.toml" for name in tests}
    assert {path.name for path in (root / "examples").glob("*.toml")} <= tested
