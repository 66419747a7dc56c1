"""The client's side before sign-in: lines in, replies and events out. RFC 5321, RFC 3207, RFC 4954.

Pure. The shell feeds what it received, sends what `take_output` gives and obeys the event of `next`. What may
be said in which state is the table in `command`. In `SIGNING_IN` nothing is read: octets sent behind a
sign-in wait here, in order, until `granted` hands them over once or `refused` lets them be read. At STARTTLS
everything heard in clear is forgotten (CVE-2011-0411).

A refused sign-in leaves the connection open; too many of them, too many errors or commands and a browser's
first line close it with 421.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from auth import sasl
from auth.refusal import Reason, Refusal
from proxy.dialog import HTTP_VERBS, ClientState, Counts, Ending, Event, HangUp, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import House, smtp_refusal
from proxy.limits import (
    COMMANDS_PER_CONNECTION,
    ERRORS_PER_CONNECTION,
    PIPELINED_OCTETS,
    SIGN_IN_FAILURES_PER_CONNECTION,
    SMTP_LINE_OCTETS,
    SMTP_SASL_LINE_OCTETS,
)
from proxy.smtp import offer
from proxy.smtp.command import (
    Auth,
    Hello,
    Help,
    Noop,
    Quit,
    Request,
    Reset,
    StartTls,
    Verdict,
    understand,
    verdict,
)
from proxy.smtp.grammar import BadCommand, Framer, Line, LineLimits, NeedData, Rejected, Why, reply, split

LINE_LIMITS: Final = LineLimits(command=SMTP_LINE_OCTETS, sasl=SMTP_SASL_LINE_OCTETS)

_REFUSED: Final = MappingProxyType(
    {
        Verdict.TLS_FIRST: b"530 5.7.0 must issue a STARTTLS command first",
        Verdict.AUTH_NEEDS_TLS: b"538 5.7.11 encryption required: STARTTLS comes first",
        Verdict.SIGN_IN_FIRST: b"530 5.7.0 authentication required",
        Verdict.TLS_ALREADY: b"503 5.5.1 TLS is on already",
    }
)
# RFC 4954 §4: what cannot be decoded is 5.5.2, a cancelled exchange is 501 as well.
_GAVE_UP: Final = MappingProxyType(
    {
        sasl.SaslProblem.BAD_BASE64: b"501 5.5.2 bad base64",
        sasl.SaslProblem.CANCELLED: b"501 5.7.0 authentication cancelled",
        sasl.SaslProblem.MALFORMED: b"501 5.5.2 malformed authentication",
    }
)
_STATUS: Final = MappingProxyType(
    {Ending.STOPPING: b"4.3.2", Ending.TOO_SLOW: b"4.4.2", Ending.FAULT: b"4.3.0"}
)


@dataclass(slots=True)
class _Heard:
    """What the client has told so far; forgotten at STARTTLS."""

    client_name: str = ""
    extended: bool = False  # it has said EHLO
    exchange: sasl.Mechanism | None = field(default=None, repr=False)


class ClientLeg:
    """One connection up to its sign-in. `secure`: TLS protects it from its first octet."""

    def __init__(self, house: House, offered: offer.Offer, *, secure: bool) -> None:
        self.state = ClientState.SECURE if secure else ClientState.CLEAR
        self._house = house
        self._offered = offered
        self._framer = Framer(LINE_LIMITS)
        self._heard = _Heard()
        self._counts = Counts()
        self._event: Event | None = None
        self._output = bytearray(b"220 " + house.host.encode("ascii") + b" ESMTP Wicketgate\r\n")

    @property
    def room(self) -> int:
        """How many octets may still be fed while nothing is read."""
        return max(PIPELINED_OCTETS - self._framer.held, 0)

    def receive(self, data: bytes) -> None:
        """Take octets of the client."""
        self._framer.feed(data)

    def take_output(self) -> bytes:
        """Give what is to be sent to the client now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def next(self) -> Event | None:
        """Give the next event, or None when nothing can happen before more octets or an answer come."""
        while self._event is None and self.state in (ClientState.CLEAR, ClientState.SECURE, ClientState.SASL):
            match self._framer.next():
                case NeedData():
                    return None
                case Rejected() as rejected:
                    self._rejected(rejected)
                case Line(octets):
                    self._line(octets)
        event, self._event = self._event, None
        return event

    def secured(self) -> None:
        """The TLS handshake is done; what was said in clear is forgotten (RFC 3207 §4.2)."""
        self._framer.unread()
        self._heard = _Heard()
        self.state = ClientState.SECURE

    def granted(self) -> bytes:
        """Say 235 and give the octets the client sent behind its sign-in."""
        self._say(b"235 2.7.0 signed in")
        self.state = ClientState.SIGNED_IN
        return self._framer.unread()

    def refused(self, refusal: Refusal) -> None:
        """Say why not; the client may try again a few times."""
        self.state = ClientState.SECURE
        self._output += smtp_refusal(refusal, self._house)
        self._counts.refused += 1
        if refusal.reason is Reason.TOO_MUCH_WORK:
            self._bye(b"4.7.0 too many wrong sign-ins from your address")
        elif self._counts.refused >= SIGN_IN_FAILURES_PER_CONNECTION:
            self._bye(b"4.7.0 too many refused sign-ins")

    def farewell(self, ending: Ending) -> None:
        """Say 421 on our own account, in a session that could not too, and close. Never when TLS is due."""
        if self.state is not ClientState.SWITCHING:
            self._bye(_STATUS[ending] + b" " + ending.encode("ascii"))

    # --- lines ----------------------------------------------------------------------------------------------

    def _rejected(self, rejected: Rejected) -> None:
        if self._from_browser(rejected.verb):
            return
        in_exchange = self._heard.exchange is not None
        self._end_exchange()
        if in_exchange and rejected.why is Why.LINE_TOO_LONG:
            self._error(b"500 5.5.6 authentication exchange line is too long")  # RFC 4954 §6
        else:
            self._error(reply(rejected.why).rstrip())
            self._hang_up_on_chunk(rejected.verb)

    def _line(self, octets: bytes) -> None:
        exchange = self._heard.exchange
        if exchange is not None:
            self._exchange(lambda: exchange.step(octets))
            return
        if self._is_one_too_many():
            return
        try:
            command = split(octets)
            if self._from_browser(command.verb) or not self._is_legal(command.verb):
                return
            request = understand(command)
        except BadCommand as bad:
            self._error(bad.reply.rstrip())
        else:
            self._obey(request)

    def _is_one_too_many(self) -> bool:
        """Count a command, good or bad; answering them for ever would keep others waiting."""
        self._counts.commands += 1
        if self._counts.commands <= COMMANDS_PER_CONNECTION:
            return False
        self._bye(b"4.7.0 too many commands")
        return True

    def _from_browser(self, verb: bytes) -> bool:
        """Hang up on HTTP at its first line."""
        if verb not in HTTP_VERBS:
            return False
        self._bye(b"4.7.0 this is SMTP")
        return True

    def _is_legal(self, verb: bytes) -> bool:
        found = verdict(self.state, verb)
        if found is Verdict.TAKEN:
            return True
        self._error(_REFUSED[found])
        self._hang_up_on_chunk(verb)
        return False

    def _hang_up_on_chunk(self, verb: bytes) -> None:
        """Close behind BDAT: octets follow, and they would be read as commands (RFC 3030 §2)."""
        if verb == b"BDAT":
            self._bye(b"4.7.0 what follows BDAT is no command")

    def _obey(self, request: Request) -> None:
        match request:
            case Hello(extended, client_name):
                self._hello(client_name, extended=extended)
            case Noop() | Reset():
                self._say(b"250 2.0.0 done")
            case Help():
                self._say(b"214 2.0.0 EHLO HELO STARTTLS AUTH NOOP RSET HELP QUIT")
            case Quit():
                self._say(b"221 2.0.0 see you")
                self._close()
            case StartTls():
                self._say(b"220 2.0.0 begin TLS now")
                self._framer.unread()
                self.state = ClientState.SWITCHING
                self._event = SwitchToTls()
            case Auth(mechanism, initial):
                self._authenticate(mechanism, initial)

    def _hello(self, client_name: str, *, extended: bool) -> None:
        self._heard.client_name = client_name
        self._heard.extended = extended
        if extended:
            more = offer.STARTTLS if self.state is ClientState.CLEAR else offer.AUTH
            self._output += self._offered.ehlo(self._house, more)
        else:
            self._output += offer.helo(self._house)

    # --- sign-in --------------------------------------------------------------------------------------------

    def _authenticate(self, mechanism: bytes, initial: bytes | None) -> None:
        if not self._heard.extended:  # RFC 4954 §3: AUTH is an extension, and EHLO begins the use of any
            self._error(b"503 5.5.1 EHLO comes first")
            return
        exchange = sasl.mechanism(mechanism)
        if exchange is None:
            self._error(b"504 5.5.4 mechanism not offered")
            return
        self._heard.exchange = exchange
        self._exchange(lambda: exchange.start(initial))

    def _exchange(self, step: Callable[[], sasl.Challenge | sasl.Credentials]) -> None:
        """Take one step of a sign-in: ask on, ask the gate, or give it up."""
        try:
            outcome = step()
        except sasl.SaslError as error:
            self._end_exchange()
            self._error(_GAVE_UP[error.problem])
            return
        match outcome:
            case sasl.Challenge(line=line):
                self._say(b"334 " + line)
                self._framer.expect_sasl()
                self.state = ClientState.SASL
            case sasl.Credentials(name=name, secret=secret, authzid=authzid):
                self._heard.exchange = None
                self.state = ClientState.SIGNING_IN
                self._event = Asked(
                    name=name, secret=secret, authzid=authzid, client_name=self._heard.client_name
                )

    def _end_exchange(self) -> None:
        if self._heard.exchange is not None:
            self._heard.exchange = None
            self.state = ClientState.SECURE

    # --- words ----------------------------------------------------------------------------------------------

    def _say(self, line: bytes) -> None:
        self._output += line + b"\r\n"

    def _error(self, line: bytes) -> None:
        self._say(line)
        self._counts.errors += 1
        if self._counts.errors > ERRORS_PER_CONNECTION:
            self._bye(b"4.7.0 too many errors")

    def _bye(self, words: bytes) -> None:
        if self.state is not ClientState.CLOSING:
            self._say(b"421 " + words)
            self._close()

    def _close(self) -> None:
        self._framer.unread()
        self.state = ClientState.CLOSING
        self._event = HangUp()
