"""What the upstream says of a message: too early, or when its last octets have gone out.

Up to the end of a message the upstream keeps silent; what it says before is about the whole, and nothing more
may be sent. So the end, which is the final dot or the last octet of the last chunk, goes out alone, after all
else and only into that silence. Up to that moment closing the upstream leaves nothing behind there. From then
on only the upstream knows, so its word is awaited even when the client has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from proxy.smtp.ends import FAILED, UpstreamLost
from proxy.smtp.reply import Reply
from proxy.smtp.sides import ClientSide, Times, UpstreamSide

_LAST_WORDS_S: Final = 1.0
"""For what an upstream said before it broke the connection off."""


class SpokeEarly(Exception):  # noqa: N818 - a fact about the upstream
    """The upstream answered before the message was whole."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("spoke before the message was whole")
        self.reply = reply

    @property
    def words(self) -> bytes:
        """What the client is told: a refusal counts, and nothing else does."""
        return self.reply.wire if self.reply.negative else FAILED


class LastWord:
    """The upstream's word about one message."""

    def __init__(self, client: ClientSide, upstream: UpstreamSide, times: Times) -> None:
        self._client = client
        self._upstream = upstream
        self._times = times
        self._limit: asyncio.Timeout | None = None  # while the end is not answered

    def hurry(self) -> bool:
        """Wait a short time only from now on; False when the end has not gone out."""
        if self._limit is None:
            return False
        soon = asyncio.get_running_loop().time() + self._times.data_end_gone
        when = self._limit.when()
        if when is None or soon < when:
            self._limit.reschedule(soon)
        return True

    async def before_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` while the upstream keeps silent. Raises SpokeEarly and what `work` raises."""
        task = asyncio.ensure_future(work)
        ear = asyncio.ensure_future(self._upstream.hear())
        try:
            await asyncio.wait({task, ear}, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and isinstance(task.exception(), UpstreamLost):
                await asyncio.wait({ear}, timeout=_LAST_WORDS_S)
            if ear.done():
                raise SpokeEarly(ear.result())
            task.result()
        finally:
            await _forget(task, ear)

    async def check_silence(self) -> None:
        """Raise SpokeEarly when the upstream has begun to speak."""
        if not self._upstream.silent:
            raise SpokeEarly(await self._upstream.reply(self._times.data_end_gone))

    async def behind(self, end: bytes) -> Reply:
        """Send the end of a message, and give the upstream's reply to all of it. Raises UpstreamLost."""
        await self.check_silence()
        try:
            async with asyncio.timeout(self._times.data_end) as limit:
                await self._upstream.say(end)
                self._limit = limit  # till the kernel has all of it, nothing is delivered
                reply = await self._reply()
        except TimeoutError:
            raise UpstreamLost("did not answer the end of a message in time") from None
        finally:
            self._limit = None
        if not (reply.positive or reply.negative):
            raise UpstreamLost("answered the end of a message with what is no outcome")
        return reply

    async def _reply(self) -> Reply:
        """Wait for the reply; a client that vanishes shortens the wait, and no more."""
        answer = asyncio.ensure_future(self._upstream.reply(None))
        watch = asyncio.ensure_future(self._client.hold())
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self.hurry()
            return await answer
        finally:
            await _forget(answer, watch)


async def _forget(*tasks: asyncio.Future[Any]) -> None:
    """End what is still done; heard or not, it is no news any more."""
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)
    for each in tasks:
        if not each.cancelled():
            each.exception()
