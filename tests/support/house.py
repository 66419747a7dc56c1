"""A configuration with its store, and the command line run against it in this process."""

import asyncio
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
from click.testing import CliRunner, Result

from auth.accounts import Accounts, Actor
from auth.hashing import Cost, Hasher
from auth.secret import Secret
from config.load import load
from config.scaffold import CONFIG_NAME, init_dir
from proxy.cli.app import program
from proxy.opening import key_ring, make_store, open_store

PRIMARY = "correct horse battery"
OPERATOR = Actor(kind="operator", name="test", where="test")
RUN = (sys.executable, "-c", "from proxy.cli import main; main()")
_EARLIER_S = 3600


@dataclass(frozen=True)
class House:
    """Where the configuration is."""

    file: Path

    def copy(self, folder: Path) -> "House":
        """Make another like it, store and all."""
        shutil.copytree(self.file.parent, folder)
        return House(folder / self.file.name)

    def run(self, *arguments: str, stdin: str | bytes = "") -> Result:
        """Run one command, without a terminal."""
        return CliRunner().invoke(
            program, ["-c", str(self.file), *arguments], input=stdin, prog_name="wicketgate"
        )

    def ask(self, *arguments: str, stdin: str = "") -> Any:
        """Run a command that must succeed and give its JSON."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def add(self, email: str) -> Secret:
        """Add a person with a second factor, enrolled an hour ago; give the seed."""
        return asyncio.run(self._add(email))

    async def _add(self, email: str) -> Secret:
        config = load(self.file)
        keys = key_ring(config)
        store = await open_store(config, keys, create=True)
        hasher = Hasher(primary=Cost(memory_kib=19_456, passes=2))
        try:
            accounts = Accounts(store, hasher, keys, issuer="test", now=lambda: time.time() - _EARLIER_S)
            await accounts.add(email, primary=Secret(PRIMARY), actor=OPERATOR)
            enrolment = await accounts.begin_enrolment(email)
            code = Secret(pyotp.TOTP(enrolment.seed.reveal()).at(time.time() - _EARLIER_S))
            await accounts.confirm_enrolment(email, enrolment, code, OPERATOR, None)
            return enrolment.seed
        finally:
            await store.close()
            hasher.close()


def code(seed: Secret) -> str:
    """Give the code an authenticator shows now."""
    return pyotp.TOTP(seed.reveal()).now()


def make_house(folder: Path) -> House:
    """Make a configuration whose hashes cost as little as is allowed, with an empty store.

    Keys, certificates and schema take half a second, so houses are copies of the first one beside them.
    """
    first = folder.parent.parent / "the-first-house"
    if not (first / CONFIG_NAME).exists():
        _build(first)
    shutil.copytree(first, folder, dirs_exist_ok=True)
    return House(folder / CONFIG_NAME)


def _build(folder: Path) -> None:
    file = init_dir(folder)
    cheap = "\n[policy.hashing]\nprimary = { memory_kib = 19456, passes = 2 }\n"
    file.write_text(file.read_text(encoding="utf-8") + cheap, encoding="utf-8")
    asyncio.run(make_store(load(file)))
