"""The demo's page of settings, as text for a terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import Any

from proxy.cli.demo_folder import DemoAccount, DemoFolder


def page(folder: DemoFolder, facts: dict[str, Any]) -> str:
    """Write what to type into a mail program and what to try, from the facts of the ready file."""
    return "\n".join(_lines(folder, facts))


def _lines(folder: DemoFolder, facts: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "Wicketgate demo. Ctrl-C ends it; everything stays in " + str(folder.path)
    yield ""
    yield "What to type into a mail program"
    server = f"server {facts['host']}, port {facts['imaps_port']}"
    yield f"  incoming mail   IMAP, {server}, SSL/TLS, normal password"
    yield f"                  or port {facts['imap_port']} with STARTTLS"
    yield "  user name       the email address"
    yield "  password        one of the app passwords below; spaces and hyphens do not matter"
    yield "  Sending, contacts and calendar are not served in this version."
    for account in folder.accounts:
        yield ""
        yield from _account(account)
    yield ""
    yield from _trust(folder)
    yield ""
    yield from _try(folder)
    yield ""


def _account(account: DemoAccount) -> Iterator[str]:
    yield account.email
    for each in account.app_passwords:
        opens = f"opens {', '.join(each.scopes)}" if each.state == "active" else each.state
        yield f"  {each.label:<16}  {each.password.reveal():<28}{opens}"
    yield f"  {'primary password':<16}  {account.primary.reveal():<28}only for making app passwords"
    yield f"  {'second factor':<16}  {account.totp_secret.reveal()}"


def _trust(folder: DemoFolder) -> Iterator[str]:
    yield "The certificate is signed by the demo's own authority. Tell the mail program to trust it:"
    yield f"  {folder.ca_file}"
    yield "  Thunderbird     Settings, Privacy & Security, Manage Certificates, Authorities, Import"
    yield "  Mac             open the file, then set it to Always Trust in Keychain Access"
    yield "  iPhone          install it as a profile; then General, About, Certificate Trust Settings"
    yield "  Windows         open the file, Install Certificate, Trusted Root Certification Authorities"
    yield "  Android         Settings, Security, Encryption & credentials, Install a CA certificate"
    yield "  mbsync, curl    CertificateFile, --cacert"


def _try(folder: DemoFolder) -> Iterator[str]:
    command = f"{shlex.quote(sys.argv[0])} -c {shlex.quote(str(folder.config))}"
    yield "Try, in another terminal"
    yield f"  {command} password list alice@example.org"
    yield f"  {command} password create alice@example.org --label Tablet --scope mail --operator"
    yield f"  {command} password revoke alice@example.org 'Mail only'"
    yield f"  {command} audit"
