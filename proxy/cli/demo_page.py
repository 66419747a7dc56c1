"""The demo's page of settings, as text for a terminal."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import Any

from proxy.cli.demo_folder import DemoAccount, DemoFolder


def page(folder: DemoFolder, facts: dict[str, Any]) -> str:
    """Write what to type into an app and what to try, from the facts of the ready file."""
    return "\n".join(_lines(folder, facts))


def _lines(folder: DemoFolder, facts: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield "Wicketgate demo. Ctrl-C ends it; everything stays in " + str(folder.path)
    yield ""
    yield f"The portal, where people make and revoke their own app passwords: {facts['portal_url']}"
    yield "  sign in as one of the accounts below, with its primary password and a code of its second factor"
    yield ""
    yield from _servers(facts)
    for account in folder.accounts:
        yield ""
        yield from _account(account)
    yield ""
    yield from _apps(facts)
    yield ""
    yield from _trust(folder)
    yield ""
    yield from _try(folder)
    yield ""


def _servers(facts: dict[str, Any]) -> Iterator[str]:
    yield "What to type into an app"
    host = facts["host"]
    yield f"  incoming mail   IMAP, server {host}, port {facts['imaps_port']}, SSL/TLS, normal password"
    yield f"                  or port {facts['imap_port']} with STARTTLS"
    yield f"  outgoing mail   SMTP, server {host}, port {facts['smtps_port']}, SSL/TLS, normal password"
    yield f"                  or port {facts['submission_port']} with STARTTLS"
    yield f"  contacts        CardDAV, {facts['dav_url']}"
    yield f"  calendars       CalDAV, {facts['dav_url']}"
    yield "  user name       the email address, everywhere"
    yield "  password        one of the app passwords below; spaces and hyphens do not matter"


def _account(account: DemoAccount) -> Iterator[str]:
    yield account.email
    for each in account.app_passwords:
        opens = f"opens {', '.join(each.scopes)}" if each.state == "active" else each.state
        yield f"  {each.label:<16}  {each.password.reveal():<28}{opens}"
    yield f"  {'primary password':<16}  {account.primary.reveal():<28}only for making app passwords"
    yield f"  {'second factor':<16}  {account.totp_secret.reveal()}"


def _apps(facts: dict[str, Any]) -> Iterator[str]:
    port, url = facts["https_port"], facts["dav_url"]
    yield "App by app"
    yield "  Thunderbird     mail: New Account, Configure manually, the servers and ports above"
    yield f"                  contacts: New Address Book, CardDAV, {url}; calendar: New, On the Network"
    yield "  Outlook         mail: Add account, Advanced, Let me set up manually, IMAP; the new Outlook"
    yield "                  signs in from Microsoft's cloud and cannot reach a demo; it has no DAV"
    yield "  Apple           mail: Add Account, Other, Add Mail Account; type the ports, the outgoing one too"
    yield f"                  Other, Add CardDAV (CalDAV) Account, Manual (Advanced: port {port}, Use SSL)"
    yield f"  DAVx5           Login with URL and user name, {url}; use --host with a name the phone can reach"
    yield "  any other app   IMAP, SMTP, CardDAV and CalDAV as above; the user name is the email address"


def _trust(folder: DemoFolder) -> Iterator[str]:
    yield "The certificate is signed by the demo's own authority. Tell the app or the device to trust it:"
    yield f"  {folder.ca_file}"
    yield "  Thunderbird     Settings, Privacy & Security, Manage Certificates, Authorities, Import"
    yield "  Outlook         Windows: open the file, Install Certificate, Trusted Root Certification"
    yield "                  Authorities"
    yield "  Apple           Mac: open the file, then set it to Always Trust in Keychain Access"
    yield "                  iPhone: install it as a profile; General, About, Certificate Trust Settings"
    yield "  DAVx5           Android: Settings, Security, Encryption & credentials, Install a CA certificate;"
    yield "                  DAVx5 also asks by itself and shows the certificate's fingerprint"
    yield "  any other app   mbsync CertificateFile, msmtp tls_trust_file, vdirsyncer verify, curl --cacert"


def _try(folder: DemoFolder) -> Iterator[str]:
    command = f"{shlex.quote(sys.argv[0])} -c {shlex.quote(str(folder.config))}"
    yield "Try, in another terminal"
    yield f"  {command} password list alice@example.org"
    yield f"  {command} password create alice@example.org --label Tablet --scope mail --operator"
    yield f"  {command} password revoke alice@example.org 'Mail only'"
    yield f"  {command} audit"
