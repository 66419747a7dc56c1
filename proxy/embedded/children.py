"""Children that serve behind the gate: started, watched, started again, and gone when we are.

A child is `python -m MODULE`; its standard input is a pipe that brings it a secret and, by ending, tells it
to leave, so even a parent that was killed leaves no orphan. Its first line on standard output says that it
serves; what it writes to standard error is logged. One that dies is started again after a pause that grows
up to a limit; meanwhile its socket refuses, which the gate reports as an outage. Nothing here knows IMAP.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import proxy
from auth.secret import Secret
from config.address import SOCKET_PATH_OCTETS
from proxy import limits
from proxy.embedded.handover import GATE_USER, READY

_LOG: Final = logging.getLogger("wicketgate.embedded")
_HELD: Final = "another server has "
"""How the mail server begins its last words when its folder is locked."""
_NAME_OCTETS: Final = 32
"""Room for the folder's random name and the socket's."""


Spawn = Callable[..., Awaitable[asyncio.subprocess.Process]]
"""Makes a process; called as `asyncio.create_subprocess_exec` is."""


class ChildFailedError(Exception):
    """A child did not come up. The text and the hint are for the administrator."""

    hint = "see what it said; if another Wicketgate serves the same folder, end that one first"


class AlreadyServedError(ChildFailedError):
    """Another Wicketgate has what the child would serve."""

    hint = "end that one first, or name another folder: --dir for the demo, server.data for a gate"


class NoProcessError(ChildFailedError):
    """The system gave no process for a child."""

    hint = "see the limits on processes, open files and memory (ulimit -a) and what uses them up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """Where a supervisor takes its time from."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Child:
    """One supervised child process."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        secret: Secret,
        clock: Time | None = None,
        spawn: Spawn = asyncio.create_subprocess_exec,
    ) -> None:
        self._command = (sys.executable, "-P", "-m", module, *arguments)
        self._name = module
        self._secret = secret
        self._clock = clock or Time()
        self._make = spawn
        self._process: asyncio.subprocess.Process | None = None
        self._last_words = ""
        self._serving = False
        self._readers: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs now, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the child; returns when it serves. Raises `ChildFailedError`."""
        try:
            await self._spawn()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper of {self._name}")

    async def stop(self) -> None:
        """End the child and wait until it is gone; any number of times."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await self._end()

    async def _keep(self) -> None:
        """Start the child again whenever it dies; nothing that goes wrong ends the keeping."""
        pause = limits.EMBEDDED_RESTART_FIRST_S
        while True:
            started = self._clock.monotonic()
            await self._logged(self._see_out())
            if self._clock.monotonic() - started > limits.EMBEDDED_STEADY_S:
                pause = limits.EMBEDDED_RESTART_FIRST_S
            await self._clock.sleep(pause)
            pause = min(2 * pause, limits.EMBEDDED_RESTART_LONGEST_S)
            await self._logged(self._spawn())

    async def _logged(self, step: Awaitable[None]) -> None:
        """Do one step of keeping. A failed one is logged, and the next comes after the pause all the same."""
        try:
            await step
        except ChildFailedError as error:
            _LOG.error("%s", error)
        except Exception as bug:  # noqa: BLE001 - a keeper that ended would leave the mail away for good
            _LOG.error("%s is not kept as it should be: %s", self._name, _place(bug))

    async def _see_out(self) -> None:
        """Wait for the child's end and clear up after it; at once while there is none."""
        if self._process is not None:
            status = await self._process.wait()
            _LOG.warning("%s ended with status %d and will be started again", self._name, status)
            await self._end()

    async def _spawn(self) -> None:
        """Start a process and wait for its first word; one that does not come up is ended."""
        self._last_words, self._serving = "", False
        pipe = asyncio.subprocess.PIPE
        try:
            process = await self._make(
                *self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(os.environ)
            )
        except OSError as error:  # EAGAIN, EMFILE, ENOMEM: the machine is full, and may not be for ever
            reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
            raise NoProcessError(f"{self._name} did not start: {reason}") from None
        self._process = process
        try:
            await self._hear(process)
        except Exception:
            await self._end()
            raise

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        """Give a process its secret and wait until it says that it serves."""
        assert process.stdin is not None  # noqa: S101 - they are pipes, as asked
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self._read(self._log_lines(process.stderr))
        process.stdin.write(self._secret.reveal_bytes() + b"\n")
        try:
            async with asyncio.timeout(limits.EMBEDDED_START_S):
                first = await process.stdout.readline()
        except (TimeoutError, ValueError):  # no line, or a line longer than the reader's buffer
            first = b""
        if first != READY:
            await self._end()  # first, for its last words
            raise self._failure()
        self._serving = True
        self._read(_discard(process.stdout))

    def _failure(self) -> ChildFailedError:
        """Say why the child did not start, in its own last words."""
        words = self._last_words or "it said nothing"
        if words.startswith(_HELD):
            held = words.removeprefix(_HELD)
            return AlreadyServedError(f"another Wicketgate already serves this folder: it has {held}")
        return ChildFailedError(f"{self._name} did not start: {words}")

    def _read(self, reading: Awaitable[None]) -> None:
        task = asyncio.ensure_future(reading)
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _log_lines(self, stream: asyncio.StreamReader) -> None:
        """Log what the child writes; a line longer than the reader's buffer comes in pieces.

        Why it cannot start is said once, by the error that its start ends in.
        """
        while octets := await stream.read(4096):
            for line in octets.decode("utf-8", "backslashreplace").splitlines():
                self._last_words = line.removeprefix("error: ")
                if self._serving or not line.startswith("error: "):
                    _LOG.warning("%s: %s", self._name, line)

    async def _end(self) -> None:
        """Close the pipe, wait, and kill what does not leave."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(limits.EMBEDDED_STOP_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.stdin is not None:
            with suppress(ConnectionError):
                await process.stdin.wait_closed()
        await asyncio.gather(*self._readers)
        self._process = None


class EmbeddedMail:
    """The built-in IMAP server as a child: an upstream on a Unix socket.

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
        self._maildirs = maildirs
        self._clock = clock
        self._spawn = spawn
        self._folder: Path | None = None
        self._child: Child | None = None

    @property
    def socket_path(self) -> Path:
        """Where it listens, from `start` to `stop`; the same after the child was started again."""
        if self._folder is None:
            raise RuntimeError("the embedded mail server has not been started")
        return self._folder / "imap"

    @property
    def pid(self) -> int | None:
        """The child that runs now, None while there is none."""
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Start it; returns when it answers. Raises `ChildFailedError`."""
        self._folder = socket_folder(os.environ)
        where = (str(self._maildirs.absolute()), str(self.socket_path))
        self._child = Child(
            "proxy.embedded.mail", *where, secret=self.secret, clock=self._clock, spawn=self._spawn
        )
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


def socket_folder(environ: Mapping[str, str]) -> Path:
    """Make a fresh folder, mode 0700, whose path is short enough for a socket in it."""
    for parent in (environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        usable = Path(parent).is_absolute() and os.access(parent, os.W_OK | os.X_OK)
        if usable and len(os.fsencode(parent)) + _NAME_OCTETS <= SOCKET_PATH_OCTETS:
            return Path(tempfile.mkdtemp(prefix="wicketgate-", dir=parent))
    raise ChildFailedError("no folder with a short path for a socket: set XDG_RUNTIME_DIR or TMPDIR")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours, with the tree this process was loaded from first on the child's import path."""
    tree = str(Path(proxy.__file__).parent.parent)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (tree, environ.get("PYTHONPATH"))))}


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(4096):
        pass


def _place(bug: Exception) -> str:
    """The type of an exception and where it was raised; its text may hold anything."""
    frames = traceback.extract_tb(bug.__traceback__)
    return type(bug).__name__ + (
        f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    )
