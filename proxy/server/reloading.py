"""Another configuration while serving: read on SIGHUP, taken whole or not at all. No session is dropped.

New connections are served by the new one; those that are there keep what they began with. One that cannot
be read, or not be served (a port that is taken, a certificate that does not fit), leaves everything as it is,
with a line in the log for each thing that is wrong. What holds for the life of the process (store, keys,
folders, cost of hashes) is named, and waits for a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from auth.fault import fault
from config.models import Config
from config.private import PrivateFileError
from config.problems import ConfigErrors
from proxy.limits import RELOAD_GRACE_S
from proxy.log.formats import LogFormat, begin
from proxy.net.tls import CertificateProblem
from proxy.server.errors import ServeError
from proxy.server.fronts import Foundation, certificate_files, front_ends
from proxy.server.listening import Listening
from proxy.server.notifying import READY, notify, reloading

log = logging.getLogger(__name__)

_KEPT: Final = "configuration not changed, the old one goes on: %s"

Reread = Callable[[], Config]
"""Reads the configuration again. Raises ConfigErrors."""


@dataclass(frozen=True, slots=True)
class Rereading:
    """When the configuration is to be read again, and how."""

    asked: asyncio.Event
    reread: Reread | None


@dataclass(slots=True)
class Generation:
    """What was made from one reading of the configuration, to be closed when nobody uses it any more."""

    config: Config
    stack: AsyncExitStack


class Reloader:
    """Waits to be asked, and takes another configuration."""

    def __init__(
        self, base: Foundation, listening: Listening, first: Generation, rereading: Rereading
    ) -> None:
        self._base = base
        self._listening = listening
        self._now = first
        self._reread = rereading.reread
        self._asked = rereading.asked
        self._leaving: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Read it again whenever that is asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            notify(reloading())
            await self.reload()
            notify(READY)

    async def reload(self) -> bool:
        """Take another configuration; False when the old one goes on."""
        if self._reread is None:
            return self._base.certificates.reload()
        try:
            config = self._reread()
            await self._take(config)
        except ConfigErrors as errors:
            for problem in errors.problems:
                log.error(_KEPT, f"{problem}; {problem.hint}")  # noqa: TRY400
            return False
        except (ServeError, PrivateFileError) as error:
            log.error(_KEPT, f"{error}; {error.hint}")  # noqa: TRY400
            return False
        except (CertificateProblem, OSError) as error:
            log.error(_KEPT, error)  # noqa: TRY400
            return False
        except Exception as bug:  # noqa: BLE001 - the server goes on as it is
            log.error("configuration not changed by a fault of ours: %s", fault(bug))  # noqa: TRY400
            return False
        for key in waiting_for_a_restart(self._base.config, config):
            log.warning("configuration: %s changed, and waits for a restart", key)
        log.info("configuration read again; serving %s", self._listening.bound)
        return True

    async def close(self) -> None:
        """Close what was made from every reading."""
        for task in self._leaving:
            task.cancel()
        if self._leaving:
            await asyncio.wait(self._leaving)
        await self._now.stack.aclose()

    async def _take(self, config: Config) -> None:
        stack = AsyncExitStack()
        try:
            contexts = self._base.certificates.made_of(certificate_files(config))
            handlers = await front_ends(config, stack, self._base)
            self._listening.change(config.listen, handlers)
        except BaseException:
            await stack.aclose()
            raise
        self._base.certificates.take(contexts)
        begin(LogFormat(config.log.format), logging.getLevelNamesMapping()[config.log.level.upper()])
        before, self._now = self._now, Generation(config, stack)
        task = asyncio.create_task(_close_later(before.stack))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _close_later(stack: AsyncExitStack) -> None:
    """Close what sign-ins under way still use, when they must have ended."""
    try:
        await asyncio.sleep(RELOAD_GRACE_S)
    finally:
        await stack.aclose()


def waiting_for_a_restart(serving: Config, wanted: Config) -> Iterator[str]:
    """Give the keys that differ and hold for the life of the process."""
    for key, before, after in (
        ("server.data", serving.server.data, wanted.server.data),
        ("store", serving.store, wanted.store),
        ("keys", serving.keys, wanted.keys),
        ("mail", serving.mail is not None, wanted.mail is not None),
        ("policy.hashing", serving.policy.hashing, wanted.policy.hashing),
    ):
        if before != after:
            yield key
