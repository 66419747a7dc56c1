"""First configurations for servers that are there: what `[listen]` and `[upstream]` say before each kind.

For a server of one's own the gate gets a login of its own there, whose secret is made here. A provider trusts
nobody to act for others: accounts have their own secret there, or a token. Values of providers are from their
documentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

NO_CLIENT_ID: Final = "write-the-client-id-here"


class Kind(StrEnum):
    """What stands behind."""

    DOVECOT = "dovecot"
    CYRUS = "cyrus"
    GMAIL = "gmail"
    ICLOUD = "icloud"
    MICROSOFT365 = "microsoft365"
    FASTMAIL = "fastmail"

    @property
    def trusts_the_gate(self) -> bool:
        """Whether the gate has a login of its own there."""
        return self in (Kind.DOVECOT, Kind.CYRUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A first configuration for a kind of server."""

    kind: Kind
    certificate: Path | None = None
    """A certificate that is there already, with its key; without one a private authority is made."""
    key: Path | None = None
    server: str = "localhost"
    """The host of the server behind, for those of one's own; as `config.address.host_name` gives it."""
    client_id: str = NO_CLIENT_ID
    """Of the application that was registered at the provider, for OAuth 2."""

    @property
    def upstream_text(self) -> str:
        """The tables of the servers behind."""
        server = f"[{self.server}]" if ":" in self.server else self.server
        return _UPSTREAM[self.kind].substitute(server=server, client_id=quoted(self.client_id))


def quoted(text: str) -> str:
    """Write a text as TOML does, whatever is in it: JSON, but that TOML escapes DEL as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


LISTEN: Final = """\
# IP address and port; "[::]:993" is every address of this machine, IPv4 included on most systems.
[listen]
imaps = ["[::]:993"]    # TLS from the first octet
submissions = ["[::]:465"]    # sending mail, TLS from the first octet
submission = ["[::]:587"]    # sending mail, STARTTLS demanded before any sign-in
portal = ["[::]:443"]    # the web pages where people make app passwords, at https://server.public_host/
"""
SECRET_FILE: Final = "keys/upstream.secret"  # noqa: S105 - a name

_OWN: Final = Template("""\
# The gate's own login there may act for every account (SASL PLAIN with an authorization identity, RFC 4616).
# Its password is in keys/upstream.secret. $how
[upstream.imap]
address = "imaps://$server"    # or imap+starttls://HOST
sign_in = { kind = "authzid", user = "gate", secret_file = "keys/upstream.secret" }
# login = "{email}"    # the account's name there: {email}, {user} (before the @), {domain}
# server_name = "mail.internal"    # the name in its certificate, where it is not the host above
# ca_file = "upstream-ca.pem"    # when its certificate was not signed by a public authority

[upstream.smtp]
address = "smtp+starttls://$server"    # or smtps://HOST
sign_in = { kind = "authzid", user = "gate", secret_file = "keys/upstream.secret" }
# extensions = ["CHUNKING", "DSN", "SMTPUTF8"]    # those of them that it has, for apps to use
""")
_PROVIDER: Final = Template("""\
# Not yet tried on the real service. Each account signs in there with an app-specific password that was made
# there, $where; the gate keeps it sealed. Store it with: wicketgate account set-upstream EMAIL
[upstream.imap]
address = "$imap"
sign_in = { kind = "stored" }

[upstream.smtp]
address = "$smtp"
sign_in = { kind = "stored" }
""")


def _provider(where: str, imap: str, smtp: str) -> Template:
    return Template(_PROVIDER.substitute(where=where, imap=imap, smtp=smtp))


def _own(how: str) -> Template:
    return Template(_OWN.safe_substitute(how=how))


_UPSTREAM: Final[Mapping[Kind, Template]] = MappingProxyType(
    {
        Kind.DOVECOT: _own("In Dovecot it is a master user, and Postfix asks Dovecot."),
        Kind.CYRUS: _own("In Cyrus it is one of proxyservers in imapd.conf."),
        Kind.GMAIL: _provider(
            "at myaccount.google.com/apppasswords", "imaps://imap.gmail.com", "smtps://smtp.gmail.com"
        ),
        Kind.ICLOUD: _provider(
            "at account.apple.com", "imaps://imap.mail.me.com", "smtp+starttls://smtp.mail.me.com"
        ),
        Kind.FASTMAIL: _provider(
            "under Settings, Privacy & Security", "imaps://imap.fastmail.com", "smtps://smtp.fastmail.com"
        ),
        Kind.MICROSOFT365: Template("""\
# Not yet tried on the real service. Each account authorises the gate once with:
#     wicketgate account authorize EMAIL
# The client id is that of an application registered at entra.microsoft.com; docs/oauth.md shows how.
[oauth2.microsoft]
preset = "microsoft"
client_id = $client_id

[upstream.imap]
address = "imaps://outlook.office365.com"
sign_in = { kind = "oauth2", provider = "microsoft" }

[upstream.smtp]
address = "smtp+starttls://smtp.office365.com"
sign_in = { kind = "oauth2", provider = "microsoft" }
"""),
    }
)
