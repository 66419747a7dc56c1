"""A raw SMTP server at the far end of a connection: it counts whole messages, and can fail at any point.

With `careless` it reads as the most careless server there is: any CR or LF ends a line, NUL is dropped, and a
dot alone on such a line ends a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes

from proxy.net.connection import Connection, ConnectionLost
from support.sockets import reset

_STRICT = re.compile(rb"(?:\A|\r\n)\.\r\n")
_CARELESS = re.compile(rb"(?:\A|[\r\n])\.\0*(?:\r\n|[\r\n])")

CLOSE = "close"
"""Instead of a reply: the connection is closed."""
RESET = "reset"
"""Instead of a reply: the connection is reset."""


@dataclass
class Sink:
    """One connection's server. A verb's answers are given in their order, the last one for ever."""

    connection: Connection
    answers: dict[str, list[bytes | str | asyncio.Event]] = field(default_factory=dict)
    """`MAIL`, `RCPT`, `DATA`, … and `.` for the end of a message, of the last chunk too; an Event holds."""
    careless: bool = False
    at_octet: int | None = None
    """Of a message: there it says `early`, instead of reading on."""
    early: bytes | str = CLOSE
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared it reads nothing of a message."""
    commands: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    """As they came, between 354 and the final dot."""
    partial: bytes = b""
    """Of the last message: what had come when the connection ended before its dot."""
    in_message: asyncio.Event = field(default_factory=asyncio.Event)
    dotted: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    chunks: list[bytes] = field(default_factory=list)
    """Of the message that comes by BDAT."""
    _input: bytes = b""

    def __post_init__(self) -> None:
        self.reads.set()

    @property
    def delivered(self) -> Counter[str]:
        """How often each Message-Id came whole."""
        return Counter(message_from_bytes(message)["message-id"] for message in self.messages)

    async def serve(self) -> None:
        """Answer until the gate ends the connection, or until it is told to."""
        try:
            with contextlib.suppress(ConnectionLost):
                while line := await self._until(re.compile(rb"\r\n")):
                    self.commands.append(line[:-2])
                    await self._obey(line[:4].decode("ascii", "replace").upper())
        finally:
            self.connection.abort()
            self.ended.set()

    async def _obey(self, verb: str) -> None:
        if verb == "BDAT":
            await self._chunk(*self.commands[-1].split()[1:])
            return
        if verb == "RSET":
            self.chunks.clear()
        default = {"DATA": b"354 go on\r\n", "QUIT": b"221 2.0.0 bye\r\n", "VRFY": b"252 2.0.0 perhaps\r\n"}
        said = await self._answer(verb, default.get(verb, b"250 2.0.0 Ok\r\n"))
        if verb == "DATA" and said.startswith(b"354"):
            await self._message()

    async def _answer(self, verb: str, default: bytes) -> bytes:
        given = self.answers.get(verb, [])
        while given and isinstance(given[0], asyncio.Event):
            await given[0].wait()
            given.pop(0)
        return await self._say((given.pop(0) if len(given) > 1 else given[0]) if given else default)

    async def _say(self, said: bytes | str) -> bytes:
        if isinstance(said, bytes):
            await self.connection.send(said)
            return said
        if said == RESET:
            sock = self.connection.channel.sock.dup()
            self.connection.abort()
            reset(sock)
        else:
            await self.connection.close()
        raise ConnectionLost(said)

    async def _message(self) -> None:
        self.in_message.set()
        await self.reads.wait()
        if self.at_octet is not None:
            while len(self._input) < self.at_octet:
                self._input += await self._more()
            self.partial = self._input
            await self._say(self.early)
        text = await self._until(_CARELESS if self.careless else _STRICT)
        if not text:
            return
        self.messages.append(text if self.careless else text.removesuffix(b".\r\n"))
        self.dotted.set()
        await self._answer(".", b"250 2.0.0 Ok: queued as %d\r\n" % len(self.messages))

    async def _chunk(self, octets: bytes, last: bytes = b"") -> None:
        """Take as many octets as it is told, whatever they are (RFC 3030 §2)."""
        self.in_message.set()
        await self.reads.wait()
        due = int(octets)
        while len(self._input) < due:
            if self.at_octet is not None and len(self._input) >= self.at_octet:
                self.partial, self.at_octet = self._input, None
                await self._say(self.early)
            data = await self._more()
            if not data:
                self.partial = b"".join(self.chunks) + self._input
                raise ConnectionLost("within a chunk")
            self._input += data
        self.chunks.append(self._input[:due])
        self._input = self._input[due:]
        if not last:
            await self._answer("BDAT", b"250 2.0.0 Ok: %d octets\r\n" % due)
            return
        self.messages.append(b"".join(self.chunks))
        self.chunks.clear()
        self.dotted.set()
        await self._answer(".", b"250 2.0.0 Ok: queued as %d\r\n" % len(self.messages))

    async def _until(self, end: re.Pattern[bytes]) -> bytes:
        while (found := end.search(self._input)) is None:
            try:
                data = await self._more()
            except ConnectionLost:
                data = b""
            if not data:
                self.partial = self._input
                return b""
            self._input += data
        got, self._input = self._input[: found.end()], self._input[found.end() :]
        return got

    async def _more(self) -> bytes:
        return await self.connection.receive()
