"""A whole gate before the built-in contacts and calendars, and people with app passwords for it by scope."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from config.load import load
from config.scaffold import Ports, init_dir
from proxy.opening import make_store
from support.house import House
from support.serving import Serving, running_gate
from support.vdirsyncer import Kind, Vdir, vdir

_CHEAP = """
[policy.hashing]
app = { memory_kib = 1024 }
primary = { memory_kib = 19456, passes = 2 }
"""
_LISTEN = "\n[listen]\n"
_TABLES = ("[upstream.contacts]", "[upstream.events]")
SCOPES = {
    "contacts": ("contacts",),
    "events": ("events",),
    "both": ("contacts", "events"),
    "mail": ("mail",),
}


@dataclass(frozen=True)
class Person:
    """One account and its app passwords, each named after what it opens."""

    gate: Serving
    email: str
    minted: dict[str, dict[str, Any]]

    @property
    def facts(self) -> dict[str, Any]:
        """What a client is told of the gate: the host, and no path."""
        return {**self.gate.facts, "dav_url": f"https://localhost:{self.gate.facts['https_port']}/"}

    @property
    def home(self) -> str:
        """The path that holds this person's collections."""
        return f"/{quote(self.email)}/"

    def password(self, opens: str) -> str:
        """Give the app password that opens this, made when it is first asked for."""
        if opens not in self.minted:
            scopes = [word for scope in SCOPES[opens] for word in ("--scope", scope)]
            self.minted[opens] = self.gate.house.ask(
                "password", "create", self.email, "--label", opens, *scopes, "--operator"
            )
        return self.minted[opens]["password"]

    def revoke(self, opens: str) -> None:
        """Revoke that app password."""
        self.gate.house.ask("password", "revoke", self.email, self.minted[opens]["id"])

    def vdir(self, folder: Path, kind: Kind, opens: str) -> Vdir:
        """Set a vdirsyncer up with that app password."""
        return vdir(self.facts, self.email, self.password(opens), folder, kind)


@dataclass(frozen=True)
class Town:
    """A gate that answers, and any number of people."""

    gate: Serving
    numbers: Iterator[int]

    def person(self) -> Person:
        """Add somebody who has nothing yet."""
        email = f"person{next(self.numbers)}@example.org"
        self.gate.house.add(email)
        return Person(self.gate, email, {})


@contextmanager
def dav_town(folder: Path) -> Iterator[Town]:
    """Serve a fresh gate until the block ends."""
    with running_gate(_house(folder)) as gate:
        yield Town(gate, count(1))


def _house(folder: Path) -> House:
    """Make a configuration with free ports and cheap hashes, all that is built in behind it."""
    file = init_dir(folder, ports=Ports(**{each.name: 0 for each in fields(Ports)}))
    text = file.read_text("utf-8")
    if "\nhttps = " not in text:
        assert _LISTEN in text
        text = text.replace(_LISTEN, f'{_LISTEN}https = ["127.0.0.1:0"]\n')
    tables = [f'\n{each}\naddress = "embedded"\n' for each in _TABLES if f"\n{each}\n" not in text]
    file.write_text("".join([text, *tables, _CHEAP]), "utf-8")
    asyncio.run(make_store(load(file)))
    return House(file)
