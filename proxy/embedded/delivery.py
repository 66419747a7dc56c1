"""The delivery child: `python -m proxy.embedded.delivery ROOT SOCKET`, started and watched by `children`.

An SMTP server on a Unix socket for the gate alone. It delivers between the accounts of this gate and nowhere
else: who has which address it asks its parent (`recipients`), and what it takes lies in the Maildirs below
ROOT before it says so (`letterbox`, with the rule for messages that are tried again). Standard input brings
the secret, then answers, and tells it by ending to leave. The IMAP child owns ROOT; this one locks its
journal.

aiosmtpd 1.4.6 does the commands. Done here instead: AUTH, which is PLAIN for the gate only; addresses, which
it parses as header fields; the reading of messages, which it holds line by line; and the reply to a bug, in
which it sends the text of the exception.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from auth.fault import fault
from auth.names import email_address
from auth.secret import Secret
from proxy import limits
from proxy.embedded.childside import admitted, ignore_stops, lock, read_secret
from proxy.embedded.durable import FILE_MODE
from proxy.embedded.handover import READY
from proxy.embedded.letterbox import Letterbox, Mail
from proxy.embedded.messageend import MessageRefusedError, read_message
from proxy.embedded.recipients import Found, Questions, Recipient

_LOG: Final = logging.getLogger("wicketgate.embedded")
_HOST: Final = "localhost"
"""Nobody but the gate reads our greeting, and a Received field need not name the machine."""
_NULL: Final = "<>"
"""How aiosmtpd writes the null path."""
_LATER: Final = "451 4.3.0 the message cannot be taken now, try again later"
_REFUSALS: Final = {
    Found.NOBODY: "550 5.1.1 there is no such mailbox here",
    Found.ELSEWHERE: "550 5.7.1 this is the built-in store, which delivers between the accounts of this gate "
    "only; configure [upstream.smtp] to send to the world",
    Found.LATER: "451 4.3.0 the recipient cannot be looked up now, try again later",
}
_PATH: Final = re.compile(
    r'<(?P<address>(?:"(?:[ !#-\[\]-~]|\\[ -~])*"|[!#-;=?-~])*)>(?: +(?P<parameters>[ -~]*))?\Z'
)
"""RFC 5321 §4.1.2 as the gate writes it: printable ASCII, quoted or without spaces and brackets."""
_GREETED_AS: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the sessions of one child share."""

    secret: Secret
    ask: Callable[[str], Any]
    letterbox: Letterbox
    disk: ThreadPoolExecutor
    """One thread: messages are put away one after the other."""
    now: Callable[[], float] = time.time


class Hooks:
    """What aiosmtpd asks about a session."""

    def __init__(self, house: House) -> None:
        self._ask = house.ask

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's interface
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, _replies: list[str]
    ) -> list[str]:
        """Say what is served (RFC 5321 §4.1.1.1)."""
        session.host_name = name
        size = f"250-SIZE {limits.EMBEDDED_MESSAGE_OCTETS}"
        return [f"250-{_HOST}", "250-PIPELINING", size, "250-8BITMIME", "250 AUTH PLAIN"]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's interface
        self, _server: SMTP, _session: Session, envelope: Envelope, given: str, _options: list[str]
    ) -> str:
        """Take a recipient: the account whose address it is, once however it is written."""
        address = email_address(given)
        if address is None:
            return "553 5.1.3 not an address that is served here"
        recipient: Recipient = await self._ask(address)
        if recipient.found is not Found.ACCOUNT:
            return _REFUSALS[recipient.found]
        if recipient.email not in envelope.rcpt_tos:
            if len(envelope.rcpt_tos) >= limits.EMBEDDED_RECIPIENTS:
                return "452 4.5.3 too many recipients"
            envelope.rcpt_tos.append(recipient.email)
        return "250 2.1.5 recipient taken"

    async def handle_exception(self, bug: Exception) -> str:
        """Log a bug, and say nothing of it."""
        _LOG.error("a delivery session failed: %s", fault(bug))
        return _LATER


class DeliverySession(SMTP):
    """One connection of the gate."""

    line_length_limit = limits.EMBEDDED_LINE_OCTETS
    """What the reader holds before it lets the gate wait; lines of a message may be longer (`messageend`)."""
    command_size_limit = limits.EMBEDDED_SMTP_LINE_OCTETS
    command_size_limits: defaultdict[str, int] = defaultdict(lambda: limits.EMBEDDED_SMTP_LINE_OCTETS)  # noqa: RUF012

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            Hooks(house),
            data_size_limit=limits.EMBEDDED_MESSAGE_OCTETS,
            hostname=_HOST,
            ident="ready",
            timeout=limits.EMBEDDED_TIMEOUT_S,
            auth_require_tls=False,  # there is none on this socket, which only this user reaches
            auth_exclude_mechanism=("LOGIN",),
            loop=loop,
        )
        self._house = house

    def data_received(self, data: bytes) -> None:
        """Take octets; a message that is still coming is no silence."""
        self._reset_timeout()
        super().data_received(data)

    async def check_auth_needed(self, caller_method: str) -> bool:  # noqa: ARG002 - aiosmtpd's interface
        """Refuse a command before sign-in (RFC 4954 §6)."""
        if self.session is not None and self.session.authenticated:
            return False
        await self.push("530 5.7.0 sign in first")
        return True

    async def auth_PLAIN(self, _: object, args: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's interface
        """Sign the gate in for the account it names."""
        if len(args) > 1:
            response = args[1].encode("ascii")
        else:
            await self.push("334 ")
            response = (await self._reader.readuntil()).strip()
        account = admitted(response, self._house.secret)
        if account is None:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=account)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's interface
        """Take a message (RFC 5321 §4.1.1.4)."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        assert self.envelope is not None  # noqa: S101 - there is one from the start
        if arg or not self.envelope.rcpt_tos:
            await self.push("501 5.5.4 no arguments" if arg else "503 5.5.1 no recipient was taken")
            return
        await self.push("354 end with CRLF.CRLF")
        envelope = self.envelope
        try:
            text = await read_message(self._reader, limits.EMBEDDED_MESSAGE_OCTETS)
        except MessageRefusedError as refusal:
            await self.push(str(refusal))
        else:
            await self._put_away(envelope, text)
        finally:
            self.envelope = self._create_envelope()

    async def _put_away(self, envelope: Envelope, text: bytearray) -> None:
        """Deliver, reply, and forget the try when the reply was handed over."""
        assert self.session is not None  # noqa: S101 - it is signed in
        sender = "" if envelope.mail_from in (None, _NULL) else str(envelope.mail_from)
        account = str(self.session.auth_data)
        mail = Mail(account=account, sender=sender, recipients=tuple(envelope.rcpt_tos), text=text)
        queued = secrets.token_hex(8)
        head = trace(sender, str(self.session.host_name), queued, self._house.now())
        house = self._house
        try:
            key = await self.loop.run_in_executor(house.disk, house.letterbox.take, mail, head)
        except OSError as error:
            _LOG.error("a message cannot be kept: %s", _reason(error))
            await self.push(_LATER)
            return
        await self.push(f"250 2.0.0 kept as {queued}")
        # Nothing is awaited: the gate may hang up now, which cancels us.
        house.disk.submit(_forget, house.letterbox, key)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read a path and what stands behind it; (None, None) for what is none."""
        found = _PATH.match(arg)
        if found is None:
            return None, None
        return found["address"] or _NULL, found["parameters"] or ""


def _forget(letterbox: Letterbox, key: str) -> None:
    try:
        letterbox.forget(key)
    except OSError as error:
        _LOG.error("the same message sent again would not be delivered today: %s", _reason(error))


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__


def trace(sender: str, greeted_as: str, queued: str, now: float) -> bytes:
    """Give the fields that delivery puts before a message (RFC 5321 §4.4)."""
    client = greeted_as if _GREETED_AS.match(greeted_as) else "unknown"
    date = format_datetime(datetime.fromtimestamp(now, UTC))
    text = (
        f"Return-Path: <{sender}>\r\n"
        f"Received: from {client} by {_HOST} (Wicketgate) with ESMTPA id {queued};\r\n\t{date}\r\n"
    )
    return text.encode("ascii")


async def serve(socket: Path, letterbox: Letterbox, secret: Secret) -> None:
    """Serve on `socket` until the parent has gone."""
    loop = asyncio.get_running_loop()
    answers = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), sys.stdin)
    parent, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    questions = Questions(parent.write)
    socket.unlink(missing_ok=True)  # of a predecessor that was killed
    with ThreadPoolExecutor(1) as disk:
        house = House(secret=secret, ask=questions.ask, letterbox=letterbox, disk=disk)
        server = await loop.create_unix_server(lambda: DeliverySession(house, loop), str(socket))
        socket.chmod(FILE_MODE)
        parent.write(READY)
        while line := await answers.readline():
            questions.heard(line)
        server.close()
    socket.unlink(missing_ok=True)
    with suppress(OSError):
        socket.parent.rmdir()


def main(arguments: list[str], *, rename: Callable[[Path, Path], None] = os.rename) -> int:
    """Run the child; returns its exit status."""
    root, socket = (Path(argument) for argument in arguments)
    ignore_stops()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("mail.log").disabled = True  # aiosmtpd tells of each command
    letterbox = Letterbox(root, rename=rename)
    try:
        with lock(letterbox.folder):
            asyncio.run(serve(socket, letterbox, read_secret(sys.stdin.fileno())))
    except BlockingIOError:
        sys.stderr.write(f"error: another server has the deliveries to {root}\n")
        return 1
    except (OSError, EOFError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
