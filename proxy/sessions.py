"""Who is signing in or signed in, by app password, so that a revocation ends it at once.

An `Attempt` is entered under its app password before the row that authorises it is read, and stays entered
while it is a session: between a revocation's commit and the cut there is no moment in which a use is unknown
here. A cut marks and calls back; it waits for nothing and never fails. When the server stops, what is under
way (a message that is being taken) is spared until it is done; a cut spares nothing. One registry per worker,
on one loop; nothing here knows protocols, sockets or the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, NamedTuple, Self

from auth.ports import Vouched
from scopes.model import Service

_log: Final = logging.getLogger(__name__)


class Live(NamedTuple):
    """What a person knows a session by. A tuple, because one is kept with every session there is."""

    service: Service
    client_name: str
    """What the client calls itself; empty when it did not say. Never to be trusted."""
    address: str
    """The client's; empty on a Unix socket."""
    since: float
    """Seconds since 1970-01-01 UTC."""


class Attempt:
    """One try to sign in, and the session it becomes. A context manager: leaving it forgets it."""

    __slots__ = ("_cut", "_index", "_live", "_on_cut", "_under_way", "vouched")

    def __init__(self, index: Index, on_cut: Callable[[], None]) -> None:
        """Made by `Registry.attempt`."""
        self._index = index
        self._on_cut = on_cut
        self._cut = False
        self._live: Live | None = None
        self._under_way = False
        self.vouched: Vouched | None = None
        """The gate's note (`auth.ports.Attempt`)."""

    def __enter__(self) -> Self:
        self._index.add(self)
        if self._index.stopping:
            self.end()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._index.remove(self)
        self._index.quieter.set()

    @property
    def cut(self) -> bool:
        """Whether it must end: nothing may be granted once this is true."""
        return self._cut

    @property
    def is_session(self) -> bool:
        """Whether the sign-in is done."""
        return self._live is not None

    @property
    def live(self) -> Live | None:
        """What the session is known by; None before it is one."""
        return self._live

    @property
    def under_way(self) -> bool:
        """Whether something is being done that a stop of the server waits for."""
        return self._under_way

    @under_way.setter
    def under_way(self, value: bool) -> None:
        self._under_way = value
        if not value:
            self._index.quieter.set()
            if self._index.stopping:
                self.end()

    @property
    def stopping(self) -> bool:
        """Whether the server stops: the reason of a cut, or of one that is to come."""
        return self._index.stopping

    def enter(self, app_password_id: str) -> None:
        """Be found under this app password from now on. A later call moves it there."""
        self._index.move(self, app_password_id)

    def leave(self) -> None:
        """Be found under no app password any more: who only guesses is none of its sessions."""
        self._index.move(self, None)

    def become_session(self, live: Live) -> None:
        """Count as a session from now on; done with the last check of the grant."""
        self._live = live

    def end(self) -> bool:
        """Mark as cut and call back, once; False when it was cut before."""
        if self._cut:
            return False
        self._cut = True
        try:
            self._on_cut()
        except Exception as bug:  # noqa: BLE001 - the next one must be cut all the same
            _log.error("a session could not be ended: %s", type(bug).__name__)
        return True


class Index:
    """What a registry and its attempts share: every attempt, and those entered, by app password."""

    def __init__(self) -> None:
        self.stopping = False
        self.quieter = asyncio.Event()
        """Set when something under way was done."""
        self._entered: dict[Attempt, str | None] = {}
        self._by_id: dict[str, dict[Attempt, None]] = {}
        self.strangers: dict[object, Callable[[], object]] = {}

    def all(self) -> list[Attempt]:
        """Every attempt, the oldest first."""
        return list(self._entered)

    def under(self, app_password_id: str) -> list[Attempt]:
        """Those entered under one app password."""
        return list(self._by_id.get(app_password_id, ()))

    def add(self, attempt: Attempt) -> None:
        """Know it, under no app password yet."""
        self._entered[attempt] = None

    def move(self, attempt: Attempt, app_password_id: str | None) -> None:
        """Know it under this app password and no other. KeyError when it is not known."""
        self._leave(attempt, self._entered[attempt])
        self._entered[attempt] = app_password_id
        if app_password_id is not None:
            self._by_id.setdefault(app_password_id, {})[attempt] = None

    def remove(self, attempt: Attempt) -> None:
        """Forget it."""
        self._leave(attempt, self._entered.pop(attempt))

    def _leave(self, attempt: Attempt, app_password_id: str | None) -> None:
        if app_password_id is None:
            return
        group = self._by_id[app_password_id]
        del group[attempt]
        if not group:
            del self._by_id[app_password_id]


class Registry:
    """All attempts and sessions of one worker."""

    def __init__(self) -> None:
        self._index = Index()

    def attempt(self, on_cut: Callable[[], None]) -> Attempt:
        """A new attempt, to be used with `with`. `on_cut` ends it without waiting, as an abort does."""
        return Attempt(self._index, on_cut)

    @contextmanager
    def stranger(self, on_stop: Callable[[], object]) -> Iterator[None]:
        """Know somebody who has not signed in, to whom a stop is told by `on_stop`; no cut concerns it."""
        known = object()
        self._index.strangers[known] = on_stop
        if self._index.stopping:
            on_stop()
        try:
            yield
        finally:
            del self._index.strangers[known]

    @property
    def count(self) -> int:
        """Attempts and sessions, those being cut included."""
        return len(self._index.all())

    @property
    def sessions(self) -> int:
        """How many of them are sessions."""
        return sum(attempt.is_session for attempt in self._index.all())

    def live(self, app_password_id: str) -> list[Live]:
        """Give the sessions of an app password that are not being cut, the oldest first."""
        known = [each.live for each in self._index.under(app_password_id) if not each.cut]
        return sorted((each for each in known if each is not None), key=lambda each: each.since)

    def cut(self, app_password_ids: Iterable[str]) -> int:
        """End every attempt and session of these app passwords; how many were ended by this call."""
        return sum(attempt.end() for each in set(app_password_ids) for attempt in self._index.under(each))

    def cut_all(self) -> int:
        """End every attempt and session, those not yet entered under an app password too; how many."""
        return sum(attempt.end() for attempt in self._index.all())

    @property
    def under_way(self) -> int:
        """How many are doing something that a stop waits for."""
        return sum(attempt.under_way for attempt in self._index.all())

    def stop(self) -> int:
        """End what is not under way, and what is as soon as it is done; how many were ended by this call.

        Strangers are told, and counted nowhere.
        """
        self._index.stopping = True
        for leave in list(self._index.strangers.values()):
            leave()
        return sum(attempt.end() for attempt in self._index.all() if not attempt.under_way)

    async def settled(self, within_s: float) -> bool:
        """Wait until nothing is under way; False when something still is after that time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.under_way:
                    self._index.quieter.clear()
                    await self._index.quieter.wait()
        return not self.under_way
