"""The examples for mail providers, before stand-ins that speak as these document it."""

import json
import subprocess
from contextlib import ExitStack

import pytest

from config.authority import write_file
from proxy.net.tls import client_context
from support import imap, smtp
from support.browser import sent_back, visit
from support.dialects import FASTMAIL, GMAIL, ICLOUD, MICROSOFT365, Dialect
from support.examples import moved
from support.house import RUN, House
from support.oauth_provider import CLIENT_ID, CLIENT_SECRET, OAuthProvider
from support.oauth_provider import running as running_provider
from support.serving import running_gate
from support.sockets import make_certificate
from support.stand_ins import StandIn
from support.stand_ins import running as running_stand_in

APP_PASSWORD = "abcd efgh ijkl mnop"


@pytest.fixture
def stand_in(tmp_path):
    """Make the servers of a provider, which know one account by one app password."""
    with ExitStack() as stack:
        certificate = make_certificate(tmp_path, "localhost")

        def made(dialect: Dialect, email: str, tokens: OAuthProvider | None = None, **more: bool) -> StandIn:
            known = {} if tokens else {email: APP_PASSWORD}
            if tokens:
                stack.enter_context(running_provider(tokens, certificate))
            return stack.enter_context(
                running_stand_in(StandIn(dialect, passwords=known, tokens=tokens, **more), certificate)
            )

        yield made


def house_of(root, folder, name: str, mail: StandIn, more: dict[str, str]) -> House:
    """Move an example; each server behind has a name of its own, so that each line is seen to be there."""
    text = (root / "examples" / name).read_text("utf-8")
    assert "\n# Not yet tried on the real service.\n" in text
    ca_file = f'\nca_file = "{folder / "localhost.crt"}"'
    places = {
        "/var/lib/wicketgate": str(folder / "data"),
        "/etc/wicketgate/certificates/mail.example.org/fullchain.pem": str(folder / "tls/server.pem"),
        "/etc/wicketgate/certificates/mail.example.org/privkey.pem": str(folder / "tls/server.key"),
        "/etc/wicketgate/keys": str(folder / "keys"),
    }
    for line in text.splitlines():
        if line.startswith('address = "imaps://'):
            places[line] = f'address = "imaps://localhost:{mail.imap_port}"{ca_file}'
        elif line.startswith('address = "smtp'):
            scheme = line.partition('"')[2].partition("://")[0]
            places[line] = f'address = "{scheme}://localhost:{mail.smtp_port}"{ca_file}'
    return moved(root, folder, name, more | places)


def stored(house: House, email: str, *more: str) -> None:
    done = house.run("account", "set-upstream", email, "--secret-file", "-", *more, stdin=APP_PASSWORD + "\n")
    assert done.exit_code == 0, done.stderr


def reads_and_sends(house: House, email: str, mail: StandIn) -> str:
    """Use the gate as an app does, and give the log."""
    mail.signed_in.clear()
    with running_gate(house) as gate:
        password = gate.mint(email)
        with imap.connect(gate.facts) as client:
            client.login(email, password)
            assert not any(name.startswith(("AUTH=", "SASL-IR")) for name in _capabilities(client))
            assert client.select()[0] == "OK"
        with smtp.connect(gate.facts) as client:
            client.login(email, password)
            client.send_message(smtp.message(email, "bob@example.net", "by an example"))
        log = gate.log
    assert b"Subject: by an example" in mail.messages[-1]
    assert APP_PASSWORD not in log.text
    return log.text


def _capabilities(client) -> list[str]:
    return client.capability()[1][0].decode().split()


def test_gmail(root, tmp_path, stand_in):
    email = "alice@gmail.com"
    mail = stand_in(GMAIL, email, smtp_begins_with_tls=True)
    house = house_of(root, tmp_path, "gmail.toml", mail, {})
    house.add(email)
    stored(house, email)
    reads_and_sends(house, email, mail)
    assert mail.signed_in == [("imap", "PLAIN", email), ("smtp", "PLAIN", email)]


def test_fastmail(root, tmp_path, stand_in):
    email = "alice@fastmail.com"
    mail = stand_in(FASTMAIL, email)
    house = house_of(root, tmp_path, "fastmail.toml", mail, {})
    house.add(email)
    stored(house, email)
    reads_and_sends(house, email, mail)
    assert mail.signed_in == [("imap", "PLAIN", email), ("smtp", "PLAIN", email)]


def test_icloud(root, tmp_path, stand_in):
    """An address at Apple, then one of a domain of one's own: the logins are those of the iCloud account."""
    email, own = "alice@icloud.com", "me@example.org"
    mail = stand_in(ICLOUD, email)
    house = house_of(root, tmp_path, "icloud.toml", mail, {})
    house.add(email)
    stored(house, email)
    house.add(own)
    stored(house, own, "--service", "imap", "--login", "alice")
    stored(house, own, "--service", "submission", "--login", email)
    for each in (email, own):
        reads_and_sends(house, each, mail)
        assert mail.signed_in == [("imap", "PLAIN", "alice"), ("smtp", "PLAIN", email)]


def authorised(house: House, email: str, provider: OAuthProvider) -> None:
    """Authorise in a browser: the address that is shown is opened, and what it ends at is gone to."""
    provider.login = email
    command = [*RUN, "-c", house.file, "account", "authorize", email, "--json"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        assert visit(sent_back(address, client_context(house.file.parent / "localhost.crt")))[0] == 200
        _, errors = process.communicate(timeout=imap.PATIENCE_S)
    assert process.returncode == 0, errors


def endpoints(provider: OAuthProvider, ca_file) -> str:
    """Give the lines that ask the tests' provider instead of the preset's."""
    return (
        f'authorization_endpoint = "{provider.url}/authorize"\ntoken_endpoint = "{provider.url}/token"\n'
        f'ca_file = "{ca_file}"\n'
    )


def test_gmail_oauth2(root, tmp_path, stand_in):
    email = "alice@example.com"
    google = OAuthProvider(scopes=("https://mail.google.com/",), refresh_lifetime_s=604_799)
    mail = stand_in(GMAIL, email, google)
    write_file(tmp_path / "client.secret", f"{CLIENT_SECRET}\n".encode(), 0o400)
    places = {
        "000000000000-write-yours-here.apps.googleusercontent.com": CLIENT_ID,
        "/etc/wicketgate/keys/google-client.secret": str(tmp_path / "client.secret"),
        'preset = "google"\n': f'preset = "google"\n{endpoints(google, tmp_path / "localhost.crt")}',
    }
    house = house_of(root, tmp_path, "gmail-oauth2.toml", mail, places)
    house.add(email)
    authorised(house, email, google)
    assert google.sent[-1]["access_type"] == "offline"
    assert google.sent[-1]["prompt"] == "consent"
    assert house.ask("account", "show", email)["authorised"][0]["expires_at"] is not None  # in testing
    reads_and_sends(house, email, mail)
    assert mail.signed_in == [("imap", "OAUTHBEARER", email), ("smtp", "OAUTHBEARER", email)]


def test_microsoft365(root, tmp_path, stand_in):
    email = "alice@example.com"
    scopes = ("https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send")
    microsoft = OAuthProvider(scopes=(*scopes, "offline_access"), client_secret=None)
    mail = stand_in(MICROSOFT365, email, microsoft)
    places = {
        "00000000-0000-0000-0000-000000000000": CLIENT_ID,
        'preset = "microsoft"\n': f'preset = "microsoft"\n{endpoints(microsoft, tmp_path / "localhost.crt")}',
    }
    house = house_of(root, tmp_path, "microsoft365.toml", mail, places)
    house.add(email)
    authorised(house, email, microsoft)
    assert microsoft.sent[-1]["redirect_uri"].startswith("http://localhost:")
    reads_and_sends(house, email, mail)
    assert mail.signed_in == [("imap", "XOAUTH2", email), ("smtp", "XOAUTH2", email)]
