"""One IMAP session of the embedded server (RFC 3501, 2177, 4315, 4959, 6154, 7888): from octets to handlers.

Built on Twisted's `IMAP4Server`: its replies, its time-outs, and its handlers where they are sound. Every
octet enters by `dataReceived`, is cut by our own grammar and meets the table of `commands`; Twisted's line
parser, which takes literals for commands and repeats credentials, is never reached. Only the gate can sign
in. Commands run one after the other, each when the client has taken the answer to the one before it. What
goes wrong in here is a fixed text for the client and a line in the log.
"""

# mypy: allow-untyped-calls
# Twisted's `IMAP4Server` has no annotations.

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Protocol, cast

from twisted.internet.protocol import connectionDone
from twisted.mail.imap4 import IMAP4Server
from twisted.python import log

from proxy import limits
from proxy.embedded.account import MailAccount
from proxy.embedded.arguments import BadArgumentsError
from proxy.embedded.call import Call, Phase, RefusedError, Rule
from proxy.embedded.childside import admitted
from proxy.embedded.commands import COMMANDS
from proxy.embedded.folder import MessageGoneError
from proxy.embedded.foldernames import BadNameError
from proxy.embedded.maildir import FolderRefusedError
from proxy.embedded.outbox import Outbox, Sink, Timer
from proxy.imap.grammar import (
    BadCommand,
    Continue,
    Frame,
    FrameLimits,
    Framer,
    Head,
    NeedData,
    Rejected,
    SaslLine,
    Why,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.python.failure import Failure

    from auth.secret import Secret
    from proxy.embedded.mailbox import Mailbox
    from proxy.embedded.maildir import MailHome

_FRAME_LIMITS: Final = FrameLimits(
    line=limits.EMBEDDED_LINE_OCTETS,
    sasl_line=limits.IMAP_SASL_LINE_OCTETS,
    literal=limits.EMBEDDED_MESSAGE_OCTETS,
    non_sync_literal=limits.IMAP_LITERAL_OCTETS,
    digits=len(str(limits.EMBEDDED_MESSAGE_OCTETS)),
    literals=limits.IMAP_LITERALS,
    command=limits.EMBEDDED_MESSAGE_OCTETS + limits.EMBEDDED_LINE_OCTETS,
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BUG: Final = b"[SERVERBUG] internal error"


class Clock(Protocol):
    """Where time comes from (Twisted's `IReactorTime`)."""

    def callLater(self, delay: float, callable: Callable[[], object]) -> Timer:  # noqa: A002, N802
        """Call later, `delay` in seconds."""


class Wire(Sink, Protocol):
    """What is used of a Twisted transport."""

    def loseConnection(self) -> None:  # noqa: N802
        """Close once everything is sent."""

    def pauseProducing(self) -> None:  # noqa: N802
        """Read no more for now."""

    def resumeProducing(self) -> None:  # noqa: N802
        """Read again."""


class MailSession(IMAP4Server):
    """One connection."""

    IDENT = b"ready"
    timeOut = int(limits.SIGN_IN_S)  # noqa: N815 - Twisted's name

    def __init__(self, secret: Secret, home: Callable[[str], MailHome], clock: Clock) -> None:
        super().__init__()
        self.account: MailAccount | None = None
        self.mailbox: Mailbox | None = None
        self._secret = secret
        self._home = home
        self._clock = clock
        self._framer = Framer(_FRAME_LIMITS)
        self._wire: Wire
        self._outbox: Outbox
        self._awaiting: bytes | None = None  # tag of the AUTHENTICATE or IDLE whose next line is awaited
        self._tick: Timer | None = None
        self._errors = 0
        self._leaving = False

    # --- Twisted's side -------------------------------------------------------------------------------------

    def connectionMade(self) -> None:  # noqa: N802
        """Greet."""
        self._wire = cast("Wire", self.transport)
        self._outbox = Outbox(self._wire, self._work, lambda go_on: self._clock.callLater(0, go_on))
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take octets: the one way in."""
        self.resetTimeout()
        self._framer.feed(data)
        self._work()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Forget everything."""
        self._leaving = True
        self._stop_idling()
        self.mailbox = None
        super().connectionLost(reason)

    def timeoutConnection(self) -> None:  # noqa: N802
        """Nothing was heard for too long."""
        self.leave(b"idle for too long")

    def callLater(self, period: float, func: Callable[[], None]) -> Timer:  # noqa: N802
        """Take time from the clock that was given."""
        return self._clock.callLater(period, func)

    def sendLine(self, line: bytes) -> None:  # noqa: N802
        """Send one line, in turn."""
        self.send(iter((line + b"\r\n",)))

    def capabilities(self) -> dict[bytes, list[bytes] | None]:
        """What is promised before and after sign-in."""
        if self.phase is Phase.STRANGER:
            return {b"SASL-IR": None, b"LITERAL-": None, b"AUTH": [b"PLAIN"]}
        return {b"LITERAL-": None, b"IDLE": None, b"UIDPLUS": None, b"SPECIAL-USE": None}

    @property
    def phase(self) -> Phase:
        """Where the session stands."""
        if self.account is None:
            return Phase.STRANGER
        return Phase.SIGNED_IN if self.mailbox is None else Phase.SELECTED

    def do_LOGOUT(self, tag: bytes) -> None:  # noqa: N802
        """Say goodbye, and run nothing that came behind."""
        self._leaving = True
        super().do_LOGOUT(tag)

    # --- what handlers use ----------------------------------------------------------------------------------

    def send(self, pieces: Iterator[bytes | memoryview]) -> None:
        """Send pieces, in turn."""
        self._outbox.put(pieces)

    def leave(self, why: bytes) -> None:
        """Say BYE and close."""
        if not self._leaving:
            self._leaving = True
            self._stop_idling()
            self.sendUntaggedResponse(b"BYE " + why)
            self._wire.loseConnection()

    def await_line(self, tag: bytes, prompt: bytes) -> None:
        """Ask for one line outside the grammar: an answer of SASL, or the DONE of IDLE."""
        self._awaiting = tag
        self._framer.expect_sasl()
        self.sendLine(b"+ " + prompt)

    def start_idling(self) -> None:
        """Tell news as they come, until the awaited line."""
        self._tick = self._clock.callLater(limits.EMBEDDED_POLL_S, self.start_idling)
        if self._outbox.empty:
            for line in self._news(renumber=True):
                self.sendUntaggedResponse(line)

    def sign_in(self, tag: bytes, response: bytes) -> None:
        """Take a SASL PLAIN message in base64 (RFC 4616) and answer."""
        email = admitted(response, self._secret)
        if email is None:
            self._reply(tag, b"NO", b"[AUTHENTICATIONFAILED] only the gate signs in here")
            return
        self.account = MailAccount(self._home(email))
        self.setTimeout(limits.EMBEDDED_TIMEOUT_S)
        listed = b" ".join(self.listCapabilities())
        self.sendPositiveResponse(tag, b"[CAPABILITY %b] signed in" % listed)

    # --- the loop -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Run what has come, one command at a time; read no more while an answer waits to be taken."""
        while not self._leaving and self._outbox.empty:
            event = self._framer.next()
            if isinstance(event, NeedData):
                self._wire.resumeProducing()
                return
            self._event(event)
        if not self._leaving:
            self._wire.pauseProducing()

    def _event(self, event: Continue | Frame | SaslLine | Rejected) -> None:
        match event:
            case Frame():
                self._frame(event)
            case Continue():
                self._literal(event)
            case SaslLine():
                self._awaited(event.octets)
            case Rejected():
                self._rejected(event)

    def _rejected(self, event: Rejected) -> None:
        if event.close:
            self.sendBadResponse(event.tag, event.why.value.encode("ascii"))
            self.leave(b"that cannot be read on")
        elif event.why is Why.LITERAL_TOO_LARGE:
            self._reply(event.tag, b"NO", b"[TOOBIG] that is too large")
        else:
            self._reply(event.tag, b"BAD", event.why.value.encode("ascii"))

    def _literal(self, event: Continue) -> None:
        """Decide about a literal before it is sent: only APPEND has large ones."""
        try:
            head = split(event.opening)
        except BadCommand as error:
            self._framer.refuse()
            self._reply(error.tag, b"BAD", error.why.value.encode("ascii"))
            return
        large = event.octets > limits.EMBEDDED_LITERAL_OCTETS
        if self.phase is Phase.STRANGER or (large and head.name != b"APPEND"):
            self._framer.refuse()
            self._reply(head.tag, b"BAD", b"no such literal here")
        else:
            self.sendContinuationRequest(b"go on")

    def _frame(self, frame: Frame) -> None:
        try:
            head = split(frame)
        except BadCommand as error:
            self._reply(error.tag, b"BAD", error.why.value.encode("ascii"))
            return
        self.send(self._answer(head))

    def _answer(self, head: Head) -> Iterator[bytes | memoryview]:
        """Run one command: what it says, then what is new, then the tagged reply."""
        news: list[bytes] = []
        try:
            call = Call.read(head)
            outcome = self._rule(call).handler(self, call)
            if outcome is None:
                return
            text = outcome if isinstance(outcome, bytes) else (yield from outcome)
            news = self._news(renumber=call.may_renumber)
            status = b"OK"
        except Exception as error:  # noqa: BLE001 - the last resort of a session
            status, text = _refusal(error)
        self._count(status)
        yield from (b"* %b\r\n" % line for line in news)
        yield b"%b %b %b\r\n" % (head.tag, status, text)

    def _rule(self, call: Call) -> Rule:
        rule = COMMANDS.get(call.name)
        if rule is None:
            raise BadArgumentsError("no such command here")
        if self.phase not in rule.phases:
            raise BadArgumentsError("not now")
        return rule

    def _news(self, *, renumber: bool) -> list[bytes]:
        return list(self.mailbox.news(renumber=renumber)) if self.mailbox is not None else []

    def _awaited(self, line: bytes) -> None:
        """Take the answer to SASL's challenge, or the end of IDLE."""
        tag, self._awaiting = self._awaiting, None
        if tag is None:
            return
        if self.account is None:
            self.sign_in(tag, line)
        else:
            self._stop_idling()
            done = line.upper() == b"DONE"
            self._reply(tag, b"OK" if done else b"BAD", b"IDLE is over" if done else b"expected DONE")

    def _stop_idling(self) -> None:
        tick, self._tick = self._tick, None
        if tick is not None and tick.active():
            tick.cancel()

    def _reply(self, tag: bytes | None, status: bytes, text: bytes) -> None:
        self._count(status)
        self._respond(status, tag, text)

    def _count(self, status: bytes) -> None:
        """Close on one error too many in a row."""
        self._errors = 0 if status == b"OK" else self._errors + 1
        if self._errors > limits.ERRORS_PER_CONNECTION and self.account is None:
            self.leave(b"too many errors")


def _refusal(error: Exception) -> tuple[bytes, bytes]:
    """The tagged reply to a command that did not go well."""
    match error:
        case BadArgumentsError():
            return b"BAD", str(error).encode("ascii")
        case RefusedError() | FolderRefusedError():
            return b"NO", str(error).encode("ascii")
        case BadNameError():
            return b"NO", b"[CANNOT] " + str(error).encode("ascii")
        case MessageGoneError():
            return b"NO", b"[EXPUNGEISSUED] a message is not there any more"
    log.err(error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return b"NO", b"[OVERQUOTA] no room left"
    return b"NO", _BUG
