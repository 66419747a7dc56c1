"""False ends of data: whatever a client sends, the server behind sees one message, or none, and no command.

That server is the most careless there is. The client pipelines a second message behind each false end, as an
attacker would, and every dialog is cut in two at every octet of the end.
"""

from __future__ import annotations

import asyncio

import pytest

from proxy.smtp.data import BareNewlines
from proxy.smtp.sides import Times
from support.smtp_stage import CLOSING, GO_ON, OK, OPEN, Stage
from support.sockets import on_both_loops

BEGIN = b"From: alice@example.org\r\nMessage-Id: <1>\r\n\r\nhello"
SMUGGLED = b"MAIL FROM:<ceo@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nMessage-Id: <2>\r\n\r\nhi"
TRUE_END = b"\r\n.\r\n"
FALSE_ENDS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CR.LF": b"\r.\n",
    "LF.CR": b"\n.\r",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "LFCR.LFCR": b"\n\r.\n\r",
    "LFLF.LFLF": b"\n\n.\n\n",
    "CRLF NUL.CRLF": b"\r\n\0.\r\n",
    "CRLF.NUL CRLF": b"\r\n.\0\r\n",
    "CR NUL LF.CRLF": b"\r\0\n.\r\n",
}
NAMED = {b"\r": b"bare CR", b"\n": b"bare LF", b"\0": b"NUL"}


def stray(octets: bytes) -> bytes:
    """What is wrong first, told octet by octet."""
    for at, octet in enumerate(octets):
        each = bytes([octet])
        if each == b"\0" or (each == b"\r" and octets[at + 1 : at + 2] != b"\n"):
            return NAMED[each]
        if each == b"\n" and (at == 0 or octets[at - 1 : at] != b"\r"):
            return NAMED[each]
    raise AssertionError("nothing is wrong")


async def smuggle(pieces: tuple[bytes, ...]) -> tuple[bytes, Stage]:
    """Send a message in pieces behind its DATA; give all that is said, and the stage."""
    stage = Stage()
    stage.sink_options["careless"] = True
    async with stage.session() as client:
        await client.open_data()
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0)
        return await client.rest(), stage


@pytest.mark.parametrize("name", FALSE_ENDS)
def test_a_false_end_is_no_end_wherever_it_is_cut(name):
    false = FALSE_ENDS[name]

    async def every_cut():
        for at in range(len(false) + 1):
            pieces = (BEGIN + false[:at], false[at:] + SMUGGLED + TRUE_END + b"QUIT\r\n")
            said, stage = await smuggle(pieces)
            words = b"554 5.6.0 %b in the message: lines end with CRLF, and NUL is not allowed\r\n"
            assert said == words % stray(false + b"M") + CLOSING
            assert stage.sink.messages == []
            assert b"ceo" not in b" ".join(stage.sink.commands)
            assert b"\n." not in stage.sink.partial

    asyncio.run(every_cut())


@pytest.mark.parametrize("name", ["LF.LF", "CRLF.CR", "CRLF.NUL CRLF"])
@on_both_loops
async def test_a_message_of_nothing_but_a_false_end(name):
    said, stage = await smuggle((FALSE_ENDS[name] + SMUGGLED + TRUE_END,))
    assert said.startswith(b"554 5.6.0 ")
    assert stage.sink.messages == []


@pytest.mark.parametrize("text", [b"\r\n..\r\n", b"\r\n.x\r\n", b"\r\n. \r\n", b"\r\n...\r\n.\t.\r\n"])
@on_both_loops
async def test_a_line_that_begins_with_a_dot_is_a_line(text):
    stage = Stage()
    stage.sink_options["careless"] = True
    async with stage.session() as client:
        await client.open_data()
        said = await client.ask(BEGIN + text + b"MAIL FROM:<ceo@example.com>" + TRUE_END)
        assert said == b"250 2.0.0 Ok: queued as 1\r\n"
        assert await client.ask(b"NOOP\r\n") == OK
    assert stage.sink.delivered == {"<1>": 1}
    assert stage.sink.commands[3:] == [b"NOOP"]


@on_both_loops
async def test_what_stands_behind_the_true_end_is_commands():
    stage = Stage()
    stage.sink_options["careless"] = True
    async with stage.session() as client:
        await client.open_data()
        await client.send(BEGIN + TRUE_END + OPEN + BEGIN.replace(b"<1>", b"<2>") + TRUE_END + b"QUIT\r\n")
        queued = b"250 2.0.0 Ok: queued as %d\r\n"
        assert await client.rest() == (queued % 1 + OK + OK + GO_ON + queued % 2 + b"221 2.0.0 bye\r\n")
    assert stage.sink.delivered == {"<1>": 1, "<2>": 1}


@on_both_loops
async def test_a_fault_without_a_true_end_is_told_when_the_client_waits():
    stage = Stage()
    async with stage.set(times=Times(drain_quiet=0.05)).session() as client:
        await client.open_data()
        await client.send(BEGIN + b"\n.\n")
        assert (await client.rest()).startswith(b"554 5.6.0 bare LF")
    assert stage.sink.messages == []


@on_both_loops
async def test_a_fault_reaches_no_recipient_though_much_of_the_message_has_gone_upstream():
    stage = Stage()
    async with stage.session() as client:
        await client.open_data()
        sending = asyncio.create_task(client.send(BEGIN + b"\r\nxxxxxxxxxxxx" * 20_000 + b"\n" + TRUE_END))
        assert (await client.rest()).startswith(b"554 5.6.0 bare LF")
        await sending
        await stage.sink.ended.wait()
    assert stage.sink.messages == []
    assert len(stage.sink.partial) > 100_000


@pytest.mark.parametrize("name", [name for name, octets in FALSE_ENDS.items() if b"\0" not in octets])
def test_a_false_end_that_is_mended_is_no_end_either(name):
    false = FALSE_ENDS[name]

    async def every_cut():
        for at in range(len(false) + 1):
            stage = Stage().set(bare_newlines=BareNewlines.NORMALISE)
            stage.sink_options["careless"] = True
            async with stage.session() as client:
                await client.open_data()
                await client.send(BEGIN + false[:at])
                await asyncio.sleep(0)
                said = await client.ask(false[at:] + SMUGGLED + TRUE_END)
                assert said == b"250 2.0.0 Ok: queued as 1\r\n"
            assert stage.sink.delivered == {"<1>": 1}
            assert b"ceo@example.com" in stage.sink.messages[0]

    asyncio.run(every_cut())
