"""Chunks of made-up octets, cut anywhere: the upstream counts as we do, whatever they hold (hypothesis)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from support.smtp_chunks import RCPTS, bdat, chunk_stage
from support.smtp_stage import Stage

# octets that look like commands and ends of data more often than chance would have it
octets = st.lists(
    st.sampled_from(
        [
            b"\r\n.\r\n",
            b"\n.\n",
            b"BDAT 3 LAST\r\n",
            b"BDAT 0\r\n",
            b"QUIT\r\n",
            b"RSET\r\n",
            b"\0",
            b"\r",
            b"\n",
        ]
    )
    | st.sampled_from([b"MAIL FROM:<ceo@example.com>\r\nRCPT TO:<x@y.z>\r\nDATA\r\n", b"x" * 700])
    | st.binary(max_size=5),
    max_size=6,
).map(b"".join)
messages = st.lists(st.lists(octets, min_size=1, max_size=4), min_size=1, max_size=3)
cuts = st.lists(st.integers(1, 400), max_size=30)


@dataclass(frozen=True)
class Dialog:
    """Messages in chunks, one behind the other without a wait, and how the octets are cut."""

    messages: list[list[bytes]]
    cuts: list[int]

    @property
    def said(self) -> bytes:
        return b"".join(
            RCPTS + b"".join(map(bdat, chunks[:-1])) + bdat(chunks[-1], last=True) for chunks in self.messages
        )


async def play(stage: Stage, said: bytes, cuts: list[int]) -> bytes:
    """Send in pieces, then leave; give all that is said."""
    async with stage.session() as client:
        for cut in [*cuts, len(said) or 1]:
            await client.send(said[:cut])
            said = said[cut:]
            await asyncio.sleep(0)
        await client.send(b"QUIT\r\n")
        return await client.rest()


@given(st.builds(Dialog, messages, cuts))
def test_what_the_upstream_has_is_what_the_client_sent(dialog):
    stage = chunk_stage()
    said = asyncio.run(play(stage, dialog.said, dialog.cuts))
    assert stage.sink.messages == [b"".join(chunks) for chunks in dialog.messages]
    assert said.splitlines()[-1] == b"221 2.0.0 bye"
    assert len(said.splitlines()) == sum(2 + len(chunks) for chunks in dialog.messages) + 1
    assert all(line.startswith((b"250", b"221")) for line in said.splitlines())
    verbs = [line.split()[0] for line in stage.sink.commands]
    due = [[b"MAIL", b"RCPT", *[b"BDAT"] * len(chunks)] for chunks in dialog.messages]
    assert verbs == [*chain.from_iterable(due), b"QUIT"]


@given(st.lists(octets, min_size=1, max_size=5), cuts)
def test_nothing_of_a_chunk_that_goes_nowhere_is_a_command(chunks, cuts):
    stage = chunk_stage()
    said = asyncio.run(play(stage, b"".join(bdat(each) for each in chunks), cuts))
    assert said == b"503 5.5.1 MAIL first\r\n" * len(chunks) + b"221 2.0.0 bye\r\n"
    assert stage.sink.commands == [b"QUIT"]


@given(octets, octets, octets, cuts)
def test_behind_a_refused_chunk_the_count_is_kept(refused, behind, last, cuts):
    stage = chunk_stage()
    stage.sink_options["answers"] = {"BDAT": [b"452 4.3.1 disk full\r\n"]}
    said = RCPTS + bdat(refused) + bdat(behind) + bdat(last, last=True) + RCPTS + bdat(b"good", last=True)
    asyncio.run(play(stage, said, cuts))
    assert stage.sink.messages == [b"good"]
    verbs = [line.split()[0] for line in stage.sink.commands]
    assert verbs == [b"MAIL", b"RCPT", b"BDAT", b"RSET", b"MAIL", b"RCPT", b"BDAT", b"QUIT"]
