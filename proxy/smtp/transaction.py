"""What a signed-in client may say when: commands in, steps out. RFC 5321 §4.1, RFC 6409.

Pure. Each line becomes one step: an answer of ours, a command for the upstream, or the like. What goes
upstream is written anew from what was understood; no octet of a client passes. The replies of the upstream
come back through `answered`, so that both agree where the transaction stands. One command of an allow-list is
forwarded; whatever else there is in SMTP is refused here, because the upstream trusts our address (XCLIENT,
XFORWARD, PROXY) or because it was not offered.

BDAT ends the session: octets follow it whether we take them or not, and they would be read as commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from proxy.limits import ERRORS_PER_CONNECTION
from proxy.smtp.grammar import (
    BadCommand,
    Command,
    Line,
    MailFrom,
    Parameter,
    Rejected,
    mail_from,
    rcpt_to,
    reply,
    split,
)
from proxy.smtp.offer import Offer
from proxy.smtp.reply import Reply


class Verb(StrEnum):
    """Commands that the upstream gets."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    RSET = "RSET"
    NOOP = "NOOP"
    VRFY = "VRFY"
    QUIT = "QUIT"


@dataclass(frozen=True, slots=True)
class Say:
    """Answer the client ourselves."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """Say this, and end the session."""

    words: bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """Send this upstream; its reply is the client's. `sender` is set where a sender is to be checked."""

    verb: Verb
    command: bytes
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Introduce:
    """Answer EHLO or HELO ourselves; the upstream gets RSET where a transaction was open there."""

    extended: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class TakeMessage:
    """Take a message, DATA going upstream when its time has come."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The client says goodbye."""


Step = Say | HangUp | Forward | Introduce | TakeMessage | Leave

# RFC 3463 §3.6: 5.5.1 invalid command, 5.5.4 invalid arguments.
_SIGNED_IN: Final = b"503 5.5.1 already signed in\r\n"
_UNKNOWN: Final = b"500 5.5.1 unknown command\r\n"
_NOT_HERE: Final = b"502 5.5.1 not available here\r\n"
_NO_ARGUMENT: Final = b"501 5.5.4 no argument is taken here\r\n"
_WHOM: Final = b"501 5.5.4 whom?\r\n"
_NESTED: Final = b"503 5.5.1 a transaction is open, RSET first\r\n"
_MAIL_FIRST: Final = b"503 5.5.1 MAIL first\r\n"
_RCPT_FIRST: Final = b"503 5.5.1 RCPT first\r\n"
_NOBODY: Final = b"554 5.5.1 no valid recipients\r\n"
_NOT_OFFERED: Final = b"555 5.5.4 a parameter that is not offered here\r\n"
_NO_8BITMIME: Final = b"555 5.6.3 the server behind takes no BODY=8BITMIME\r\n"
_TOO_LARGE: Final = b"552 5.3.4 the message is larger than %d octets\r\n"
_NO_BDAT: Final = (
    b"503 5.5.1 CHUNKING is not offered\r\n421 4.7.0 what follows BDAT is no command, closing\r\n"
)
_TOO_MANY_ERRORS: Final = b"421 4.7.0 too many bad commands\r\n"

_REFUSED: Final[Mapping[bytes, bytes]] = MappingProxyType(
    {
        b"AUTH": _SIGNED_IN,
        b"STARTTLS": b"503 5.5.1 TLS is there already\r\n",
        **dict.fromkeys((b"XCLIENT", b"XFORWARD", b"PROXY", b"ETRN", b"TURN", b"ATRN"), _NOT_HERE),
        **dict.fromkeys((b"EXPN", b"HELP", b"SEND", b"SOML", b"SAML", b"BURL"), _NOT_HERE),
    }
)


def too_large(octets: int) -> bytes:
    """Give the refusal of a message beyond the limit (RFC 1870 §6)."""
    return _TOO_LARGE % octets


@dataclass(slots=True)
class _Open:
    """The open transaction."""

    asked: int = 0  # recipients sent upstream
    taken: int = 0  # and accepted there


@dataclass(slots=True)
class Transaction:
    """Where one session stands."""

    offers: Mapping[str, str]
    """What its upstream offers: keyword → parameters."""
    promised: Offer
    """What we offer."""
    _open: _Open | None = None
    _errors: int = 0
    _handlers: Mapping[bytes, Callable[[bytes], Step]] = field(init=False)

    def __post_init__(self) -> None:
        self._handlers = MappingProxyType(
            {
                b"MAIL": self._mail,
                b"RCPT": self._rcpt,
                b"DATA": self._data,
                b"RSET": self._reset,
                b"NOOP": lambda _: Forward(Verb.NOOP, b"NOOP\r\n"),
                b"VRFY": self._verify,
                b"QUIT": lambda argument: Leave() if not argument else Say(_NO_ARGUMENT),
                b"EHLO": lambda _: self._introduce(extended=True),
                b"HELO": lambda _: self._introduce(extended=False),
                b"BDAT": lambda _: HangUp(_NO_BDAT),
            }
        )

    def step(self, line: Line | Rejected) -> Step:
        """Give what is to be done about a line. Only MAIL's and RCPT's own replies may be outstanding."""
        step = self._rejected(line) if isinstance(line, Rejected) else self._line(line)
        if not isinstance(step, Say) or step.reply[:1] != b"5":
            return step
        self._errors += 1
        return step if self._errors <= ERRORS_PER_CONNECTION else HangUp(_TOO_MANY_ERRORS)

    def answered(self, verb: Verb, said: Reply) -> None:
        """Take notice of the upstream's reply to a forwarded command, in the order of the commands."""
        match verb:
            case Verb.MAIL if not said.positive:
                self._open = None
            case Verb.RCPT if said.positive and self._open is not None:
                self._open.taken += 1
            case Verb.RSET if said.positive:
                self._open = None

    def closed(self) -> None:
        """The transaction is over, by a message or by its refusal."""
        self._open = None

    def accepted(self) -> None:
        """A message was taken by the upstream: whoever sends mail is not guessing at commands."""
        self._open = None
        self._errors = 0

    def _rejected(self, line: Rejected) -> Step:
        return HangUp(_NO_BDAT) if line.verb == b"BDAT" else Say(reply(line.why))

    def _line(self, line: Line) -> Step:
        try:
            command = split(line.octets)
            return self._command(command)
        except BadCommand as bad:
            return Say(bad.reply)

    def _command(self, command: Command) -> Step:
        handler = self._handlers.get(command.verb)
        if handler is None:
            return Say(_REFUSED.get(command.verb, _UNKNOWN))
        return handler(command.argument)

    def _mail(self, argument: bytes) -> Step:
        mail = mail_from(argument)
        if self._open is not None:
            return Say(_NESTED)
        said = self._refusal(mail.parameters, _OF_MAIL)
        if said is not None:
            return Say(said)
        self._open = _Open()
        sender = None if mail.sender is None else str(mail.sender)
        kept = (each for each in mail.parameters if _OF_MAIL[each.keyword] in self.offers)
        return Forward(Verb.MAIL, MailFrom(mail.sender, tuple(kept)).wire, sender)

    def _refusal(self, parameters: Iterable[Parameter], known: Mapping[str, str]) -> bytes | None:
        """Give the refusal of what may not pass. SIZE and 7BIT nobody misses at the upstream."""
        most = self.promised.size_octets
        for each in parameters:
            extension = known.get(each.keyword)
            match each.keyword, (each.value or "").upper():
                case "SIZE", size if extension:
                    if 0 < most < int(size):
                        return too_large(most)
                case "BODY", "7BIT" if extension:
                    continue
                case "BODY", "8BITMIME" if extension:  # RFC 6152 §3: it may neither be changed nor kept back
                    if "8BITMIME" not in self.offers:
                        return _NO_8BITMIME
                case "BODY", _:
                    return _NOT_OFFERED
                case _ if extension not in self.promised.extras or extension not in self.offers:
                    return _NOT_OFFERED
        return None

    def _rcpt(self, argument: bytes) -> Step:
        recipient = rcpt_to(argument)
        if self._open is None:
            return Say(_MAIL_FIRST)
        said = self._refusal(recipient.parameters, _OF_RCPT)
        if said is not None:
            return Say(said)
        self._open.asked += 1
        return Forward(Verb.RCPT, recipient.wire)

    def _data(self, argument: bytes) -> Step:
        """RFC 5321 §3.3: without a recipient there is nothing to take."""
        if argument:
            return Say(_NO_ARGUMENT)
        if self._open is None:
            return Say(_MAIL_FIRST)
        if not self._open.asked:
            return Say(_RCPT_FIRST)
        return TakeMessage() if self._open.taken else Say(_NOBODY)

    def _reset(self, argument: bytes) -> Step:
        return Say(_NO_ARGUMENT) if argument else Forward(Verb.RSET, b"RSET\r\n")

    def _verify(self, argument: bytes) -> Step:
        if not argument or not argument.isascii() or not argument.decode("ascii").isprintable():
            return Say(_WHOM)
        return Forward(Verb.VRFY, b"VRFY " + argument + b"\r\n")

    def _introduce(self, *, extended: bool) -> Step:
        """RFC 5321 §4.1.4: EHLO in a session resets what is open."""
        step = Introduce(extended=extended, reset=self._open is not None)
        self._open = None
        return step


# Which extension a parameter belongs to: RFC 1870, RFC 6152, RFC 6531, RFC 3461.
_OF_MAIL: Final[Mapping[str, str]] = MappingProxyType(
    {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN"}
)
_OF_RCPT: Final[Mapping[str, str]] = MappingProxyType({"NOTIFY": "DSN", "ORCPT": "DSN"})
