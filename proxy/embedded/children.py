"""The built-in servers as the gate starts them: each a supervised child on a Unix socket of its own.

Each socket lies in a fresh folder that only this user can enter, at the same path from `start` to `stop`
however often the child is started again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from auth.secret import Secret
from config.address import SOCKET_PATH_OCTETS
from proxy.embedded import dav
from proxy.embedded.child import (
    AlreadyServedError,
    Answer,
    Child,
    ChildFailedError,
    NoProcessError,
    Program,
    Spawn,
    Time,
)
from proxy.embedded.handover import GATE_USER
from proxy.embedded.recipients import Lookup, answering

__all__ = [
    "AlreadyServedError",
    "Child",
    "ChildFailedError",
    "EmbeddedDav",
    "EmbeddedDelivery",
    "EmbeddedMail",
    "NoProcessError",
    "Program",
    "Time",
    "socket_folder",
]

_NAME_OCTETS: Final = 32
"""Room for the folder's random name and the socket's."""


class Embedded:
    """One child on a socket. `program` says what to run for a socket at a path."""

    def __init__(
        self,
        name: str,
        program: Callable[[Path], Program],
        *,
        clock: Time | None = None,
        spawn: Spawn = asyncio.create_subprocess_exec,
    ) -> None:
        self._name = name
        self._program = program
        self._clock = clock
        self._spawn = spawn
        self._folder: Path | None = None
        self._child: Child | None = None

    @property
    def socket_path(self) -> Path:
        """Where it listens, from `start` to `stop`; the same after the child was started again."""
        if self._folder is None:
            raise RuntimeError(f"the built-in server of {self._name} has not been started")
        return self._folder / self._name

    @property
    def pid(self) -> int | None:
        """The child that runs now, None while there is none."""
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Start it; returns when it answers. Raises `ChildFailedError`."""
        self._folder = socket_folder(os.environ)
        self._child = Child(self._program(self.socket_path), clock=self._clock, spawn=self._spawn)
        try:
            await self._child.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it; leaves no process, socket or folder behind. Any number of times."""
        child, self._child = self._child, None
        folder, self._folder = self._folder, None
        if child is not None:
            await child.stop()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


class EmbeddedMail(Embedded):
    """The built-in IMAP server.

    The gate signs in with SASL PLAIN: the account's email as authorization id, `user` as authentication id,
    `secret` as password.
    """

    user: Final = GATE_USER

    def __init__(
        self,
        maildirs: Path,
        *,
        clock: Time | None = None,
        spawn: Spawn = asyncio.create_subprocess_exec,
    ) -> None:
        self.secret = Secret(secrets.token_urlsafe(32))

        def program(socket: Path) -> Program:
            return _module("proxy.embedded.mail", maildirs, socket, secret=self.secret)

        super().__init__("imap", program, clock=clock, spawn=spawn)


class EmbeddedDelivery(Embedded):
    """The built-in SMTP server, which delivers into the same Maildirs; signed in to as `EmbeddedMail` is.

    `lookup` tells which account a recipient's address belongs to (`recipients.lookup_in` asks the store).
    """

    user: Final = GATE_USER

    def __init__(
        self,
        maildirs: Path,
        lookup: Lookup,
        *,
        clock: Time | None = None,
        spawn: Spawn = asyncio.create_subprocess_exec,
    ) -> None:
        self.secret = Secret(secrets.token_urlsafe(32))
        answer = answering(lookup)

        def program(socket: Path) -> Program:
            return _module("proxy.embedded.delivery", maildirs, socket, secret=self.secret, answer=answer)

        super().__init__("smtp", program, clock=clock, spawn=spawn)


class EmbeddedDav(Embedded):
    """The built-in server of contacts and calendars; it believes the field `header` of each request."""

    header: Final = "X-Remote-User"

    def __init__(
        self,
        folder: Path,
        *,
        clock: Time | None = None,
        spawn: Spawn = asyncio.create_subprocess_exec,
    ) -> None:
        super().__init__("dav", lambda socket: dav.program(folder, socket), clock=clock, spawn=spawn)


def socket_folder(environ: Mapping[str, str]) -> Path:
    """Make a fresh folder, mode 0700, whose path is short enough for a socket in it."""
    for parent in (environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        usable = Path(parent).is_absolute() and os.access(parent, os.W_OK | os.X_OK)
        if usable and len(os.fsencode(parent)) + _NAME_OCTETS <= SOCKET_PATH_OCTETS:
            return Path(tempfile.mkdtemp(prefix="wicketgate-", dir=parent))
    raise ChildFailedError("no folder with a short path for a socket: set XDG_RUNTIME_DIR or TMPDIR")


def _module(
    name: str, served: Path, socket: Path, *, secret: Secret, answer: Answer | None = None
) -> Program:
    """Say how a module of ours is run: `python -m NAME SERVED SOCKET`."""
    arguments = ("-m", name, str(served.absolute()), str(socket))
    return Program(name=name, arguments=arguments, secret=secret, answer=answer)
