"""The client's side before sign-in: commands in, replies and events out. RFC 9051, RFC 3501.

Pure. The shell feeds what it received, sends what `take_output` gives and obeys the event of `next`. What may
be said in which state is the table in `command`. In `SIGNING_IN` nothing is read: octets sent behind a
sign-in wait here, in order, until `granted` hands them over once or `refused` lets them be read. At STARTTLS
everything heard in clear is forgotten (CVE-2011-0411).

A refused sign-in leaves the connection open; too many of them, too many errors or commands, lost framing and
a browser's first line close it after a last word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from auth import sasl
from auth.refusal import Refusal
from proxy.dialog import HTTP_VERBS, ClientState, Counts, Ending, Event, HangUp, SwitchToTls
from proxy.entrance import Asked
from proxy.failures import House, imap_no
from proxy.imap.command import (
    Authenticate,
    Capability,
    Id,
    Login,
    Logout,
    Noop,
    StartTls,
    Verdict,
    understand,
    verdict,
)
from proxy.imap.grammar import (
    BadCommand,
    Continue,
    Frame,
    FrameLimits,
    Framer,
    NeedData,
    Rejected,
    SaslLine,
    parse,
    split,
)
from proxy.limits import (
    COMMANDS_PER_CONNECTION,
    ERRORS_PER_CONNECTION,
    IMAP_COMMAND_OCTETS,
    IMAP_LINE_OCTETS,
    IMAP_LITERAL_DIGITS,
    IMAP_LITERAL_OCTETS,
    IMAP_LITERALS,
    IMAP_NESTING,
    IMAP_SASL_LINE_OCTETS,
    PIPELINED_OCTETS,
    SIGN_IN_FAILURES_PER_CONNECTION,
)

CAPABILITIES_CLEAR: Final = b"IMAP4rev1 LITERAL- ID STARTTLS LOGINDISABLED"
CAPABILITIES_SECURE: Final = b"IMAP4rev1 SASL-IR LITERAL- ID AUTH=PLAIN AUTH=LOGIN"
"""Constant: no upstream is asked before sign-in, and nothing shown is refused later."""

FRAME_LIMITS: Final = FrameLimits(
    line=IMAP_LINE_OCTETS,
    sasl_line=IMAP_SASL_LINE_OCTETS,
    literal=IMAP_LITERAL_OCTETS,
    non_sync_literal=IMAP_LITERAL_OCTETS,
    digits=IMAP_LITERAL_DIGITS,
    literals=IMAP_LITERALS,
    command=IMAP_COMMAND_OCTETS,
)


@dataclass(slots=True)
class _Heard:
    """What the client has told so far; forgotten at STARTTLS."""

    client_name: str = ""
    tag: bytes = b""  # of the sign-in in progress
    exchange: sasl.Mechanism | None = field(default=None, repr=False)


class ClientLeg:
    """One connection up to its sign-in. `secure`: TLS protects it from its first octet."""

    def __init__(self, house: House, *, secure: bool) -> None:
        self.state = ClientState.SECURE if secure else ClientState.CLEAR
        self._house = house
        self._framer = Framer(FRAME_LIMITS)
        self._heard = _Heard()
        self._counts = Counts()
        self._event: Event | None = None
        self._output = bytearray(b"* OK [CAPABILITY " + self._capabilities() + b"] Wicketgate is ready\r\n")

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
                case Continue() as announced:
                    self._literal(announced)
                case SaslLine(octets):
                    self._sasl_line(octets)
                case Frame() as frame:
                    self._frame(frame)
        event, self._event = self._event, None
        return event

    def secured(self) -> None:
        """The TLS handshake is done; what was said in clear is forgotten."""
        self._framer.unread()
        self._heard = _Heard()
        self.state = ClientState.SECURE

    def granted(self, capabilities: bytes, alert: str = "") -> bytes:
        """Say the one tagged OK and give the octets the client sent behind its sign-in.

        An `alert`, in printable ASCII, is said before (RFC 9051 §7.1).
        """
        if alert:
            self._say(b"*", b"OK [ALERT] " + alert.encode("ascii"))
        self._say(self._heard.tag, b"OK [CAPABILITY " + capabilities + b"] signed in")
        self.state = ClientState.SIGNED_IN
        return self._framer.unread()

    def refused(self, refusal: Refusal) -> None:
        """Say why not; the client may try again a few times."""
        self.state = ClientState.SECURE
        self._say(self._heard.tag, imap_no(refusal, self._house).encode("ascii"))
        self._counts.refused += 1
        if self._counts.refused >= SIGN_IN_FAILURES_PER_CONNECTION:
            self._bye(b"too many refused sign-ins")

    def farewell(self, ending: Ending) -> None:
        """Say BYE on our own account, and close. Nothing is said once octets pass through or TLS is due."""
        if self.state not in (ClientState.SWITCHING, ClientState.SIGNED_IN, ClientState.CLOSING):
            self._bye(ending.encode("ascii"))

    # --- frames ---------------------------------------------------------------------------------------------

    def _rejected(self, rejected: Rejected) -> None:
        if not self._from_browser(rejected.tag):
            self._bad(rejected.tag, rejected.why.encode("ascii"))
        if rejected.close:
            self._bye(b"cannot go on after that")

    def _literal(self, announced: Continue) -> None:
        """Ask for a literal only where its command can be taken."""
        if self._is_legal(announced.opening):
            self._say(b"+", b"go ahead")
        else:
            self._framer.refuse()

    def _frame(self, frame: Frame) -> None:
        if self._is_one_too_many() or not self._is_legal(frame):
            return
        try:
            command = parse(frame, nesting=IMAP_NESTING)
            request = understand(command)
        except BadCommand as error:
            self._bad(error.tag, error.why.encode("ascii"))
            return
        match request:
            case Capability():
                self._say(b"*", b"CAPABILITY " + self._capabilities())
            case Id(client_name):
                self._heard.client_name = client_name
                self._say(b"*", b'ID ("name" "Wicketgate")')
            case Logout():
                self._say(b"*", b"BYE see you")
                self._close()
            case StartTls():
                self._start_tls(command.tag)
                return
            case Login(name, secret):
                self._heard.tag = command.tag
                self._exchange(lambda: sasl.credentials(name, secret.reveal_bytes()))
                return
            case Authenticate(mechanism, initial):
                self._authenticate(command.tag, mechanism, initial)
                return
            case Noop():
                pass
        self._say(command.tag, b"OK done")

    def _is_one_too_many(self) -> bool:
        """Count a command, good or bad; answering them for ever would keep others waiting."""
        self._counts.commands += 1
        if self._counts.commands <= COMMANDS_PER_CONNECTION:
            return False
        self._bye(b"too many commands")
        return True

    def _is_legal(self, frame: Frame) -> bool:
        """Look a command up by its first words; what is not taken is answered here."""
        try:
            head = split(frame)
        except BadCommand as error:
            if not self._from_browser(error.tag):
                self._bad(error.tag, error.why.encode("ascii"))
            return False
        if self._from_browser(head.tag):
            return False
        match verdict(self.state, head.name):
            case Verdict.TAKEN:
                return True
            case Verdict.NEEDS_TLS:
                self._say(head.tag, b"NO [PRIVACYREQUIRED] STARTTLS comes first")
                self._count_error()
            case Verdict.BAD:
                self._bad(head.tag, b"not known, or not allowed now")
        return False

    def _from_browser(self, tag: bytes | None) -> bool:
        """Hang up on HTTP at its first line."""
        if tag is None or tag.upper() not in HTTP_VERBS:
            return False
        self._bye(b"this is IMAP")
        return True

    def _start_tls(self, tag: bytes) -> None:
        self._say(tag, b"OK begin TLS now")
        self._framer.unread()
        self.state = ClientState.SWITCHING
        self._event = SwitchToTls()

    # --- sign-in --------------------------------------------------------------------------------------------

    def _authenticate(self, tag: bytes, mechanism: bytes, initial: bytes | None) -> None:
        exchange = sasl.mechanism(mechanism)
        if exchange is None:
            self._say(tag, b"NO mechanism not offered")
            self._count_error()
            return
        self._heard.tag = tag
        self._heard.exchange = exchange
        self._exchange(lambda: exchange.start(initial))

    def _sasl_line(self, octets: bytes) -> None:
        exchange = self._heard.exchange
        if exchange is not None:
            self._exchange(lambda: exchange.step(octets))

    def _exchange(self, step: Callable[[], sasl.Challenge | sasl.Credentials]) -> None:
        """Take one step of a sign-in: ask on, ask the gate, or give it up."""
        try:
            outcome = step()
        except sasl.SaslError as error:
            self._gave_up(error.problem)
            return
        match outcome:
            case sasl.Challenge(line=line):
                self._say(b"+", line)
                self._framer.expect_sasl()
                self.state = ClientState.SASL
            case sasl.Credentials(name=name, secret=secret, authzid=authzid):
                self._heard.exchange = None
                self.state = ClientState.SIGNING_IN
                self._event = Asked(
                    name=name, secret=secret, authzid=authzid, client_name=self._heard.client_name
                )

    def _gave_up(self, problem: sasl.SaslProblem) -> None:
        self._heard.exchange = None
        self.state = ClientState.SECURE
        self._bad(self._heard.tag, problem.encode("ascii"))

    # --- words ----------------------------------------------------------------------------------------------

    def _capabilities(self) -> bytes:
        return CAPABILITIES_CLEAR if self.state is ClientState.CLEAR else CAPABILITIES_SECURE

    def _say(self, tag: bytes, words: bytes) -> None:
        self._output += tag + b" " + words + b"\r\n"

    def _bad(self, tag: bytes | None, words: bytes) -> None:
        if self.state is ClientState.SASL:  # what was no line of the exchange ends it
            tag = self._heard.tag
            self._heard.exchange = None
            self.state = ClientState.SECURE
        self._say(tag or b"*", b"BAD " + words)
        self._count_error()

    def _count_error(self) -> None:
        self._counts.errors += 1
        if self._counts.errors > ERRORS_PER_CONNECTION:
            self._bye(b"too many errors")

    def _bye(self, words: bytes) -> None:
        if self.state is not ClientState.CLOSING:
            self._say(b"*", b"BYE " + words)
            self._close()

    def _close(self) -> None:
        self._framer.unread()
        self.state = ClientState.CLOSING
        self._event = HangUp()
