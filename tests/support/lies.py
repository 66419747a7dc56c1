"""What an honest IMAP or submission server says while the gate signs in, and how it can lie instead."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.imap.upstream import ImapUpstream
from proxy.smtp.session import Submission
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place
from proxy.upstreams.telling import Telling
from support import imap_stage, smtp_front_stage
from support.imap_stage import LOGIN, Client
from support.liar import Drip, Liar, Say, Script, Secure, Step
from support.smtp_behind import SESSION
from support.sockets import Tls

RESPONSE = b64encode(b"alice@example.org\0gate\0open sesame")
"""Our sign-in, as the upstream hears it."""
_AS_GATE = Authzid(user="gate", secret=Secret("open sesame"))
_MIB = 1_048_576
_TLS_RECORD = b"\x16\x03\x03\x40\x00\x02"
"""The head of the longest handshake record there is, and the first octet of a ServerHello."""
_IMAP_IN = b"OK [CAPABILITY IMAP4rev1 IDLE] in\r\n"
_EHLO = b"250-behind.example.org\r\n250-%b\r\n250 PIPELINING\r\n"
_NO = b"a NO [UNAVAILABLE] sign-in is not possible at the moment, try again later\r\n"


class Wire(Protocol):
    """One protocol on one kind of address: the honest dialogue, and the gate's two sides of it."""

    starttls: bool
    line: bytes
    """How a line of the server may begin, at any time."""
    farewell: bytes
    unavailable: bytes
    """What a client of the gate hears."""

    def truth(self, tls: Tls) -> Script:
        """Give what the server does until the gate is signed in."""

    def answer(self, asked: bytes) -> bytes:
        """Give what an honest server says to a session."""

    def upstream(self, tls: Tls, port: int, **limits: float) -> Any:
        """Give the gate's way to a server on this port."""

    def stage(self, tls: Tls) -> imap_stage.Stage:
        """Give a front-end without an upstream."""

    async def sign_in(self, client: Client) -> bytes:
        """Sign in as a client of the gate, and give the answer."""

    async def works(self, client: Client) -> bool:
        """Whether its session reaches the server behind."""

    async def alive(self, client: Client) -> bool:
        """Whether a connection that was refused is still served."""


@dataclass(frozen=True)
class Imap:
    """RFC 9051; `told` where the server is told who the client is, by ID (RFC 2971)."""

    starttls: bool
    told: bool = False
    line: bytes = b"* OK "
    farewell: bytes = b"* BYE going down\r\n"
    unavailable: bytes = _NO

    def truth(self, tls: Tls) -> Script:
        if self.starttls:
            return [
                *(Say(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"), Step.HEAR),
                *(Say(b"w1 OK go\r\n"), Secure(tls.server), Step.HEAR),
                *(Say(b"+ \r\n"), Step.HEAR, Say(b"w2 " + _IMAP_IN)),
            ]
        greeting = Say(b"* OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready\r\n")
        if self.told:
            about = (Say(b"* ID NIL\r\nw1 OK told\r\n"), Step.HEAR)
            return [Secure(tls.server), greeting, Step.HEAR, *about, Say(b"w2 " + _IMAP_IN)]
        return [Secure(tls.server), greeting, Step.HEAR, Say(b"w1 " + _IMAP_IN)]

    def answer(self, asked: bytes) -> bytes:
        return asked.split()[0] + b" OK done\r\n"

    def upstream(self, tls: Tls, port: int, **limits: float) -> ImapUpstream:
        kind = AddressKind.IMAP_STARTTLS if self.starttls else AddressKind.IMAPS
        telling = Telling.ID if self.told else None
        place = _place(kind, tls, port)
        return ImapUpstream(place=place, sign_in_as=_AS_GATE, client_address=telling, **limits)

    def stage(self, tls: Tls) -> imap_stage.Stage:
        return imap_stage.Stage(tls)

    async def sign_in(self, client: Client) -> bytes:
        return await client.ask(LOGIN)

    async def works(self, client: Client) -> bool:
        return await client.ask(b"b NOOP\r\n") == b"b OK done\r\n"

    async def alive(self, client: Client) -> bool:
        return await client.ask(b"c NOOP\r\n") == b"c OK done\r\n"


@dataclass(frozen=True)
class Smtp:
    """RFC 5321, RFC 4954; `told` where the server is told who the client is, by Postfix's XCLIENT."""

    starttls: bool
    told: bool = False
    line: bytes = b"220-"
    farewell: bytes = b"421 4.3.2 going down\r\n"
    unavailable: bytes = smtp_front_stage.UNAVAILABLE

    def truth(self, tls: Tls) -> Script:
        greeting = Say(b"220 behind.example.org ESMTP\r\n")
        sign_in = (Say(_EHLO % b"AUTH PLAIN"), Step.HEAR, Say(b"235 2.7.0 in\r\n"))
        if self.starttls:
            offer = (Say(_EHLO % b"STARTTLS"), Step.HEAR, Say(b"220 2.0.0 go\r\n"), Secure(tls.server))
            return [greeting, Step.HEAR, *offer, Step.HEAR, *sign_in]
        if self.told:
            about = (Say(_EHLO % b"XCLIENT ADDR PORT PROTO HELO LOGIN"), Step.HEAR, greeting, Step.HEAR)
            return [Secure(tls.server), greeting, Step.HEAR, *about, *sign_in]
        return [Secure(tls.server), greeting, Step.HEAR, *sign_in]

    def answer(self, asked: bytes) -> bytes:
        return b"250 2.0.0 Ok\r\n"

    def upstream(self, tls: Tls, port: int, **limits: float) -> SmtpUpstream:
        kind = AddressKind.SMTP_STARTTLS if self.starttls else AddressKind.SMTPS
        telling = Telling.XCLIENT if self.told else None
        place = _place(kind, tls, port)
        return SmtpUpstream(place=place, sign_in_as=_AS_GATE, client_address=telling, **limits)

    def stage(self, tls: Tls) -> smtp_front_stage.Stage:
        return smtp_front_stage.Stage(tls, new_session=lambda *joined: Submission(*joined, SESSION))

    async def sign_in(self, client: Client) -> bytes:
        await smtp_front_stage.hello(client)
        return await client.ask(smtp_front_stage.AUTH)

    async def works(self, client: Client) -> bool:
        await client.send(b"MAIL FROM:<alice@example.org>\r\nRSET\r\n")
        return [await client.line() for _ in range(2)] == [b"250 2.0.0 Ok\r\n"] * 2

    async def alive(self, client: Client) -> bool:
        return await client.ask(b"NOOP\r\n") == b"250 2.0.0 done\r\n"


WIRES: dict[str, Wire] = {
    "imaps": Imap(starttls=False),
    "imap+starttls": Imap(starttls=True),
    "imaps, told": Imap(starttls=False, told=True),
    "smtps": Smtp(starttls=False),
    "smtp+starttls": Smtp(starttls=True),
    "smtps, told": Smtp(starttls=False, told=True),
}


def liar(wire: Wire, tls: Tls) -> Liar:
    """Give a server that tells no lie yet."""
    return Liar(truth=wire.truth(tls), answer=wire.answer)


def _place(kind: AddressKind, tls: Tls, port: int) -> Place:
    return Place(address=Address(kind=kind, host="127.0.0.1", port=port), tls=tls.client)


# --- an end of the honest dialogue, wherever it is the server's turn ----------------------------------------


def everywhere(wire: Wire, tls: Tls, ending: Callable[[Wire, bool], Script]) -> list[Script]:
    """Give the honest dialogue broken off at each turn of the server's, and ended in this way instead."""
    truth = wire.truth(tls)
    turns = [number for number, step in enumerate(truth) if step is not Step.HEAR]
    return [[*truth[:number], *ending(wire, isinstance(truth[number], Secure))] for number in turns]


SLOW: dict[str, Callable[[Wire, bool], Script]] = {
    "says nothing": lambda wire, handshake: [Step.SILENCE],
    "says an octet now and then": lambda wire, handshake: [
        Drip(_TLS_RECORD if handshake else wire.line + b"x")
    ],
}
"""Told whether the TLS handshake is expected. These end by our limit alone, all others at once."""
QUICK: dict[str, Callable[[Wire, bool], Script]] = {
    "closes": lambda wire, handshake: [Step.CLOSE],
    "resets": lambda wire, handshake: [Step.RESET],
    "says farewell": lambda wire, handshake: [Say(wire.farewell), Step.CLOSE],
    "says 1 MiB on one line": lambda wire, handshake: [Say(wire.line + b"x" * _MIB + b"\r\n")],
    "says lines without end": lambda wire, handshake: [Say((wire.line + b"x\r\n") * (_MIB // 8))],
    "says NUL": lambda wire, handshake: [Say(b"\0" * 64 + b"\r\n"), Step.CLOSE],
    "says what nobody knows": lambda wire, handshake: [Say(b"\xff\xfe hello?\r\n" * 9), Step.CLOSE],
}


# --- lies that have one place -------------------------------------------------------------------------------


def _at_greeting(said: bytes) -> Callable[[Wire, Tls], Script]:
    """Say this instead of the greeting."""

    def script(wire: Wire, tls: Tls) -> Script:
        return [Say(said)] if wire.starttls else [Secure(tls.server), Say(said)]

    return script


def _instead(of: bytes, said: bytes) -> Callable[[Wire, Tls], Script | None]:
    """Say this instead of what has these words; None where the wire has none."""

    def script(wire: Wire, tls: Tls) -> Script | None:
        truth = wire.truth(tls)
        for number, step in enumerate(truth):
            if isinstance(step, Say) and of in step.octets:
                return [*truth[:number], Say(said)]
        return None

    return script


def _changed(old: bytes, new: bytes) -> Callable[[Wire, Tls], Script]:
    """Change these words wherever they are said."""

    def script(wire: Wire, tls: Tls) -> Script:
        steps = wire.truth(tls)
        return [Say(each.octets.replace(old, new)) if isinstance(each, Say) else each for each in steps]

    return script


IMAP_LIES = {
    "PREAUTH": _at_greeting(b"* PREAUTH welcome\r\n"),
    "a tag nobody used, at STARTTLS": _instead(b"w1 OK go", b"w9 OK go\r\n"),
    "a tag nobody used, at the sign-in": _instead(b"] in\r\n", b"w9 " + _IMAP_IN),
    "a literal without end in the greeting": _at_greeting(b"* OK {999999}\r\n" + b"x" * _MIB),
    "a literal of nine hundred digits": _instead(b"] in\r\n", b"* X {" + b"9" * 900 + b"}\r\n"),
    "an answer in a literal in the greeting": _at_greeting(b"* OK {42}\r\nw1 " + _IMAP_IN),
    "an answer before the question": _at_greeting(b"* OK hi\r\nw1 " + _IMAP_IN),
    "no STARTTLS": _instead(
        b"STARTTLS", b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n* OK\r\nw1 OK\r\n"
    ),
    "a refused STARTTLS": _changed(b"OK go", b"NO not now"),
    "octets behind the OK to STARTTLS": _instead(b"w1 OK go", b"w1 OK go\r\nw2 " + _IMAP_IN),
    "a refused sign-in": _changed(_IMAP_IN, b"NO no\r\n"),
    "a sign-in put off": _changed(_IMAP_IN, b"NO [UNAVAILABLE] later\r\n"),
    "BYE in front of the OK to the sign-in": _changed(b"w", b"* BYE\r\nw"),
}
SMTP_LIES = {
    "421 for a greeting": _at_greeting(b"421 4.3.2 full\r\n"),
    "450 for a greeting": _at_greeting(b"450 4.3.2 full\r\n"),
    "554 for a greeting": _at_greeting(b"554 5.3.2 nobody here\r\n"),
    "a greeting of two codes": _at_greeting(b"220-behind\r\n250 behind\r\n"),
    "a bare line end in the greeting": _at_greeting(b"220-behind\n220 behind\r\n"),
    "220 for ever": _at_greeting(b"220 behind\r\n" * 20_000),
    "an answer before the question": _at_greeting(b"220 behind\r\n250 AUTH PLAIN\r\n"),
    "EHLO refused": _instead(b"250-", b"502 5.5.1 what?\r\n"),
    "no AUTH": _instead(b"AUTH PLAIN", _EHLO % b"8BITMIME"),
    "no mechanism of ours": _instead(b"AUTH PLAIN", _EHLO % b"AUTH LOGIN CRAM-MD5"),
    "no STARTTLS": _instead(b"STARTTLS", _EHLO % b"AUTH PLAIN"),
    "a refused STARTTLS": _instead(b"220 2.0.0 go", b"454 4.7.0 not now\r\n"),
    "octets behind the 220 to STARTTLS": _instead(b"220 2.0.0 go", b"220 2.0.0 go\r\n250 AUTH PLAIN\r\n"),
    "challenges without end": _instead(b"235", b"334 \r\n" * 9),
    "a refused sign-in": _instead(b"235", b"535 5.7.8 no\r\n"),
    "a sign-in put off": _instead(b"235", b"454 4.7.0 later\r\n"),
}
