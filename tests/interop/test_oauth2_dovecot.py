"""Tokens before real servers: Dovecot asks the tests' provider about them, and Postfix asks Dovecot."""

import imaplib
from contextlib import ExitStack

import pytest

from config.authority import write_file
from support import imap
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, upstream
from support.oauth_provider import CLIENT_SECRET, OAuthProvider
from support.oauth_provider import running as running_provider
from support.oauth_town import ALICE, SIGNS_IN, Town, provider_table
from support.postfix import running_postfix
from support.serving import running_gate
from support.smtp import connect, message
from support.sockets import make_certificate


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("provider")
    folder.chmod(0o755)
    certificate = make_certificate(folder, "localhost")
    with ExitStack() as stack:
        provider = stack.enter_context(running_provider(OAuthProvider(), certificate))
        asked = (f"{provider.url}/introspect", certificate.certificate)
        dovecot = stack.enter_context(running_dovecot(DovecotOptions(introspection=asked)))
        postfix = stack.enter_context(running_postfix(dovecot))
        yield provider, certificate, dovecot, postfix


@pytest.fixture
def town(tmp_path, servers):
    provider, certificate, dovecot, postfix = servers
    secret_file = tmp_path / "client.secret"
    write_file(secret_file, f"{CLIENT_SECRET}\n".encode(), 0o400)
    table = provider_table("home", provider, secret_file, certificate.certificate)
    house = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, SIGNS_IN) + table,
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, SIGNS_IN),
    )
    house.add(ALICE)
    made = Town(provider, None, house, certificate)
    made.authorise()
    return made


def test_read_and_send_and_go_on_when_the_token_ends_early(town, servers):
    provider, _, dovecot, postfix = servers
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        for number in range(2):
            with imap.connect(gate.facts) as client:
                client.login(ALICE, password)
                assert client.select()[0] == "OK"
            with connect(gate.facts) as sender:
                sender.login(ALICE, password)
                sender.send_message(message(ALICE, ALICE, f"by token {number}"))
            provider.forget_access_tokens()
    for number in range(2):
        postfix.wait_for(ALICE, f"by token {number}")
    assert "method=OAUTHBEARER" in dovecot.log


def test_a_revoked_authorisation_is_an_outage(town, servers):
    with running_gate(town.house) as gate:
        password = gate.mint(ALICE)
        town.provider.revoke(ALICE)
        client = imap.connect(gate.facts)
        with pytest.raises(imaplib.IMAP4.error, match=r"UNAVAILABLE"):
            client.login(ALICE, password)
        client.logout()


def test_a_token_for_another_mailbox_is_refused_when_it_is_tried(town, servers):
    town.provider.login = "mallory@example.org"
    try:
        done = town.house.run("account", "authorize", ALICE, "--remove")
        assert done.exit_code == 0
        with pytest.raises(AssertionError, match="the imap server behind refuses alice"):
            town.authorise()
    finally:
        town.provider.login = ALICE
    assert town.house.ask("account", "show", ALICE)["authorised"] == []
