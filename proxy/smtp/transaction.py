"""What a signed-in client may say when: commands in, steps out. RFC 5321 §4.1, RFC 6409.

Pure. Each line becomes one step: an answer of ours, a command for the upstream, or the like. What goes
upstream is written anew from what was understood; no octet of a client passes. The replies of the upstream
come back through `answered`, so that both agree where the transaction stands. One command of an allow-list is
forwarded; whatever else there is in SMTP is refused here, because the upstream trusts our address (XCLIENT,
XFORWARD, PROXY) or because it was not offered.

Octets follow a BDAT whether we take them or not. Where their number is known they are read and go nowhere
when the chunk is refused (RFC 3030 §2); where it is not, or CHUNKING is not offered, the session ends: they
would be read as commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from proxy.limits import ERRORS_PER_CONNECTION, SMTP_DRAIN_OCTETS
from proxy.smtp.grammar import (
    BadCommand,
    Bdat,
    Command,
    Line,
    MailFrom,
    Parameter,
    Rejected,
    bdat,
    mail_from,
    rcpt_to,
    reply,
    split,
    vrfy,
)
from proxy.smtp.offer import Extra, Offer
from proxy.smtp.reply import Reply
from proxy.smtp.steps import (
    Forward,
    HangUp,
    Introduce,
    Leave,
    Say,
    SkipChunk,
    Step,
    TakeChunk,
    TakeMessage,
    Verb,
)

# RFC 3463 §3.6: 5.5.1 invalid command, 5.5.4 invalid arguments.
_SIGNED_IN: Final = b"503 5.5.1 already signed in\r\n"
_UNKNOWN: Final = b"500 5.5.1 unknown command\r\n"
_NOT_HERE: Final = b"502 5.5.1 not available here\r\n"
_NO_ARGUMENT: Final = b"501 5.5.4 no argument is taken here\r\n"
_NESTED: Final = b"503 5.5.1 a transaction is open, RSET first\r\n"
_MAIL_FIRST: Final = b"503 5.5.1 MAIL first\r\n"
_RCPT_FIRST: Final = b"503 5.5.1 RCPT first\r\n"
_NOBODY: Final = b"554 5.5.1 no valid recipients\r\n"
_NOT_OFFERED: Final = b"555 5.5.4 a parameter that is not offered here\r\n"
_NO_SMTPUTF8: Final = b"555 5.6.7 the server behind takes no SMTPUTF8\r\n"
_NO_8BITMIME: Final = b"555 5.6.3 the server behind takes no BODY=8BITMIME\r\n"
_TOO_LARGE: Final = b"552 5.3.4 the message is larger than %d octets\r\n"
_NO_BDAT: Final = b"503 5.5.1 CHUNKING is not offered\r\n"
_NO_CHUNKING: Final = b"555 5.5.4 the server behind takes no BDAT\r\n"
_CHUNKS_BEGUN: Final = b"503 5.5.1 the message has begun with BDAT\r\n"
_CHUNK_FAILED: Final = b"503 5.5.1 a chunk before this one was refused, RSET first\r\n"
_UNCOUNTED: Final = b"421 4.7.0 what follows BDAT is no command, closing\r\n"
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

    utf8: bool  # MAIL said SMTPUTF8
    asked: int = 0  # recipients sent upstream
    taken: int = 0  # and accepted there
    chunks: bool = False  # the message has begun with BDAT
    octets: int = 0  # of the chunks that the upstream took
    failed: bool = False  # a chunk was refused, so is every other one


@dataclass(slots=True)
class Transaction:
    """Where one session stands."""

    offers: Mapping[str, str]
    """What its upstream offers: keyword → parameters."""
    promised: Offer
    """What we offer."""
    _open: _Open | None = None
    _errors: int = 0
    _skipped: int = 0  # octets of refused chunks since a message was accepted
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
                b"BDAT": self._bdat,
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

    def chunk_answered(self, chunk: Bdat, said: Reply) -> None:
        """Take notice of the upstream's reply to a chunk; the one to the last is about the message."""
        if chunk.last:
            self.accepted() if said.positive else self.closed()
        elif self._open is not None:
            self._open.octets += chunk.octets
            self._open.failed = not said.positive

    @property
    def utf8(self) -> bool:
        """Whether MAIL said SMTPUTF8."""
        return self._open is not None and self._open.utf8

    @property
    def awaits_chunks(self) -> bool:
        """Whether a message has begun, and its last chunk is still to come."""
        return self._open is not None and self._open.chunks and not self._open.failed

    def closed(self) -> None:
        """The transaction is over, by a message or by its refusal."""
        self._open = None

    def accepted(self) -> None:
        """A message was taken by the upstream: whoever sends mail is not guessing at commands."""
        self._open = None
        self._errors = self._skipped = 0

    def _rejected(self, line: Rejected) -> Step:
        said = reply(line.why)
        return HangUp(said + _UNCOUNTED) if line.verb == b"BDAT" else Say(said)

    def _line(self, line: Line) -> Step:
        try:
            command = split(line.octets)
            return self._command(command)
        except BadCommand as bad:
            uncounted = line.octets.lstrip()[:4].upper() == b"BDAT"
            return HangUp(bad.reply + _UNCOUNTED) if uncounted else Say(bad.reply)

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
        self._open = _Open(mail.utf8)
        sender = None if mail.sender is None else str(mail.sender)
        kept = (each for each in mail.parameters if _OF_MAIL[each.keyword] in self.offers)
        return Forward(Verb.MAIL, MailFrom(mail.sender, tuple(kept)).wire, sender, mail.utf8)

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
                case "SMTPUTF8", _ if extension in self.promised.extras and extension not in self.offers:
                    return _NO_SMTPUTF8
                case _ if extension not in self.promised.extras or extension not in self.offers:
                    return _NOT_OFFERED
        return None

    def _rcpt(self, argument: bytes) -> Step:
        recipient = rcpt_to(argument, utf8=self._open is None or self._open.utf8)
        if self._open is None:
            return Say(_MAIL_FIRST)
        if self._open.chunks:
            return Say(_CHUNKS_BEGUN)
        said = self._refusal(recipient.parameters, _OF_RCPT)
        if said is not None:
            return Say(said)
        self._open.asked += 1
        return Forward(Verb.RCPT, recipient.wire, utf8=self._open.utf8)

    def _data(self, argument: bytes) -> Step:
        """RFC 3030 §2: a message comes by DATA or by BDAT, never by both."""
        if argument:
            return Say(_NO_ARGUMENT)
        missing = self._missing()
        if missing is None and self._open is not None and self._open.chunks:
            return Say(_CHUNKS_BEGUN)
        return TakeMessage() if missing is None else Say(missing)

    def _missing(self) -> bytes | None:
        """Say what is missing for a message: without a recipient there is nothing to take (RFC 5321 §3.3)."""
        if self._open is None:
            return _MAIL_FIRST
        if not self._open.asked:
            return _RCPT_FIRST
        return None if self._open.taken else _NOBODY

    def _bdat(self, argument: bytes) -> Step:
        """RFC 3030 §2: one chunk; when one is refused, so are those that were sent behind it."""
        if Extra.CHUNKING not in self.promised.extras:
            return HangUp(_NO_BDAT + _UNCOUNTED)
        chunk = bdat(argument)
        missing = self._missing()
        if missing is not None or self._open is None:
            return self._skip(chunk, missing or _MAIL_FIRST)
        refusal = self._refusal_of(chunk, self._open)
        if refusal is None:
            self._open.chunks = True
            return TakeChunk(chunk)
        self._open.chunks = self._open.failed = True
        return self._skip(chunk, refusal, resets=chunk.last)

    def _refusal_of(self, chunk: Bdat, begun: _Open) -> bytes | None:
        most = self.promised.size_octets
        if begun.failed:
            return _CHUNK_FAILED
        if Extra.CHUNKING not in self.offers:
            return _NO_CHUNKING
        return too_large(most) if 0 < most < begun.octets + chunk.octets else None

    def _skip(self, chunk: Bdat, said: bytes, *, resets: bool = False) -> Step:
        """Refuse a chunk. That counts as no bad command: it may have been sent before it could be known."""
        self._skipped += chunk.octets
        if self._skipped > SMTP_DRAIN_OCTETS:
            return HangUp(said + _UNCOUNTED)
        return SkipChunk(chunk.octets, said, resets)

    def _reset(self, argument: bytes) -> Step:
        return Say(_NO_ARGUMENT) if argument else Forward(Verb.RSET, b"RSET\r\n")

    def _verify(self, argument: bytes) -> Step:
        """RFC 6531 §3.7.4.2: beyond ASCII, or with its parameter, where SMTPUTF8 is."""
        whom = vrfy(argument)
        if whom.utf8 or not whom.wire.isascii():
            if Extra.SMTPUTF8 not in self.promised.extras:
                return Say(_NOT_OFFERED)
            if Extra.SMTPUTF8 not in self.offers:
                return Say(_NO_SMTPUTF8)
        return Forward(Verb.VRFY, whom.wire, utf8=whom.utf8)

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
