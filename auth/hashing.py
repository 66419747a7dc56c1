"""argon2id (RFC 9106) in two bounded lanes of threads.

App passwords carry 79 random bits, so one cheap pass is enough and thousands of apps that return after a
restart are let in within seconds. Primary passwords are chosen by people and pay the full price. Primary
passwords never take the last slot, and a waiting app goes first: guesses at primary passwords cannot starve
apps. Each lane's queue has an end and a deadline; beyond either the answer is `Busy`, which is an outage and
never a wrong password. Whoever is cancelled while waiting frees the place at once; a hash that already runs
keeps its slot until its thread is done, so there are never more hashes at a time than slots.

What is hashed is a digest, made with the key ring's pepper; this module sees no password.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import error_to_str

from auth.handover import handed_over

T = TypeVar("T")

HASH_OCTETS: Final = 32
SALT_OCTETS: Final = 16
"""RFC 9106 §3.1 recommends 16."""
LEAST_SLOTS: Final = 2
"""One for each lane."""
PRIMARY_AT_A_TIME: Final = 8
"""However many processors there are: half a gigabyte of memory at full price."""
_SHORTAGES: Final = frozenset(error_to_str(code) for code in (-22, -33))
"""What argon2 says when it gets no memory or no thread (argon2.h); all else that fails is damage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The price of one hash; parallelism is always 1."""

    memory_kib: int
    passes: int


APP_COST: Final = Cost(memory_kib=4 * 1024, passes=1)
"""About 4 ms: stretching adds nothing to 79 random bits."""
PRIMARY_COST: Final = Cost(memory_kib=64 * 1024, passes=3)
"""RFC 9106 §4, second recommended option, with one lane: about 0.3 s."""


class Busy(Exception):  # noqa: N818 - it names a state
    """The queue is full, the deadline has passed or memory is short: try again later."""


class CorruptHash(Exception):  # noqa: N818 - it names a state
    """What is stored is no argon2 hash. The stored text is not repeated."""


class Lane(StrEnum):
    """Which queue a hash waits in."""

    APP = "app"
    PRIMARY = "primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How many may wait in one lane, and for how long (seconds)."""

    most: int
    deadline_s: float


APP_QUEUE: Final = Queue(most=2_048, deadline_s=8.0)
"""Two cores serve this many in about five seconds; clients give up after ten or more."""
PRIMARY_QUEUE: Final = Queue(most=32, deadline_s=10.0)
"""One slot serves about thirty in ten seconds."""


def processors() -> int:
    """Give how many processors this process may use, which a container may make fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Lanes:
    """Run blocking work in threads: at most `slots` at a time.

    `Lane.PRIMARY` leaves one free, and takes `PRIMARY_AT_A_TIME` at most.
    """

    def __init__(self, slots: int, queues: Mapping[Lane, Queue]) -> None:
        self._slots = max(LEAST_SLOTS, slots)
        self.primary_most = min(self._slots - 1, PRIMARY_AT_A_TIME)
        self._queues = queues
        self._running: Counter[Lane] = Counter()
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._threads = ThreadPoolExecutor(self._slots, thread_name_prefix="hash")
        self._closed = False

    async def run(self, lane: Lane, work: Callable[[], T]) -> T:
        """Wait for a slot, run `work` in a thread and give its result. Raises Busy."""
        if not self._may_run(lane):
            await self._wait(lane)
        elif self._closed:
            raise Busy("closed")
        else:
            self._running[lane] += 1
        try:
            running = self._threads.submit(work)
        except RuntimeError:
            self._release(lane)
            raise Busy("closed") from None
        loop = asyncio.get_running_loop()
        running.add_done_callback(lambda _: self._done(loop, lane))
        return await asyncio.wrap_future(running)

    def waiting(self, lane: Lane) -> int:
        """How many wait in `lane` now."""
        return len(self._waiting[lane])

    def close(self) -> None:
        """Refuse all who wait and come, and wait for the threads at work."""
        self._closed = True
        for queue in self._waiting.values():
            while queue:
                place = queue.popleft()
                if not place.done():
                    place.set_exception(Busy("closed"))
        self._threads.shutdown(wait=True)

    def _may_run(self, lane: Lane) -> bool:
        if self._running.total() >= self._slots:
            return False
        return lane is Lane.APP or self._running[Lane.PRIMARY] < self.primary_most

    async def _wait(self, lane: Lane) -> None:
        """Queue up until `_release` hands a slot over (already counted as running). Raises Busy."""
        queue, bounds = self._waiting[lane], self._queues[lane]
        if self._closed or len(queue) >= bounds.most:
            raise Busy("queue full")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(place)

        def leave() -> None:
            with contextlib.suppress(ValueError):  # refused meanwhile
                queue.remove(place)

        try:
            await handed_over(place, bounds.deadline_s, give_back=lambda: self._release(lane), leave=leave)
        except TimeoutError:
            raise Busy("deadline passed") from None

    def _done(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        """Called in the worker's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(self._release, lane)

    def _release(self, lane: Lane) -> None:
        """Give a slot back and hand free slots to those who wait, apps first."""
        self._running[lane] -= 1
        for waiting in (Lane.APP, Lane.PRIMARY):
            queue = self._waiting[waiting]
            while queue and self._may_run(waiting):
                place = queue.popleft()
                if not place.done():
                    self._running[waiting] += 1
                    place.set_result(None)


class Hasher:
    """Hash and verify digests; `calls` counts argon2 runs by lane ("app", "primary")."""

    def __init__(
        self,
        *,
        app: Cost = APP_COST,
        primary: Cost = PRIMARY_COST,
        slots: int | None = None,
        queues: Mapping[Lane, Queue] | None = None,
    ) -> None:
        """`slots` is the number of hashes at a time; by default one for each processor, at least two."""
        self._hashers = {Lane.APP: _argon2(app), Lane.PRIMARY: _argon2(primary)}
        self._lanes = Lanes(
            slots or processors(),
            queues or {Lane.APP: APP_QUEUE, Lane.PRIMARY: PRIMARY_QUEUE},
        )
        self.calls: Counter[str] = Counter()

    async def hash_app(self, digest: bytes) -> str:
        """Hash the peppered digest of an app password. Raises Busy."""
        return await self._hash(Lane.APP, digest)

    async def verify_app(self, stored: str, digest: bytes) -> bool:
        """Tell whether `digest` is the one `stored` was made from. Raises Busy, CorruptHash."""
        return await self._verify(Lane.APP, stored, digest)

    async def dummy_app(self) -> None:
        """Cost what `verify_app` costs, where there is nothing to verify. Raises Busy."""
        await self._verify(Lane.APP, _dummy(self._hashers[Lane.APP]), b"")

    def app_needs_rehash(self, stored: str) -> bool:
        """Tell whether `stored` was made at another cost than today's."""
        return self._needs_rehash(Lane.APP, stored)

    async def hash_primary(self, digest: bytes) -> str:
        """Hash the peppered digest of a primary password. Raises Busy."""
        return await self._hash(Lane.PRIMARY, digest)

    async def verify_primary(self, stored: str, digest: bytes) -> bool:
        """Tell whether `digest` is the one `stored` was made from. Raises Busy, CorruptHash."""
        return await self._verify(Lane.PRIMARY, stored, digest)

    async def dummy_primary(self) -> None:
        """Cost what `verify_primary` costs, where there is nothing to verify. Raises Busy."""
        await self._verify(Lane.PRIMARY, _dummy(self._hashers[Lane.PRIMARY]), b"")

    @property
    def primary_at_a_time(self) -> int:
        """How many primary passwords are hashed at a time, at most."""
        return self._lanes.primary_most

    def primary_needs_rehash(self, stored: str) -> bool:
        """Tell whether `stored` was made at another cost than today's."""
        return self._needs_rehash(Lane.PRIMARY, stored)

    def close(self) -> None:
        """Refuse all who wait and come, and wait for the threads at work."""
        self._lanes.close()

    def _needs_rehash(self, lane: Lane, stored: str) -> bool:
        try:
            return self._hashers[lane].check_needs_rehash(stored)
        except InvalidHashError:
            raise CorruptHash from None

    async def _hash(self, lane: Lane, digest: bytes) -> str:
        def work() -> str:
            self.calls[lane] += 1
            return self._hashers[lane].hash(digest)

        try:
            return await self._lanes.run(lane, work)
        except HashingError:  # argon2 could not get its memory
            raise Busy("argon2 failed") from None

    async def _verify(self, lane: Lane, stored: str, digest: bytes) -> bool:
        def work() -> bool:
            self.calls[lane] += 1
            return self._hashers[lane].verify(stored, digest)

        self._needs_rehash(lane, stored)  # raises CorruptHash for what has not even the shape
        try:
            return await self._lanes.run(lane, work)
        except VerifyMismatchError:
            return False
        except VerificationError as failure:
            if str(failure) in _SHORTAGES:
                raise Busy("argon2 failed") from None
        raise CorruptHash  # a salt or a parameter it cannot have


def _argon2(cost: Cost) -> PasswordHasher:
    return PasswordHasher(
        time_cost=cost.passes,
        memory_cost=cost.memory_kib,
        parallelism=1,
        hash_len=HASH_OCTETS,
        salt_len=SALT_OCTETS,
        type=Type.ID,
    )


def _dummy(hasher: PasswordHasher) -> str:
    """A hash of today's cost that nothing matches, put together without running argon2."""
    salt, hashed = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (SALT_OCTETS, HASH_OCTETS))
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p=1${salt}${hashed}"
