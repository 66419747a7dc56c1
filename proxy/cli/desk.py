"""The store and its accounts, opened for one command.

A command asks its questions between calls of `Desk.run`, never inside one: there a Ctrl-C would only cancel a
task while the prompt goes on waiting.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from auth.accounts import Accounts, Actor, Revocation
from auth.identities import Identities
from auth.primaries import Primaries
from auth.seal import KeyRing
from config.models import Config
from proxy.cli.output import fail_usage, note
from proxy.limits import FEED_BLIND_S
from proxy.opening import key_ring, make_hasher, open_store
from proxy.worker import await_reports

T = TypeVar("T")

_USER_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a revocation did, once the workers have answered."""

    app_password_ids: tuple[str, ...]
    sessions: int
    silent_workers: int

    @property
    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "revoked": list(self.app_password_ids),
            "sessions_cut": self.sessions,
            "silent_workers": self.silent_workers,
        }

    @property
    def text(self) -> str:
        """The same in words."""
        passwords = counted(len(self.app_password_ids), "app password")
        return f"{passwords} revoked, {counted(self.sessions, 'session')} cut"

    def warn(self) -> None:
        """Say so when a worker has not answered."""
        if self.silent_workers:
            silent = counted(self.silent_workers, "worker")
            within = f"within {FEED_BLIND_S:.0f} seconds at the latest"
            note(f"{silent} did not answer in time; no new sign-in passes, and open sessions end {within}")


class Desk:
    """One command at work: a loop of its own, the store open, and who acts."""

    def __init__(self, config: Config, *, create: bool = False) -> None:
        """`create`: make the store when there is none, and say so."""
        self._config = config
        self._create = create
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        config = self._config
        keys = key_ring(config)
        if not (config.store.gate_file.exists() and config.store.activity_file.exists()):
            must_not_be_root_for_another(config)
        self._hasher = make_hasher(config)
        try:
            if self._create and not config.store.gate_file.exists():
                note(f"there is no store yet; a new one is made: {config.store.gate_file}")
            self.store = self.run(open_store(config, keys, create=self._create))
        except BaseException:
            self._hasher.close()
            self._runner.close()
            raise
        self.accounts = Accounts(
            self.store,
            self._hasher,
            keys,
            limit=config.policy.app_passwords,
            issuer=config.server.public_host,
            primaries=self._primaries(keys),
        )
        return self

    def _primaries(self, keys: KeyRing) -> Primaries | None:
        """Give the mail servers that keep primary passwords, where some do."""
        told = (self._config.primary, *(domain.primary for domain in self._config.domain))
        if not any(each is not None and each.kind == "imap" for each in told):
            return None
        from proxy.server.primaries import primaries_of  # noqa: PLC0415 - only who asks them pays for loading it

        return primaries_of(self._config, Identities(self.store, keys, time.time))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.run(self.store.close())
        finally:
            self._hasher.close()
            self._runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one piece of work to its end."""
        return self._runner.run(work)

    def cut(self, revocation: Revocation) -> Cut:
        """Wait for the workers' answers to a committed revocation; that they cannot be had undoes nothing."""
        from proxy.server.places import workers_folder  # noqa: PLC0415 - only who ends something pays for loading it

        folder, ended = workers_folder(self._config), revocation.app_password_ids
        try:
            reports = self.run(await_reports(self.store, folder, revocation.change))
        except OSError:
            note("what the workers cut cannot be seen from here; they cut all the same")
            return Cut(app_password_ids=ended, sessions=0, silent_workers=0)
        return Cut(
            app_password_ids=ended, sessions=reports.sessions_cut, silent_workers=reports.silent_workers
        )


def must_not_be_root_for_another(config: Config) -> None:
    """Refuse to let root make files in a folder of another user, whose server could not open them.

    Where the folder is not there yet, it is the one in which it would be made that counts.
    """
    data = config.server.data
    place = next((each for each in (data, *data.parents) if each.is_dir()), None)
    if os.geteuid() != 0 or place is None:
        return
    user = place.stat().st_uid
    if user != 0:
        what = f"{place} belongs to user {user}, and root would make a store there that this user cannot open"
        fail_usage(what, f"run this as that user: sudo -u '#{user}' wicketgate …")


def operator() -> Actor:
    """Name the operator at the command line, for the audit trail.

    The name is that of the process's own user, not the environment's word; whom sudo did it for is added.
    """
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = f"user {user}"
    behind = os.environ.get("SUDO_USER", "")[:_USER_CHARACTERS]
    where = f"command line, sudo by {behind}" if behind and behind != name else "command line"
    return Actor(kind="operator", name=name, where=where)


def owner(email: str) -> Actor:
    """Name the owner of an account, who has proved it at the command line."""
    return Actor(kind="owner", name=email, where="command line")


def counted(number: int, thing: str) -> str:
    """Write a number with its noun: `1 session`, `2 sessions`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
