"""A submission session whose client sends messages by BDAT."""

from __future__ import annotations

from proxy.smtp.offer import Extra, Offer
from support.smtp_stage import EXTENSIONS, OK, Addresses, Client, Stage
from support.sockets import Tls

__all__ = ["LIMIT", "QUEUED", "RCPTS", "Addresses", "bdat", "chunk_stage", "open_chunks"]

LIMIT = 1_000_000
RCPTS = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n"
QUEUED = b"250 2.0.0 Ok: queued as 1\r\n"


def bdat(octets: bytes, *, last: bool = False) -> bytes:
    """One chunk with its command."""
    return b"BDAT %d%b\r\n" % (len(octets), b" LAST" if last else b"") + octets


def chunk_stage(tls: Tls | None = None, *, size: int = LIMIT) -> Stage:
    """CHUNKING is offered here, and there."""
    stage = Stage(tls, extensions={**EXTENSIONS, "CHUNKING": ""})
    return stage.set(offer=Offer(size_octets=size, extras=(Extra.CHUNKING,)))


async def open_chunks(client: Client) -> None:
    """Begin a transaction."""
    assert await client.ask(RCPTS, 2) == OK + OK
