"""The demo's lasting folder: made once, whole or not at all, and read again at every later start.

Beside what `wicketgate init` would write lies `demo.json` (0600) with every password and second-factor secret
in clear, so that the page of settings can be shown again; so a demo folder is never a real set-up.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import stat
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import pyotp

from auth.accounts import AccountError, Accounts
from auth.apppassword import SELECTOR_LENGTH
from auth.deed import Actor, MintRequest
from auth.secret import Secret
from config.authority import issue, write_file
from config.load import load
from config.models import Config
from config.scaffold import (
    CONFIG_NAME,
    Ports,
    ScaffoldError,
    adapted_text,
    certificate_names,
    init_dir,
)
from proxy.cli.demo_dav import fill
from proxy.cli.demo_mail import welcome
from proxy.cli.password_lists import ending
from proxy.embedded.maildir import deliver
from proxy.opening import key_ring, make_hasher, make_store, open_store
from proxy.server.places import dav_folder, mail_folder
from scopes.model import Scope

STATE_NAME: Final = "demo.json"
_ALL: Final = tuple(Scope)
_ACCOUNTS: Final[dict[str, dict[str, tuple[Scope, ...]]]] = {
    "alice@example.org": {
        "Everything": _ALL,
        "Mail only": (Scope.MAIL,),
        "Contacts only": (Scope.CONTACTS,),
        "Events only": (Scope.EVENTS,),
    },
    "bob@example.org": {"Everything": _ALL},
}
_EARLIER_S: Final = 90
"""Authenticators are enrolled as of three TOTP steps ago, so every code of the running clock is unused."""
_OPERATOR: Final = Actor(kind="operator", name="demo", where="wicketgate demo")
_MAIL: Final = """
# Owners find these mails in the built-in mailboxes.
[mail]
sender = "gate@example.org"
"""


class DemoFolderError(Exception):
    """The folder cannot be used; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPassword:
    """One app password of the demo, in clear."""

    label: str
    scopes: tuple[Scope, ...]
    password: Secret
    state: str = "active"
    """`active`, `revoked` or `expired`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAccount:
    """One account of the demo with everything needed to sign in."""

    email: str
    primary: Secret
    totp_secret: Secret
    app_passwords: tuple[DemoPassword, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFolder:
    """A demo that stands."""

    path: Path
    accounts: tuple[DemoAccount, ...] = field(default=())

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.path / CONFIG_NAME

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients must trust."""
        return self.path / "tls" / "ca.pem"


async def open_folder(path: Path, hosts: Sequence[str], bind: str, ports: Ports) -> DemoFolder:
    """Make the demo in `path`, or read it when it is there.

    Certificate and config file are for `hosts`, `bind` and `ports` from then on. Raises DemoFolderError, and
    what making one raises: ScaffoldError, StoreUnavailable, ChildFailedError, OSError.
    """
    _refuse_a_strangers(path)
    state = path / STATE_NAME
    if not state.exists():
        if path.exists() and any(path.iterdir()):
            raise DemoFolderError(
                f"{path} is not empty and holds no demo", "name another folder with --dir, or empty this one"
            )
        await _make(path, hosts, bind)
    names = certificate_names(hosts, bind)
    _cover(path, names)
    write_config(path / CONFIG_NAME, names, bind, ports)
    try:
        accounts = tuple(_account(entry) for entry in json.loads(state.read_text("utf-8"))["accounts"])
    except (ValueError, KeyError, TypeError):
        raise DemoFolderError(f"{state} is damaged", f"remove {path} to start anew") from None
    config = load(path / CONFIG_NAME)
    if not config.store.gate_file.exists():  # with a new one the passwords shown here would all be dead
        raise DemoFolderError(f"the store of the demo in {path} is gone", f"remove {path} to start anew")
    return DemoFolder(path=path, accounts=await _as_they_stand(config, accounts))


def _refuse_a_strangers(path: Path) -> None:
    """Refuse a folder in which somebody else could put files or read what we will write."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return
    if facts.st_uid not in (os.geteuid(), 0):
        what = f"{path} belongs to another user, {facts.st_uid}"
        raise DemoFolderError(what, "name a folder of your own with --dir, or run this as that user")
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DemoFolderError(f"others can write to {path}", f"run: chmod go-w {shlex.quote(str(path))}")


async def _make(path: Path, hosts: Sequence[str], bind: str) -> None:
    """Make everything beside `path` and move it there at the end: killed in between, nothing is there.

    The folder beside it has a name nobody can foresee, and so prepare.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    making = Path(mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        file = init_dir(making, hosts, Ports(), bind=bind)
        file.write_text(file.read_text("utf-8") + _MAIL, "utf-8")
        config = load(file)
        await make_store(config)
        accounts = await _make_accounts(config)
        for email in _ACCOUNTS:
            for message in welcome(email, time.time()):
                deliver(mail_folder(config), email, message)
        await fill(dav_folder(config), _ACCOUNTS, time.time())
        text = json.dumps({"accounts": [_entry(account) for account in accounts]}, indent=2)
        write_file(making / STATE_NAME, text.encode("utf-8"), 0o600)
        making.rename(path)
    finally:
        shutil.rmtree(making, ignore_errors=True)


@asynccontextmanager
async def _accounts(config: Config, earlier_s: int = 0) -> AsyncIterator[Accounts]:
    """Open the demo's store; `earlier_s` puts the clock back."""
    ring = key_ring(config)
    store = await open_store(config, ring, tell_owners=False)  # nobody was there yet
    hasher = make_hasher(config)
    try:
        yield Accounts(store, hasher, ring, issuer="Wicketgate demo", now=lambda: time.time() - earlier_s)
    finally:
        hasher.close()
        await store.close()


async def _make_accounts(config: Config) -> list[DemoAccount]:
    async with _accounts(config, _EARLIER_S) as accounts:
        people = [await _enrol(accounts, email) for email in _ACCOUNTS]
    async with _accounts(config) as accounts:
        return [await _mint(accounts, person) for person in people]


async def _enrol(accounts: Accounts, email: str) -> DemoAccount:
    """Add an account with an authenticator whose code was made by the accounts' own clock."""
    primary = Secret(f"demo-{secrets.token_urlsafe(9)}")
    await accounts.add(email, primary=primary, actor=_OPERATOR)
    enrolment = await accounts.begin_enrolment(email)
    code = Secret(pyotp.TOTP(enrolment.seed.reveal()).at(int(time.time() - _EARLIER_S)))
    await accounts.confirm_enrolment(email, enrolment, code, _OPERATOR)
    return DemoAccount(email=email, primary=primary, totp_secret=enrolment.seed, app_passwords=())


async def _mint(accounts: Accounts, person: DemoAccount) -> DemoAccount:
    minted = []
    for label, opened in _ACCOUNTS[person.email].items():
        request = MintRequest(label=label, scopes=frozenset(opened))
        made = await accounts.mint(person.email, request, _OPERATOR)
        await accounts.mark_shown(made.id)
        minted.append(DemoPassword(label=label, scopes=opened, password=made.password))
    return replace(person, app_passwords=tuple(minted))


async def _as_they_stand(config: Config, people: Sequence[DemoAccount]) -> tuple[DemoAccount, ...]:
    """Mark the app passwords that were revoked or have expired since the demo was made."""
    async with _accounts(config) as accounts:
        return tuple([replace(each, app_passwords=await _standing(accounts, each)) for each in people])


async def _standing(accounts: Accounts, person: DemoAccount) -> tuple[DemoPassword, ...]:
    now = time.time()
    try:
        rows = await accounts.history(person.email)
    except AccountError:  # somebody removed the account
        rows = []
    states = {row.selector: ending(row, now)[0] for row in rows}
    return tuple(
        replace(each, state=states.get(each.password.reveal()[:SELECTOR_LENGTH], "revoked"))
        for each in person.app_passwords
    )


def _cover(path: Path, names: Sequence[str]) -> None:
    """Issue the certificate anew when it was made for other names."""
    covered = path / "tls" / "names"
    wanted = "".join(f"{name}\n" for name in names)
    if covered.exists() and covered.read_text("utf-8") == wanted:
        return
    issue(path / "tls", names)
    write_file(covered, wanted.encode("utf-8"), 0o644)


def write_config(path: Path, names: Sequence[str], bind: str, ports: Ports) -> None:
    """Make the config file say where this start serves, for whoever uses it beside the demo.

    What else somebody has edited there stays. Raises DemoFolderError, and OSError.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise DemoFolderError(f"{path} is not UTF-8 text", f"remove {path.parent} to start anew") from None
    try:
        adapted = adapted_text(text, names=names, bind=bind, ports=ports)
    except ScaffoldError as error:
        raise DemoFolderError(f"{path}: {error}", error.hint) from None
    if adapted != text:
        write_file(path, adapted.encode("utf-8"), 0o644)


def _entry(account: DemoAccount) -> dict[str, Any]:
    """Write one account for `demo.json` and the ready file."""
    return {
        "email": account.email,
        "primary_password": account.primary.reveal(),
        "totp_secret": account.totp_secret.reveal(),
        "app_passwords": [
            {
                "label": each.label,
                "scopes": list(each.scopes),
                "password": each.password.reveal(),
                "active": each.state == "active",
            }
            for each in account.app_passwords
        ],
    }


def _account(entry: dict[str, Any]) -> DemoAccount:
    """Read one account back."""
    return DemoAccount(
        email=entry["email"],
        primary=Secret(entry["primary_password"]),
        totp_secret=Secret(entry["totp_secret"]),
        app_passwords=tuple(
            DemoPassword(
                label=each["label"],
                scopes=tuple(Scope(scope) for scope in each["scopes"]),
                password=Secret(each["password"]),
            )
            for each in entry["app_passwords"]
        ),
    )


def entries(folder: DemoFolder) -> list[dict[str, Any]]:
    """Give the accounts for the ready file, secrets in clear."""
    return [_entry(account) for account in folder.accounts]


def write_private(path: Path, text: str) -> None:
    """Write a file that holds secrets, mode 0600, whole or not at all. OSError."""
    write_file(path, text.encode("utf-8"), 0o600)
