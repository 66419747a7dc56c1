"""A session whose octets are cut anywhere, and one before a server that is not ours: aiosmtpd's."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.smtp.sender import SenderRule
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place
from support.imap_stage import GRANT, soon
from support.smtp_stage import OK, OPEN, Addresses, Stage, message
from support.sockets import on_both_loops
from support.transcript import ways

OURS = b"354 end with <CR><LF>.<CR><LF>\r\n"
THEIRS = b"354 go on\r\n"
DIALOG = (
    b"RSET\r\n" + OPEN + message(1, b"..\r\n...x") + b"NOOP\r\n" + OPEN + message(2) + b"XEVIL\r\nQUIT\r\n"
)


def told(go_on: bytes) -> bytes:
    queued = b"250 2.0.0 Ok: queued as %d\r\n"
    first, second = (OK + OK + go_on + queued % number for number in (1, 2))
    return OK + first + OK + second + b"500 5.5.1 unknown command\r\n221 2.0.0 bye\r\n"


@pytest.mark.parametrize("rule", SenderRule)
@pytest.mark.parametrize("way", ways())
@on_both_loops
async def test_it_does_not_matter_how_the_clients_octets_are_cut(way, rule):
    stage = Stage().set(rule=rule, senders=Addresses())
    async with stage.session() as client:
        reading = asyncio.create_task(client.rest())
        for piece in ways()[way](DIALOG):
            await client.send(piece)
            await asyncio.sleep(0)
        assert await reading == told(THEIRS if rule is SenderRule.UPSTREAM else OURS)
    assert stage.sink.delivered == {"<1>": 1, "<2>": 1}
    assert stage.sink.messages[0] + b".\r\n" == message(1, b"..\r\n...x")


@pytest.mark.parametrize("verb", ["DATA", "."])
@pytest.mark.parametrize("rule", [SenderRule.UPSTREAM, SenderRule.OWN])
@on_both_loops
async def test_what_a_client_sends_while_the_upstream_thinks_stays_in_order(rule, verb):
    stage = Stage().set(rule=rule, senders=Addresses())
    held = asyncio.Event()
    stage.sink_options["answers"] = {verb: [held, b"354 go on\r\n" if verb == "DATA" else OK]}
    head, _, tail = message(1, b"MAIL FROM:<ceo@x.org>").partition(b"\r\n\r\n")
    async with stage.session() as client:
        await client.send(
            OPEN + head + b"\r\n\r\n" + tail[:1]
        )  # one more octet: a dot there might end it all
        if verb == "DATA":
            await soon(lambda: b"DATA" in stage.sink.commands)
        for piece in (tail[1:5], tail[5:-3], tail[-3:], b"NOOP\r\n"):
            await client.send(piece)
            await asyncio.sleep(0)
        held.set()
        said = await client.lines(5)
    assert said.endswith(OK)
    assert stage.sink.delivered == {"<1>": 1}
    assert stage.sink.commands[3:] == [b"NOOP"]


class Theirs(SMTP):
    """Tells when its connection is closed."""

    def __init__(self, *arguments, gone: asyncio.Event, **options) -> None:
        super().__init__(*arguments, **options)
        self.gone = gone

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.gone.set()


class Mailbox:
    """What aiosmtpd delivers to."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.contents.append(envelope.content)
        return f"250 2.0.0 Ok: number {len(self.contents)}"


def bodies(seed: int) -> list[bytes]:
    """Lines of what is delicate in messages; each text is what a reader must find."""
    chance = random.Random(seed)
    words = (b".", b"..", b" ", b"x", b"\xc3\xa9", b"From", b"QUIT", b"")
    lines = [[b"".join(chance.choices(words, k=4)) for _ in range(chance.randint(0, 6))] for _ in range(40)]
    return [b"".join(line + b"\r\n" for line in each) for each in lines]


async def test_aiosmtpd_finds_every_text_as_it_was(tmp_path: Path):
    mailbox, texts, gone = Mailbox(), bodies(7), asyncio.Event()
    asked = []

    def authenticate(server, session, envelope, mechanism, data) -> AuthResult:
        asked.append((mechanism, data.login, data.password))
        return AuthResult(success=True)

    def theirs() -> SMTP:
        return Theirs(mailbox, hostname="mx", auth_require_tls=False, authenticator=authenticate, gone=gone)

    server = await asyncio.get_running_loop().create_unix_server(theirs, tmp_path / "s")
    async with server:
        place = Place(address=Address(kind=AddressKind.UNIX, path=tmp_path / "s"))
        signed_in = await SmtpUpstream(
            place=place,
            sign_in_as=Authzid(user="gate", secret=Secret("open sesame")),
            name="gate.example.org",
        ).sign_in(GRANT)
        stage = Stage()
        stage.signed_in = signed_in
        async with stage.session() as client:
            for number, text in enumerate(texts, 1):
                await client.send(OPEN)
                assert [line[:3] for line in (await client.lines(3)).splitlines()] == [b"250", b"250", b"354"]
                stuffed = b"".join(
                    b"." * line.startswith(b".") + line for line in text.splitlines(keepends=True)
                )
                assert await client.ask(stuffed + b".\r\n") == b"250 2.0.0 Ok: number %d\r\n" % number
            assert (await client.ask(b"QUIT\r\n")).startswith(b"221 ")
            await client.rest()
        await soon(gone.wait())
    assert mailbox.contents == texts
    assert asked == [("PLAIN", b"gate", b"open sesame")]
