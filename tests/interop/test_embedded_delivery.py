"""The delivery child: a real one, its socket, what it takes and what it refuses, and its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import smtplib
import socket
import stat

import pytest

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy import limits
from proxy.embedded.children import AlreadyServedError, EmbeddedDelivery, EmbeddedMail
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place
from scopes.model import Grant, Scope
from support.delivering import (
    ALIAS,
    BOB,
    MESSAGE,
    House,
    UnixSmtp,
    inbox,
    reply,
    send_by,
    sent,
    through_smtplib,
    waiting,
)
from support.embedded import ALICE, connect, raw
from support.waiting import eventually


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mail"


@pytest.fixture
def house():
    return House()


@pytest.fixture
async def delivery(root, house):
    embedded = EmbeddedDelivery(root, house.lookup)
    await embedded.start()
    yield embedded
    await embedded.stop()


async def beside(work, *args):
    """Run a client of blocking calls beside this loop, which answers the child's questions."""
    return await asyncio.to_thread(work, *args)


# --- what is taken ------------------------------------------------------------------------------------------


async def test_a_message_reaches_its_recipients_with_its_trace(delivery, root):
    said = await sent(delivery, [BOB, ALIAS])
    queued = re.fullmatch(rb"250 2\.0\.0 kept as ([0-9a-f]{16})", said)[1]
    for email in (ALICE, BOB):
        [message] = inbox(root, email)
        head = rb"Return-Path: <alice@example\.org>\r\nReceived: from client\.example\.org by localhost "
        head += (
            rb"\(Wicketgate\) with ESMTPA id "
            + queued
            + rb";\r\n\t\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\n"
        )
        assert re.fullmatch(head + re.escape(MESSAGE), message)
    await eventually(lambda: not waiting(root))


async def test_an_account_gets_one_copy_however_it_is_named(delivery, root):
    await sent(delivery, [ALICE, ALIAS, "Alice@Example.ORG", ALICE])
    assert len(inbox(root, ALICE)) == 1


async def test_a_bounce_has_an_empty_return_path(delivery, root):
    def client():
        with through_smtplib(delivery) as smtp:
            return send_by(smtp, [BOB], sender="")

    assert (await beside(client)).startswith(b"250 ")
    assert inbox(root, BOB)[0].startswith(b"Return-Path: <>\r\n")


async def test_the_same_message_sent_twice_is_delivered_twice(delivery, root):
    def client():
        with through_smtplib(delivery) as smtp:
            return [send_by(smtp, [BOB]), send_by(smtp, [BOB])]

    assert all(said.startswith(b"250 ") for said in await beside(client))
    assert len(inbox(root, BOB)) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 100_000 + b"\r\n",
        (b"y" * 100_000 + b"\r\n") * 3 + b".\r\n..\r\n.z\r\n",
        b".\r\n..\r\n...\r\n. \r\n\r\n.\r\n",
        b"\x01\x80\xff\r\n",
        (b"0123456789" * 7 + b"\r\n") * 290_000,  # 20 MB
        b"\r\n" * 500_000,
    ],
    ids=["a long line", "long lines and dots", "dots", "octets", "20 MB", "short lines"],
)
async def test_the_text_arrives_as_it_was_sent(delivery, root, body):
    assert (await sent(delivery, [BOB], MESSAGE + body)).startswith(b"250 ")
    [message] = inbox(root, BOB)
    assert message.endswith(b"\r\n" + MESSAGE + body)


async def test_an_idle_reader_sees_it(delivery, root):
    mail = EmbeddedMail(root)
    await mail.start()
    try:
        with raw(mail, BOB) as client:
            assert b"* 0 EXISTS" in client.run(b"a", b"SELECT INBOX")
            client.send(b"b IDLE\r\n")
            assert client.line().startswith(b"+ ")
            await sent(delivery, [BOB])
            assert client.line() == b"* 1 EXISTS\r\n"
    finally:
        await mail.stop()


async def test_the_gate_signs_in_there(delivery):
    place = Place(address=Address(kind=AddressKind.EMBEDDED), embedded_socket=lambda: delivery.socket_path)
    upstream = SmtpUpstream(place=place, sign_in_as=Authzid(user=delivery.user, secret=delivery.secret))
    longest = f"{'l' * 64}@{'.'.join(['d' * 60] * 4)}"
    for email in (ALICE, longest):
        grant = Grant(
            account_id="ac", email=email, app_password_id="ap", label="phone", scopes=frozenset({Scope.MAIL})
        )
        signed_in = await upstream.sign_in(grant)
        signed_in.connection.abort()
        assert signed_in.extensions["SIZE"] == str(limits.EMBEDDED_MESSAGE_OCTETS)


# --- who is a recipient -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nobody@example.org", b"550 5.1.1 "),
        (
            "someone@elsewhere.example",
            b"550 5.7.1 this is the built-in store, which delivers between the accounts",
        ),
        ("Postmaster", b"553 5.1.3 "),
        ('"a b"@example.org', b"553 5.1.3 "),
        ("", b"553 5.1.3 "),
    ],
)
async def test_who_is_no_recipient_is_refused_for_good(delivery, root, address, said):
    def client():
        with through_smtplib(delivery) as smtp:
            smtp.mail(ALICE)
            refused = reply(smtp.docmd(f"RCPT TO:<{address}>"))
            return refused, reply(smtp.docmd("DATA")), send_by_same(smtp)

    def send_by_same(smtp):
        smtp.rset()
        return send_by(smtp, [BOB])

    refused, data, later = await beside(client)
    assert refused.startswith(said)
    assert data.startswith(b"503 ")
    assert later.startswith(b"250 ")


async def test_an_outage_is_no_missing_recipient(delivery, house):
    def client():
        with through_smtplib(delivery) as smtp:
            smtp.mail(ALICE)
            return reply(smtp.rcpt(BOB))

    house.broken = True
    assert (await beside(client)).startswith(b"451 4.3.0 ")
    house.broken = False
    assert (await beside(client)).startswith(b"250 ")


# --- what is refused ----------------------------------------------------------------------------------------


async def test_nothing_is_done_before_sign_in(delivery):
    def client():
        smtp = UnixSmtp(delivery.socket_path)
        smtp.ehlo()
        said = [
            reply(smtp.docmd(line)) for line in ("MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA")
        ]
        said += [reply(smtp.docmd(line)) for line in ("VRFY a", "HELP")]
        smtp.close()
        return said, smtp.esmtp_features

    said, offered = await beside(client)
    assert {line[:10] for line in said} == {b"530 5.7.0 "}
    assert offered["auth"].split() == ["PLAIN"]
    assert set(offered) == {"auth", "pipelining", "8bitmime", "size"}


@pytest.mark.parametrize(("user", "secret"), [("gate", "guessed"), ("alice", None)])
async def test_only_the_gate_signs_in(delivery, user, secret):
    def client():
        smtp = UnixSmtp(delivery.socket_path)
        smtp.ehlo()
        given = secret or delivery.secret.reveal()
        try:
            smtp.auth("PLAIN", lambda _=None: f"{ALICE}\0{user}\0{given}")
        finally:
            smtp.close()

    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        await beside(client)
    assert caught.value.smtp_code == 535


async def test_the_response_may_come_on_a_line_of_its_own(delivery):
    def client():
        smtp = UnixSmtp(delivery.socket_path)
        smtp.ehlo()
        secret = delivery.secret.reveal()
        said = smtp.auth("PLAIN", lambda _=None: f"{ALICE}\0gate\0{secret}", initial_response_ok=False)
        smtp.close()
        return said

    assert (await beside(client))[0] == 235


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n"],
)
async def test_nothing_but_crlf_dot_crlf_ends_a_message(delivery, root, end):
    smuggled = b"text" + end + b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<" + BOB.encode() + b">\r\nDATA\r\n"

    def client():
        with through_smtplib(delivery) as smtp:
            smtp.mail(ALICE)
            smtp.rcpt(BOB)
            smtp.putcmd("DATA")
            smtp.getreply()
            smtp.send(smuggled + b"more\r\n.\r\n")
            return reply(smtp.getreply()), reply(smtp.noop())

    said, next_said = await beside(client)
    assert said.startswith(b"550 5.6.0 the message has a bare ")
    assert next_said == b"250 OK"
    assert inbox(root, BOB) == []


async def test_too_large_a_message_is_refused_at_its_end(delivery, root):
    def client():
        with through_smtplib(delivery) as smtp:
            smtp.mail(ALICE)
            smtp.rcpt(BOB)
            smtp.putcmd("DATA")
            smtp.getreply()
            block = b"x" * 65_534 + b"\r\n"
            for _ in range(limits.EMBEDDED_MESSAGE_OCTETS // len(block) + 1):
                smtp.send(block)
            smtp.send(b".\r\n")
            return reply(smtp.getreply()), reply(smtp.noop())

    assert await beside(client) == (b"552 5.3.4 the message is too large", b"250 OK")
    assert inbox(root, BOB) == []


async def test_a_gate_that_hangs_up_behind_its_message_is_no_fault(delivery, caplog):
    def client():
        with through_smtplib(delivery) as smtp:
            smtp.mail(ALICE)
            smtp.rcpt(BOB)
            smtp.putcmd("DATA")
            smtp.getreply()
            smtp.send(MESSAGE + b".\r\nNOOP\r\n")
            smtp.sock.shutdown(socket.SHUT_WR)
            while smtp.sock.recv(4096):
                pass

    await beside(client)
    assert (await sent(delivery, [BOB])).startswith(b"250 ")
    assert caplog.text == ""


# --- its life -----------------------------------------------------------------------------------------------


async def test_only_this_user_reaches_the_socket(delivery):
    assert stat.S_IMODE(delivery.socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(delivery.socket_path.parent.stat().st_mode) == 0o700


async def test_maildirs_have_one_deliverer_beside_the_reader(delivery, root, house):
    mail = EmbeddedMail(root)
    await mail.start()
    try:
        with pytest.raises(AlreadyServedError, match="already serves this folder"):
            await EmbeddedDelivery(root, house.lookup).start()
    finally:
        await mail.stop()


async def test_it_leaves_with_its_parent_and_takes_the_socket_along(root, house):
    delivery = EmbeddedDelivery(root, house.lookup)
    await delivery.start()
    path, pid = delivery.socket_path, delivery.pid
    idle = connect(path)
    for stop in (signal.SIGTERM, signal.SIGINT):  # these are the parent's business
        os.kill(pid, stop)
    await sent(delivery, [BOB])
    await delivery.stop()
    assert idle.recv(100).startswith(b"220 ")
    assert idle.recv(100) == b""
    idle.close()
    assert not path.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_nothing_secret_is_said(delivery, root, caplog):
    def client():
        with through_smtplib(delivery) as smtp:
            return reply(smtp.docmd("VRFY alice")), reply(smtp.docmd("FROB"))

    await beside(client)
    await sent(delivery, [BOB])
    secret: Secret = delivery.secret
    assert secret.reveal() not in caplog.text
    assert secret.reveal_bytes() not in inbox(root, BOB)[0]
    assert caplog.text == ""
