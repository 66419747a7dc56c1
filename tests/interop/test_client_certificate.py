"""A Postfix that takes mail only from who shows a certificate: the gate shows its own."""

import smtplib
import subprocess

import pytest

from support.dovecot import running_dovecot
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.mailing import Letter
from support.postfix import running_postfix
from support.postfix_config import PostfixOptions
from support.programs import program
from support.serving import running_gate
from support.smtp import connect

ALICE, BOB = "alice@example.org", "bob@example.net"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A certificate and its key, as a client shows them."""
    folder = tmp_path_factory.mktemp("shown")
    openssl, certificate, key = program("openssl", "openssl"), folder / "gate.pem", folder / "gate.key"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    whose = ("-subj", "/CN=gate.example.org", "-days", "2", "-keyout", key, "-out", certificate)
    subprocess.run([openssl, "req", "-x509", *curve, *whose], check=True, capture_output=True)
    key.chmod(0o400)
    return certificate, key


@pytest.fixture(scope="module")
def servers(shown):
    options = PostfixOptions(
        more=(
            "smtpd_tls_ask_ccert = yes",
            f"smtpd_tls_CAfile = {shown[0]}",
            "smtpd_client_restrictions = permit_tls_all_clientcerts, reject",
        )
    )
    shown[0].parent.chmod(0o755)
    with running_dovecot() as dovecot, running_postfix(dovecot, options) as postfix:
        yield dovecot, postfix


@pytest.fixture(params=["smtps", "smtp+starttls"])
def gate(tmp_path, servers, shown, request):
    dovecot, postfix = servers
    port = postfix.ports.submissions if request.param == "smtps" else postfix.ports.submission
    sign_in = signing_in(tmp_path, dovecot.secret)
    lines = [f'client_certificate = "{shown[0]}"', f'client_key = "{shown[1]}"']
    house = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(f"{request.param}://localhost:{port}", postfix.ca_file, sign_in, *lines),
    )
    house.add(ALICE)
    with running_gate(house) as serving:
        yield serving


def test_who_shows_it_sends(gate, servers):
    letter = Letter(user=ALICE, password=gate.mint(ALICE), sender=ALICE, recipient=BOB, subject="shown")
    with connect(gate.facts) as client:
        client.login(letter.user, letter.password)
        client.sendmail(ALICE, [BOB], letter.text)
    assert servers[1].wait_for(BOB, "shown")["Return-Path"] == f"<{ALICE}>"


def test_who_does_not_show_it_is_refused_there(tmp_path, servers):
    dovecot, postfix = servers
    sign_in = signing_in(tmp_path, dovecot.secret)
    house = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, sign_in),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, sign_in),
    )
    house.add(ALICE)
    with running_gate(house) as gate, connect(gate.facts) as client:
        client.login(ALICE, gate.mint(ALICE))
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            client.sendmail(ALICE, [BOB], "Subject: not shown\r\n\r\n")
    assert caught.value.recipients[BOB][0] == 554
