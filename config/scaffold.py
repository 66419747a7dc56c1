"""A first configuration: a commented file, a master key, and a private authority with a certificate.

What is written starts as it is, with the built-in servers behind the gate, on this machine alone. Nothing
that exists is ever overwritten. All is made in a folder of its own and then moved: what fails leaves nothing
behind, so it can simply be tried again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from string import Template
from tempfile import mkdtemp
from typing import Final

from config.address import host_name, joined
from config.authority import issue, make_authority, write_file
from config.keys import new_key_text
from config.private import reason
from config.setups import LISTEN, SECRET_FILE, Setup, quoted

CONFIG_NAME: Final = "wicketgate.toml"
_MADE: Final = ("tls", "keys", "data", CONFIG_NAME)
_SECRET_OCTETS: Final = 24
"""Of the gate's own login at a server behind: nobody types it."""
_LINE: Final = r'^({key} = )(?:"[^"\n]*"|\[(?:"[^"\n]*"|[, ])*\])'
"""A key with one text, or with a list of texts on one line."""
THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound


class ScaffoldError(Exception):
    """The folder cannot be filled; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the gate will listen; 0 is any free port. None of these needs privileges."""

    imaps: int = 1993
    imap: int = 1143
    submissions: int = 1465
    submission: int = 1587
    https: int = 8443
    portal: int = 8444

    def at(self, bind: str) -> dict[str, str]:
        """Give the keys of `[listen]` with address and port."""
        return {each.name: joined(bind, getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be made."""

    names: Sequence[str]
    bind: str
    ports: Ports
    begin: datetime
    setup: Setup | None

    @property
    def key_name(self) -> str:
        """What the first master key is called: the month it was made in."""
        return f"{self.begin:%Y-%m}"


def init_dir(
    folder: Path,
    hosts: Sequence[str] = (),
    ports: Ports = Ports(),
    *,
    bind: str = "127.0.0.1",
    now: datetime | None = None,
    setup: Setup | None = None,
) -> Path:
    """Fill `folder` (made when missing, mode 0700) and give the path of its config file.

    With a `setup` the servers behind are those, and it listens where apps expect it; else they are built in.
    `hosts` are names and addresses beside this machine's own, the first is the public one; `bind` is the IP
    address to listen on. Raises ScaffoldError, or AddressError for what is not a host.
    """
    names = certificate_names(hosts, bind) if setup is None else tuple(map(host_name, hosts))
    begin = now or datetime.now(UTC)
    was_there = folder.is_dir()
    _refuse_to_overwrite(folder)
    making = None
    try:
        making = Path(mkdtemp(prefix=".making-", dir=folder))
        _fill(making, Plan(names=names, bind=bind, ports=ports, begin=begin, setup=setup))
        _move(making, folder)
    except OSError as error:
        what = f"the folder {folder} cannot be filled: {reason(error)}"
        raise ScaffoldError(what, "choose a folder that you may write to, on a disk with room") from None
    finally:
        if making is not None:
            shutil.rmtree(making, ignore_errors=True)
        if not was_there:
            with suppress(OSError):  # it is filled, as it should be
                folder.rmdir()
    return folder / CONFIG_NAME


def _fill(folder: Path, plan: Plan) -> None:
    """Make everything in an empty folder. Raises OSError."""
    setup = plan.setup
    if setup is None or setup.certificate is None:
        make_authority(folder / "tls", now=plan.begin)
        issue(folder / "tls", plan.names, now=plan.begin)
    (folder / "keys").mkdir(mode=0o700)
    write_file(folder / "keys" / f"{plan.key_name}.key", new_key_text().encode("ascii"), 0o400)
    (folder / "data").mkdir(mode=0o700)
    if setup is not None and setup.kind.trusts_the_gate:
        write_file(folder / SECRET_FILE, f"{token_urlsafe(_SECRET_OCTETS)}\n".encode("ascii"), 0o400)
    write_file(folder / CONFIG_NAME, config_text(plan).encode("utf-8"), 0o644)


def _move(making: Path, folder: Path) -> None:
    """Move everything to its place, the config file last; where one fails, what was moved goes again."""
    moved: list[Path] = []
    try:
        for name in filter(lambda name: (making / name).exists(), _MADE):
            (making / name).rename(folder / name)
            moved.append(folder / name)
    except OSError:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
        raise


def certificate_names(hosts: Sequence[str], bind: str = "") -> tuple[str, ...]:
    """Give the names a certificate needs: `hosts`, this machine's own, and the address it listens on."""
    bound = () if not bind or bind in _EVERYWHERE else (host_name(bind),)
    return tuple(dict.fromkeys((*map(host_name, hosts), *THIS_MACHINE, *bound)))


def config_text(plan: Plan) -> str:
    """Write the config file: commented, complete, with paths beside it."""
    setup = plan.setup
    given = setup is not None and setup.certificate is not None
    certificates = (_CERTIFICATE if given else _PRIVATE_CERTIFICATE).substitute(
        names=_quoted(plan.names),
        certificate=_path(None if setup is None else setup.certificate),
        certificate_key=_path(None if setup is None else setup.key),
    )
    return _TEXT.substitute(
        public=plan.names[0],
        certificates=certificates,
        listen=_LISTEN.substitute(plan.ports.at(plan.bind)) if setup is None else LISTEN,
        key=plan.key_name,
        upstream=_EMBEDDED if setup is None else setup.upstream_text,
    )


def _path(path: Path | None) -> str:
    """Write a path as TOML text, whatever is in it."""
    return quoted("" if path is None else str(path.absolute()))


def adapted_text(text: str, *, names: Sequence[str], bind: str, ports: Ports) -> str:
    """Put other names, another address and other ports into a config file; what else was edited there stays.

    The first of `names` is the public one. Raises ScaffoldError when a line is not as `config_text` wrote it.
    """
    listen = {key: f'["{place}"]' for key, place in ports.at(bind).items()}
    if not re.search(r"^portal = ", text, flags=re.MULTILINE):  # written before there was a portal
        text = re.sub(r"^(https = .*)$", r'\1\nportal = [""]', text, count=1, flags=re.MULTILINE)
    for key, value in {"public_host": f'"{names[0]}"', "names": f"[{_quoted(names)}]", **listen}.items():
        text, found = re.subn(_LINE.format(key=key), rf"\g<1>{value}", text, count=1, flags=re.MULTILINE)
        if not found:
            raise ScaffoldError(
                f"the line of {key} is not there any more", f"write it again: {key} = {value}"
            )
    return text


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _refuse_to_overwrite(folder: Path) -> None:
    """Make the folder, or see that none of what we write is in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder {folder} cannot be made: {reason(error)}"
        raise ScaffoldError(what, "choose a folder that you may write to") from None
    for name in _MADE:
        if (folder / name).exists():
            what = f"{folder / name} exists already, and nothing is overwritten"
            raise ScaffoldError(what, "choose an empty folder, or one that does not exist")


_TEXT: Final = Template("""\
# Wicketgate's configuration. Relative paths start at this file's folder.
# See whether all is well with:   wicketgate -c wicketgate.toml check
# Then start it with:             wicketgate -c wicketgate.toml serve

[server]
public_host = "$public"    # the name that apps connect to; a certificate below must carry it
data = "data"    # what the server keeps; back it up together with keys/, but not in the same place
# portal_url = "https://apps.example.org/"    # how people reach the portal, where it is not seen from here

$certificates
$listen
# Accounts and app passwords; by default in server.data. After the colon stands a path.
# [store]
# url = "sqlite:data/gate.db"

# Master keys: files with mode 0400. Without them no app password and no second factor can be read again.
# New secrets use the current one. Keep the old ones here as long as anything was made with them.
[keys]
current = "$key"
files = { "$key" = "keys/$key.key" }

# How primary passwords are checked: "local" ones are kept by Wicketgate itself, with "imap" they are those of
# the mailboxes, and are tried at [upstream.imap].
[primary]
kind = "local"

# Owners are told by mail of every app password that is made or revoked, and before one expires; invitations
# go the same way. [upstream.smtp] must let the gate send as this address.
# [mail]
# sender = "gate@example.org"

$upstream
[policy]
app_passwords = 25    # the most active app passwords of one account
# sender = "own"    # who may be the sender: "own" addresses alone, as the "upstream" decides, or "report"
""")
_PRIVATE_CERTIFICATE: Final = Template("""\
# One table a certificate; which one a client gets is chosen by the name it asks for.
# This one was signed by the private authority in tls/ca.pem: devices must be told to trust that file.
# With a public certificate, name its full chain and its key here instead.
[[tls.certificate]]
names = [$names]
certificate = "tls/server.pem"
key = "tls/server.key"
""")
_CERTIFICATE: Final = Template("""\
# One table a certificate; which one a client gets is chosen by the name it asks for.
# A renewed one is taken from its files within seconds.
[[tls.certificate]]
names = [$names]
certificate = $certificate
key = $certificate_key
""")
_LISTEN: Final = Template("""\
# IP address and port; "[::]:993" is every address of this machine, IPv4 included on most systems.
[listen]
imaps = ["$imaps"]    # TLS from the first octet; the usual port is 993
imap = ["$imap"]    # STARTTLS, demanded before any sign-in; the usual port is 143
submissions = ["$submissions"]    # sending mail, TLS from the first octet; the usual port is 465
submission = ["$submission"]    # sending mail, STARTTLS demanded before any sign-in; the usual port is 587
https = ["$https"]    # contacts and calendars; the usual port is 443
portal = ["$portal"]    # the web pages where people make app passwords; [portal] can put them on port 443 too
""")
_EMBEDDED: Final = """\
# The servers behind the gate. "embedded" is a small one built in, for trying things out.
# What has no table here is not served; take its lines out of [listen] too.
[upstream.imap]
address = "embedded"

# A real server instead, for example Dovecot with a master user "gate":
# address = "imaps://dovecot.example.org"    # or imap+starttls://HOST, or unix:/run/dovecot/imap
# sign_in = { kind = "authzid", user = "gate", secret_file = "keys/upstream.secret" }
# login = "{email}"    # the account's name there: {email}, {user} (before the @), {domain}
# ca_file = "upstream-ca.pem"    # when its certificate was not signed by a public authority

# Where messages are handed in. The built-in one delivers between the accounts of this gate, and nowhere else.
[upstream.smtp]
address = "embedded"

# A real server instead, for example Postfix, whose SASL lets "gate" act for every account:
# address = "smtp+starttls://postfix.example.org"    # or smtps://HOST, or unix:/PATH
# sign_in = { kind = "authzid", user = "gate", secret_file = "keys/upstream.secret" }
# extensions = ["CHUNKING", "DSN", "SMTPUTF8"]    # those of them that it has, for apps to use

# Contacts and calendars: one server for both, which believes a header of ours. So nobody else may reach it.
[upstream.contacts]
address = "embedded"

[upstream.events]
address = "embedded"

# A real server instead, the same lines in both tables. Radicale: [auth] type = http_x_remote_user
# address = "unix:/run/radicale/socket"    # or https://HOST with client_certificate and client_key
# sign_in = { kind = "trusted-header" }
"""
