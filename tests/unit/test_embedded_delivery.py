"""What the delivery child is made of: reading messages, asking who is a recipient, words."""

from __future__ import annotations

import asyncio
import random

import pytest

from proxy.embedded.delivery import DeliverySession, trace
from proxy.embedded.messageend import MessageRefusedError, read_message
from proxy.embedded.recipients import Found, Questions, Recipient, answering, lookup_in
from support.delivering import BOB, House
from support.embedded import ALICE

# --- reading a message --------------------------------------------------------------------------------------


async def read(wire: bytes, *, at_once: int = 1_000_000, limit: int = 32, most: int = 1_000_000):
    """Read a message that comes in pieces; gives it, or the refusal, and what is left for commands."""
    reader = asyncio.StreamReader(limit=limit)

    async def feed() -> None:
        for start in range(0, len(wire), at_once):
            reader.feed_data(wire[start : start + at_once])
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    try:
        said = bytes(await read_message(reader, most))
    except MessageRefusedError as refusal:
        said = str(refusal)
    await feeding
    return said, await reader.read()


@pytest.mark.parametrize("at_once", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n..b\r\n...\r\n..\r\n.\r\n", b"a\r\n.b\r\n..\r\n.\r\n"),
        (b"x" * 200 + b"\r\n.\r\n", b"x" * 200 + b"\r\n"),
        (b"..".ljust(100, b"x") + b".\r\n.\r\n", b".".ljust(99, b"x") + b".\r\n"),
        (b"x" * 31 + b".\r\n.\r\n", b"x" * 31 + b".\r\n"),
        (b"x" * 32 + b".\r\n.\r\n", b"x" * 32 + b".\r\n"),
    ],
)
async def test_a_message_ends_at_its_dot(wire, text, at_once):
    assert await read(wire + b"QUIT\r\n", at_once=at_once) == (text, b"QUIT\r\n")


@pytest.mark.parametrize("before", [b"", b"x" * 29, b"x" * 30, b"x" * 31, b"x" * 32, b"x" * 33, b"x" * 500])
@pytest.mark.parametrize("at_once", [1, 1_000_000])
@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r.\r", b"\r\n.\r\r\n", b"\r\r\n"]
)
async def test_a_bare_cr_or_lf_ends_nothing(end, before, at_once):
    said, rest = await read(before + end + b"MAIL\r\n.\r\nQUIT\r\n", at_once=at_once)
    assert said in ("550 5.6.0 the message has a bare CR", "550 5.6.0 the message has a bare LF")
    assert rest == b"QUIT\r\n"


@pytest.mark.parametrize("octets", [99, 100, 101])
async def test_the_size_is_counted_without_the_dots_of_the_transfer(octets):
    text = b"." + b"x" * (octets - 3) + b"\r\n"
    said, rest = await read(b"." + text + b".\r\nQUIT\r\n", most=100)
    assert (said, rest) == (text if octets <= 100 else "552 5.3.4 the message is too large", b"QUIT\r\n")


async def test_any_text_survives_any_cutting():
    chance = random.Random(7)
    for _ in range(200):
        lines = [bytes(chance.choices(b".ab", k=chance.choice((0, 1, 3, 31, 40)))) for _ in range(6)]
        wire = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
        text = b"".join(line + b"\r\n" for line in lines)
        assert await read(wire + b".\r\nrest", at_once=chance.randint(1, 50)) == (text, b"rest")


async def test_a_stream_that_ends_gives_no_message():
    with pytest.raises(asyncio.IncompleteReadError):
        await read(b"text\r\n.\r")


# --- who is a recipient -------------------------------------------------------------------------------------


def joined(lookup, **more) -> tuple[Questions, list[bytes]]:
    """The child's side and its parent's, joined; and the lines between them."""
    lines, tasks = [], set()
    answer = answering(lookup)

    async def parent(line: bytes) -> None:
        said = await answer(line.rstrip(b"\n"))
        lines.append(said)
        questions.heard(said + b"\n")

    def write(line: bytes) -> None:
        lines.append(line)
        tasks.add(asyncio.ensure_future(parent(line)))

    questions = Questions(write, **more)
    return questions, lines


async def test_a_recipient_is_asked_for_in_one_line_and_answered_in_one():
    questions, lines = joined(House().lookup)
    assert await questions.ask("ally@example.net") == Recipient(Found.ACCOUNT, ALICE)
    assert await questions.ask("nobody@example.org") == Recipient(Found.NOBODY)
    assert await questions.ask("x@elsewhere.example") == Recipient(Found.ELSEWHERE)
    assert lines[:2] == [b"1 ally@example.net\n", b"1 account alice@example.org"]
    assert lines[2:4] == [b"2 nobody@example.org\n", b"2 nobody"]


async def test_an_outage_of_the_look_up_is_later(caplog):
    house = House()
    house.broken = True
    questions, _ = joined(house.lookup)
    assert await questions.ask(BOB) == Recipient(Found.LATER)
    assert "a recipient cannot be looked up: OSError" in caplog.text
    assert "the store is away" not in caplog.text


async def test_a_look_up_that_does_not_end_is_later():
    async def lookup(_: str) -> Recipient:
        return await asyncio.Event().wait()

    assert await answering(lookup, wait_s=0.0)(b"5 bob@example.org") == b"5 later"


async def test_no_answer_is_later_and_a_late_one_is_no_other_questions():
    asked = []
    questions = Questions(asked.append, wait_s=0.0)
    assert await questions.ask(BOB) == Recipient(Found.LATER)
    patient = Questions(asked.append)
    both = [asyncio.ensure_future(patient.ask(each)) for each in (ALICE, BOB)]
    await asyncio.sleep(0)
    for line in (
        b"",
        b"\n",
        b"3 nobody\n",
        b"1\n",
        b"1 account\n",
        b"1 nobody x\n",
        b"1 what\n",
        b"2 account bob@example.org\n",
        b"2 nobody\n",
        b"1 account alice@example.org\n",
    ):
        patient.heard(line)
    assert await asyncio.gather(*both) == [Recipient(Found.ACCOUNT, each) for each in (ALICE, BOB)]


@pytest.mark.parametrize("address", ["a@b.example\n2 c@d.example", "A@b.example", "a b@c.example", "", "al"])
async def test_only_a_checked_address_becomes_a_question(address):
    asked = []
    with pytest.raises(ValueError):
        await Questions(asked.append).ask(address)
    assert asked == []
    with pytest.raises(ValueError):
        await answering(House().lookup)(f"1 {address}".encode())


async def test_an_email_that_would_break_the_line_is_not_answered():
    async def lookup(_: str) -> Recipient:
        return Recipient(Found.ACCOUNT, "a@b.example\n2 nobody")

    with pytest.raises(ValueError):
        await answering(lookup)(b"1 bob@example.org")


class Directory:
    async def mailbox(self, address: str) -> str | None:
        return ALICE if address == "ally@example.net" else None

    async def serves_domain(self, domain: str) -> bool:
        return domain == "example.net"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("ally@example.net", Recipient(Found.ACCOUNT, ALICE)),
        ("al@example.net", Recipient(Found.NOBODY)),
        ("ally@example.org", Recipient(Found.ELSEWHERE)),
    ],
)
async def test_the_store_is_asked_for_the_mailbox_and_then_for_the_domain(address, found):
    assert await lookup_in(Directory())(address) == found


# --- words on the wire --------------------------------------------------------------------------------------


def test_the_trace_says_when_and_by_whom_and_takes_no_strange_names():
    assert trace(ALICE, "gate.example.org", "77", 1_795_000_000.0) == (
        b"Return-Path: <alice@example.org>\r\n"
        b"Received: from gate.example.org by localhost (Wicketgate) with ESMTPA id 77;\r\n"
        b"\tWed, 18 Nov 2026 11:06:40 +0000\r\n"
    )
    assert b"from unknown by" in trace("", "a b\r\nX: y", "77", 0.0)


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("<a@b.example>", ("a@b.example", "")),
        ("<a@b.example> SIZE=7 BODY=8BITMIME", ("a@b.example", "SIZE=7 BODY=8BITMIME")),
        ("<>", ("<>", "")),
        ("<> SIZE=7", ("<>", "SIZE=7")),
        (r'<"a > \" b"@b.example>', (r'"a > \" b"@b.example', "")),
        ("a@b.example", (None, None)),
        ("<a@b.example", (None, None)),
        ("<a@b.example>SIZE=7", (None, None)),
        ("<a b@c.example>", (None, None)),
        ("<a(comment)@b.example>", ("a(comment)@b.example", "")),
        ('<"a\rb"@b.example>', (None, None)),
        ("<a@b.example>\r", (None, None)),
        ("<a@b.example> \r", (None, None)),
        ("<\u00fc@b.example>", (None, None)),
        ("", (None, None)),
    ],
)
def test_a_path_is_read_as_the_gate_writes_it(argument, path):
    assert DeliverySession._getaddr(None, argument) == path
