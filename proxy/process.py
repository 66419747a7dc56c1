"""The process around a server: its loop, its log, its limits, and the one way it stops.

A server stops because it was told to (SIGINT, SIGTERM) or because a part of it ended that must not end: that
is a fault of ours, and `Stop` remembers it, so that the process can say so with its exit status and whoever
supervises it starts it again. Nothing here knows what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from auth.fault import fault
from proxy.limits import DESCRIPTORS
from proxy.log.formats import LogFormat, begin

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

log = logging.getLogger(__name__)


def run(
    main: Coroutine[Any, Any, None], *, form: LogFormat = LogFormat.LOGFMT, level: int = logging.INFO
) -> None:
    """Run a server's coroutine to its end, on uvloop where there is one; the log goes to standard error."""
    begin(form, level)
    sys.unraisablehook = log_ignored
    allow_descriptors(DESCRIPTORS)
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        runner.run(main)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - a platform without it does as well
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def log_ignored(ignored: UnraisableHookArgs) -> None:
    """Give one line to an exception that Python can only ignore, such as a server name no one can decode.

    By default each is a traceback on standard error, and strangers can cause them.
    """
    kind = "exception" if ignored.exc_type is None else ignored.exc_type.__name__
    log.warning("ignored: %s", kind if ignored.exc_value is None else fault(ignored.exc_value))


def keep_to_itself() -> None:
    """Let what the process makes be its user's alone, and let no core file hold its keys."""
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def allow_descriptors(wanted: int) -> int:
    """Raise the soft limit of open files as far as the hard one allows; give the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Stop:
    """Whether the server is to stop, and whether that is a fault of ours."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.fault: str | None = None
        """Which part ended by itself, and of what; None when the server was told to stop."""

    @classmethod
    def on_signals(cls, stack: AsyncExitStack) -> Self:
        """Stop on SIGINT and SIGTERM, for as long as the stack stands."""
        stop = cls()
        for number in (signal.SIGINT, signal.SIGTERM):
            on_signal(stack, number, stop.ask)
        return stop

    def ask(self) -> None:
        """Let it stop."""
        self._asked.set()

    async def wait(self) -> None:
        """Return when it is to stop."""
        await self._asked.wait()

    def run_beside(self, stack: AsyncExitStack, part: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until the stack is taken down; if it ends before, the server stops."""
        task = asyncio.create_task(work, name=part)

        def ended(done: asyncio.Task[None]) -> None:
            bug = None if done.cancelled() else done.exception()
            self.fault = part if bug is None else f"{part}: {fault(bug)}"
            log.critical("a part of the server ended: %s", self.fault)
            self.ask()

        async def end() -> None:
            task.remove_done_callback(ended)
            task.cancel()
            await asyncio.wait([task])

        task.add_done_callback(ended)
        stack.push_async_callback(end)


def on_signal(stack: AsyncExitStack, number: signal.Signals, do: Callable[[], object]) -> None:
    """Call `do` on the loop at each signal of this kind, for as long as the stack stands."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, do)
    stack.callback(loop.remove_signal_handler, number)
