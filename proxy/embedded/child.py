"""One child that serves behind the gate: started, watched, started again, and gone when we are.

Its standard input is a pipe that brings it a secret, if it has one, and by ending tells it to leave, so even
a parent that was killed leaves no orphan. Its first line on standard output says that it serves; after that a
child may ask there, a line at a time, and is answered on its standard input. What it writes to standard error
is logged. One that dies is started again after a pause that grows up to a limit; meanwhile its socket
refuses, which the gate reports as an outage. Nothing here knows what a child serves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import proxy
from auth.fault import fault
from auth.secret import Secret
from proxy import limits
from proxy.embedded.handover import READY

_LOG: Final = logging.getLogger("wicketgate.embedded")
_HELD: Final = "another server has "
"""How a child begins its last words when its folder is locked."""
_LINE_OCTETS: Final = 4_096
"""Of what a child says, read at a time and logged in one piece at most, or twice that."""

Spawn = Callable[..., Awaitable[asyncio.subprocess.Process]]
"""Makes a process; called as `asyncio.create_subprocess_exec` is."""
Answer = Callable[[bytes], Awaitable[bytes]]
"""Answers a child's question: both without their line end. What it raises is logged, and nothing answered."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a child runs."""

    name: str
    """For logs and errors."""
    arguments: tuple[str, ...]
    """Of the interpreter: `-m`, a module and its arguments, or `-c` and a text."""
    secret: Secret | None = None
    answer: Answer | None = None
    """None for a child that asks nothing."""

    @property
    def command(self) -> tuple[str, ...]:
        """The command line; the working folder is no place to import from."""
        return (sys.executable, "-P", *self.arguments)


class Child:
    """One supervised child process."""

    def __init__(
        self,
        program: Program,
        *,
        clock: Time | None = None,
        spawn: Spawn = asyncio.create_subprocess_exec,
    ) -> None:
        self._program = program
        self._name = program.name
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
        except Exception as bug:  # noqa: BLE001 - a keeper that ended would leave the child away for good
            _LOG.error("%s is not kept as it should be: %s", self._name, fault(bug))

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
                *self._program.command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(os.environ)
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
        if self._program.secret is not None:
            process.stdin.write(self._program.secret.reveal_bytes() + b"\n")
        try:
            async with asyncio.timeout(limits.EMBEDDED_START_S):
                first = await process.stdout.readline()
        except (TimeoutError, ValueError):  # no line, or a line longer than the reader's buffer
            first = b""
        if first != READY:
            await self._end()  # first, for its last words
            raise self._failure()
        self._serving = True
        if self._program.answer is None:
            self._read(_discard(process.stdout))
        else:
            self._read(self._converse(process.stdout, process.stdin, self._program.answer))

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
        """Log what the child writes, line by line as it ends them; a very long one comes in pieces."""
        begun = b""
        while octets := await stream.read(_LINE_OCTETS):
            *ended, begun = (begun + octets).split(b"\n")
            if len(begun) > _LINE_OCTETS:
                ended, begun = [*ended, begun], b""
            self._log_each(ended)
        self._log_each([begun])

    def _log_each(self, lines: list[bytes]) -> None:
        """Log lines. Why a child cannot start is said once, by the error that its start ends in."""
        for line in filter(None, (octets.decode("utf-8", "backslashreplace") for octets in lines)):
            self._last_words = line.removeprefix("error: ")
            if self._serving or not line.startswith("error: "):
                _LOG.warning("%s: %s", self._name, line)

    async def _converse(
        self, questions: asyncio.StreamReader, answers: asyncio.StreamWriter, answer: Answer
    ) -> None:
        """Answer the child's questions one by one until it ends; it does not wait for ever for an answer."""
        try:
            while question := await questions.readline():
                try:
                    said = await answer(question.rstrip(b"\n"))
                except Exception as bug:  # noqa: BLE001 - the next question must find somebody here
                    _LOG.error("a question of %s has no answer: %s", self._name, fault(bug))
                    continue
                answers.write(said + b"\n")
                await answers.drain()
        except (ConnectionError, ValueError):  # it has gone, or it babbles
            await _discard(questions)

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


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours, with the tree this process was loaded from first on the child's import path."""
    tree = str(Path(proxy.__file__).parent.parent)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (tree, environ.get("PYTHONPATH"))))}


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(4096):
        pass
