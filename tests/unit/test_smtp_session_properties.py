"""Whole sessions of made-up commands, BDAT among them, before a server that refuses at random.

However octets are cut: each command has one reply, the upstream gets nothing but what was understood, every
message it has was sent whole, and what it says of each is what the client hears (hypothesis).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from support.smtp_chunks import bdat, chunk_stage
from support.smtp_stage import Stage

VERBS = {b"MAIL", b"RCPT", b"BDAT", b"RSET", b"NOOP", b"QUIT"}
TEXTS = [
    b"",
    b"x",
    b"\r\n.\r\n",
    b"QUIT\r\n",
    b"MAIL FROM:<ceo@example.com>\r\n",
    b"\0\n\r",
    b"BDAT 9\r\n",
    b"y" * 900,
]
YES, NO, LATER = b"250 2.0.0 Ok\r\n", b"550 5.7.1 no\r\n", b"452 4.3.1 later\r\n"


@dataclass(frozen=True)
class Chunk:
    """One BDAT of the client."""

    octets: bytes
    last: bool

    @property
    def wire(self) -> bytes:
        return bdat(self.octets, last=self.last)


chunks = st.builds(Chunk, st.lists(st.sampled_from(TEXTS), max_size=3).map(b"".join), st.booleans())
lines = st.sampled_from(
    [
        b"MAIL FROM:<a@b.c>\r\n",
        b"RCPT TO:<d@e.f>\r\n",
        b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"HELO x\r\n",
    ]
)
sessions = st.lists(chunks | lines, max_size=25)
answers = st.fixed_dictionaries(
    {
        verb: st.lists(st.sampled_from(said), min_size=1, max_size=8)
        for verb, said in {
            "RCPT": [YES, YES, NO],
            "BDAT": [YES, YES, YES, LATER],
            ".": [b"250 2.0.0 queued\r\n", b"550 5.7.1 spam\r\n"],
        }.items()
    }
)
cuts = st.lists(st.integers(1, 300), max_size=20)


async def play(stage: Stage, said: bytes, cuts: list[int]) -> bytes:
    """Send in pieces, say goodbye, and give all that is said."""
    async with stage.session() as client:
        for cut in [*cuts, len(said) or 1]:
            await client.send(said[:cut])
            said = said[cut:]
            await asyncio.sleep(0)
        await client.send(b"QUIT\r\n")
        return await client.rest()


def messages_in(steps: list[Chunk | bytes]) -> set[bytes]:
    """Every run of chunks that a last one ends: what may be a message. MAIL ends none."""
    whole, runs = set(), [b""]
    for step in steps:
        if isinstance(step, Chunk):
            runs = [*(run + step.octets for run in runs), b""]
            whole |= set(runs[:-1]) if step.last else set()
        if step.last if isinstance(step, Chunk) else step.startswith((b"RSET", b"HELO")):
            runs = [b""]
    return whole


@given(sessions, answers, cuts)
def test_every_session_keeps_count(steps, answers, cuts):
    stage = chunk_stage()
    stage.sink_options["answers"] = answers
    said = b"".join(step.wire if isinstance(step, Chunk) else step for step in steps)
    replies = asyncio.run(play(stage, said, cuts)).splitlines()
    if replies[-1].startswith(b"421"):
        assert replies[-1] == b"421 4.7.0 too many bad commands"
    else:
        sent = sum(1 if isinstance(step, Chunk) else step.count(b"\n") for step in steps)
        assert len(replies) == sent + 1
        assert replies[-1] == b"221 2.0.0 bye"
    assert {line.split()[0] for line in stage.sink.commands} <= VERBS
    offered = Counter(step.wire.partition(b"\r\n")[0] for step in steps if isinstance(step, Chunk))
    assert Counter(line for line in stage.sink.commands if line.startswith(b"BDAT")) <= offered
    assert len([line for line in replies if line.endswith((b"queued", b"spam"))]) == len(stage.sink.messages)
    assert set(stage.sink.messages) <= messages_in(steps)
