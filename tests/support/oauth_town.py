"""A gate whose accounts sign in by OAuth 2, its provider, and mail servers that take its tokens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from click.testing import Result

from config.authority import write_file
from proxy.net.tls import CertificateFiles
from support.dialects import Dialect
from support.house import House
from support.mail_servers import make_mail_gate, upstream
from support.oauth_provider import CLIENT_ID, CLIENT_SECRET, SCOPES, OAuthProvider
from support.oauth_provider import running as running_provider
from support.sockets import make_certificate
from support.stand_ins import StandIn
from support.stand_ins import running as running_stand_in

ALICE = "alice@example.org"
SIGNS_IN = 'sign_in = { kind = "oauth2", provider = "home" }'


@dataclass
class Town:
    provider: OAuthProvider
    mail: StandIn
    house: House
    certificate: CertificateFiles

    def authorise(self, *more: str) -> Result:
        """Authorise by a device code that is typed at once."""
        with ThreadPoolExecutor(1) as beside:
            typed = beside.submit(self._type)
            done = self.house.run("account", "authorize", ALICE, "--flow", "device", *more)
            typed.result()
        assert done.exit_code == 0, done.stderr
        return done

    def _type(self) -> None:
        self.provider.type_code(self.provider.wait_for_device())


def moved_in(stack: ExitStack, folder: Path, dialect: Dialect) -> Town:
    """Make it all, for Alice."""
    certificate = make_certificate(folder, "localhost")
    provider = stack.enter_context(running_provider(OAuthProvider(), certificate))
    mail = stack.enter_context(running_stand_in(StandIn(dialect, tokens=provider), certificate))
    way = "smtp+starttls" if dialect.smtp_before else "smtps"
    write_file(folder / "client.secret", f"{CLIENT_SECRET}\n".encode(), 0o400)
    table = provider_table("home", provider, folder / "client.secret", certificate.certificate)
    house = make_mail_gate(
        folder / "gate",
        upstream(f"imaps://localhost:{mail.imap_port}", certificate.certificate, SIGNS_IN) + table,
        upstream(f"{way}://localhost:{mail.smtp_port}", certificate.certificate, SIGNS_IN),
    )
    house.add(ALICE)
    return Town(provider, mail, house, certificate)


def provider_table(name: str, provider: OAuthProvider, secret_file: Path, ca_file: Path) -> str:
    """Give the lines of `[oauth2.NAME]`."""
    return f"""
[oauth2.{name}]
authorization_endpoint = "{provider.url}/authorize"
token_endpoint = "{provider.url}/token"
device_endpoint = "{provider.url}/device"
scopes = [{", ".join(f'"{scope}"' for scope in SCOPES)}]
client_id = "{CLIENT_ID}"
client_secret_file = "{secret_file}"
ca_file = "{ca_file}"
"""
