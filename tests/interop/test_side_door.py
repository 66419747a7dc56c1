"""The side door, shut as docs/deploy.md says: an account's own password is good from webmail alone.

Every address of 127.0.0.0/8 is this machine's, so Dovecot and Postfix can tell who asks as on a network.
"""

import imaplib
import re
import smtplib
import ssl
import subprocess
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPSConnection

import pytest

from config.authority import issue, make_authority
from support import smtp
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.imap import subjects
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.programs import program
from support.radicale_program import running_radicale
from support.serving import make_gate, running_gate
from support.sources import imaps_from, submissions_from
from support.vdirsyncer import vdir

ALICE = "alice@example.org"
OWN = "what-alice-chose"
GATE = "127.0.0.1"
WEBMAIL = "127.0.0.9"
PHONE = "127.0.0.77"
SHUT = DovecotOptions(passwords={ALICE: OWN}, allow_nets=f"{WEBMAIL}/32", gate_nets=f"{GATE}/32")


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(SHUT) as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot, PostfixOptions(mail=dovecot.mail)) as server:
        yield server


@pytest.fixture
def before(tmp_path):
    """Make a gate before both servers."""

    def made(dovecot, postfix, kind):
        sign_in = signing_in(tmp_path, dovecot.secret, kind)
        house = make_mail_gate(
            tmp_path / "gate",
            upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
            upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in),
        )
        house.add(ALICE)
        return house

    return made


def reads(dovecot, source, login, password) -> bool:
    """Whether Dovecot itself lets in who comes from this address."""
    facts = {"host": "localhost", "imaps_port": dovecot.imaps, "ca_file": str(dovecot.ca_file)}
    with imaps_from(source, facts) as client:
        try:
            return client.login(login, password)[0] == "OK"
        except imaplib.IMAP4.error as refused:
            if "AUTHENTICATIONFAILED" not in str(refused):
                raise
            return False


def sends(postfix, source, login, password) -> bool:
    """Whether Postfix itself lets in who comes from this address."""
    facts = {"host": "localhost", "smtps_port": postfix.ports.submissions, "ca_file": str(postfix.ca_file)}
    with submissions_from(source, facts) as client:
        try:
            return client.login(login, password)[0] == 235
        except smtplib.SMTPAuthenticationError as refused:
            if refused.smtp_code != 535:
                raise
            return False


@pytest.mark.parametrize(("source", "let_in"), [(WEBMAIL, True), (PHONE, False), (GATE, False)])
def test_the_password_itself_is_good_from_webmail_alone(dovecot, postfix, source, let_in):
    """Not even from where the gate is: it needs this password from nobody."""
    assert reads(dovecot, source, ALICE, OWN) is let_in
    assert sends(postfix, source, ALICE, OWN) is let_in


def test_the_login_of_the_gate_is_good_from_the_gate_alone(dovecot, postfix):
    assert reads(dovecot, GATE, f"{ALICE}*gate", dovecot.secret)
    assert not reads(dovecot, PHONE, f"{ALICE}*gate", dovecot.secret)
    assert not sends(postfix, PHONE, f"{ALICE}*gate", dovecot.secret)


@pytest.mark.parametrize("kind", ["authzid", "master"])
def test_apps_come_in_through_the_gate(dovecot, postfix, before, dial, kind):
    house = before(dovecot, postfix, kind)
    with running_gate(house) as serving:
        password = serving.mint(ALICE)
        with smtp.connect(serving.facts) as client:
            client.login(ALICE, password)
            client.sendmail(ALICE, [ALICE], f"Subject: by {kind}\r\n\r\nHello\r\n")
        postfix.wait_for(ALICE, f"by {kind}")
        client = dial(serving.facts)
        client.login(ALICE, password)
        assert f"by {kind}" in subjects(client)


def test_check_finds_it_shut(dovecot, postfix, before):
    """That it finds an open one is in test_check_connect.py."""
    house = before(dovecot, postfix, "authzid")
    done = house.run("check", "--connect", ALICE, "--primary-password-file", "-", stdin=f"{OWN}\n")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("it refuses that password, as it should") == 2


def test_where_the_gates_login_looks_the_account_up_the_gate_is_kept_out_too(postfix, before):
    """Why the recipe says to leave `result_success = continue` away: allow_nets counts for the gate then."""
    kept_out = DovecotOptions(passwords={ALICE: OWN}, allow_nets=f"{WEBMAIL}/32", must_be_known=True)
    with running_dovecot(kept_out) as dovecot:
        done = before(dovecot, postfix, "authzid").run("check", "--connect", ALICE)
    assert done.exit_code == 1
    assert "refused our sign-in" in done.stderr


@pytest.fixture
def shown(tmp_path):
    """The certificate that the gate shows, made as the page says, and its key."""
    openssl, certificate, key = program("openssl", "openssl"), tmp_path / "gate.pem", tmp_path / "gate.key"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    whose = ("-x509", "-days", "3650", "-subj", "/CN=gate")
    files = ("-keyout", key, "-out", certificate)
    subprocess.run([openssl, "req", *whose, *curve, *files], check=True, capture_output=True)
    key.chmod(0o400)
    return certificate, key


@pytest.fixture
def radicale(tmp_path, shown):
    """A Radicale that demands it; gives the port and the authority of its own certificate."""
    make_authority(tmp_path / "its")
    certificate, key = issue(tmp_path / "its", ["localhost"])
    lines = f"ssl = True\ncertificate = {certificate}\nkey = {key}\ncertificate_authority = {shown[0]}"
    with running_radicale(tmp_path / "radicale", lines) as port:
        yield port, tmp_path / "its" / "ca.pem"


def test_radicale_hears_nobody_but_the_gate(tmp_path, radicale, shown):
    port, ca_file = radicale
    table = f'''
address = "https://localhost:{port}"
ca_file = "{ca_file}"
client_certificate = "{shown[0]}"
client_key = "{shown[1]}"
sign_in = {{ kind = "trusted-header" }}
'''
    house = make_gate(tmp_path / "gate")
    text = house.file.read_text("utf-8")
    text, found = re.subn(r'(\[upstream\.(?:contacts|events)\]\n)address = "embedded"\n', rf"\1{table}", text)
    assert found == 2
    house.file.write_text(text, "utf-8")
    house.add(ALICE)
    with running_gate(house) as gate:
        password = gate.mint(ALICE, "tablet", "--scope", "events")
        client = vdir(gate.facts, ALICE, password, tmp_path / "vdir", "caldav")
        (tmp_path / "vdir/items/calendar").mkdir()
        client.sync()
    assert list((tmp_path / "radicale").glob(f"collection-root/{ALICE}/*")), "the calendar is there"
    assert not _is_heard(port, ssl.create_default_context(cafile=ca_file))
    insider = ssl.create_default_context(cafile=ca_file)
    insider.load_cert_chain(*shown)
    assert _is_heard(port, insider), "what keeps others out is the certificate"


def _is_heard(port: int, tls: ssl.SSLContext) -> bool:
    """Whether Radicale answers who says that it is alice."""
    with closing(HTTPSConnection("localhost", port, timeout=30, context=tls)) as client:
        try:
            client.request("PROPFIND", f"/{ALICE}/", headers={"X-Remote-User": ALICE, "Depth": "0"})
            return client.getresponse().status == HTTPStatus.MULTI_STATUS
        except (ssl.SSLError, ConnectionError):
            return False
