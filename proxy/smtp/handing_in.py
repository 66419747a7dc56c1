"""One message of the gate itself on its way to the submission upstream: MAIL, RCPT, DATA. RFC 5321 §3.3.

Pure, as all legs: the shell at the end feeds what the upstream says and sends what is to be said. An outcome
starts as *later* and must be earned: only the reply to the final dot says that the message was taken, and
only a refused recipient that it never will be. A refusal by policy at RCPT (RFC 3463 §3.8) may be about the
sender, of whom Postfix speaks only there: it is for the administrator to mend, so it is one for now.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from auth.secret import Secret
from proxy.logtext import quoted
from proxy.net.connection import Connection, ConnectionLost
from proxy.smtp.reply import Reply, ReplyFault, ReplyReader
from proxy.upstreams.place import UpstreamFailure


class Verdict(StrEnum):
    """What became of a message."""

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it. `cause` is for the log: printable, and what the upstream said."""

    verdict: Verdict
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What is handed in."""

    sender: str
    recipient: str
    text: bytes = field(repr=False)
    """Whole, CRLF at the end of each line. Empty: nothing is sent, it ends when the recipient is taken."""
    utf8: bool = False
    """Whether addresses or header need SMTPUTF8 (RFC 6531)."""
    hidden: Secret | None = None
    """What stands in the text and must not be logged, should the upstream repeat it."""


class _State(StrEnum):
    MAIL = "waiting for the answer to MAIL"
    RCPT = "waiting for the answer to RCPT"
    DATA = "waiting for the answer to DATA"
    END = "waiting for the answer to the message"
    DONE = "done"


_QUIT: Final = b"QUIT\r\n"
_POLICY: Final = b"5.7."
_DOT: Final = re.compile(rb"(?m)^\.")


class HandingIn:
    """One message on one connection that takes commands."""

    def __init__(self, mail: Mail, extensions: Collection[str]) -> None:
        self._mail = mail
        self._replies = ReplyReader()
        self._output = bytearray()
        self._outcome: Outcome | None = None
        self._steps: dict[_State, Callable[[Reply], None]] = {
            _State.MAIL: self._sender_judged,
            _State.RCPT: self._recipient_judged,
            _State.DATA: self._text_wanted,
            _State.END: self._judged,
        }
        self.state = _State.MAIL
        if mail.utf8 and "SMTPUTF8" not in extensions:
            self._end(Verdict.NEVER, "takes no addresses beyond ASCII")
        else:
            utf8 = " SMTPUTF8 BODY=8BITMIME" if mail.utf8 else ""
            self._say(f"MAIL FROM:<{mail.sender}>{utf8}", _State.MAIL)

    def receive(self, data: bytes) -> None:
        """Take octets of the upstream; none is its end."""
        if data:
            self._replies.feed(data)
        else:
            self._end(Verdict.LATER, f"closed the connection ({self.state})")

    def take_output(self) -> bytes:
        """Give what is to be sent now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def next(self) -> Outcome | None:
        """Give the outcome, None while more octets are needed."""
        while self._outcome is None:
            try:
                reply = self._replies.next()
            except ReplyFault as fault:
                self._end(Verdict.LATER, f"{fault} ({self.state})")
                break
            if reply is None:
                break
            self._steps[self.state](reply)
        return self._outcome

    def _sender_judged(self, reply: Reply) -> None:
        if reply.positive:
            self._say(f"RCPT TO:<{self._mail.recipient}>", _State.RCPT)
        else:
            self._refused("refused the sender", reply)

    def _recipient_judged(self, reply: Reply) -> None:
        if reply.positive and self._mail.text:
            self._say("DATA", _State.DATA)
        elif reply.positive:
            self._end(Verdict.TAKEN, "", goodbye=_QUIT)  # which forgets the transaction (§4.1.1.10)
        else:
            never = reply.code // 100 == 5 and not reply.lines[0].startswith(_POLICY)
            self._refused("refused the recipient", reply, Verdict.NEVER if never else Verdict.LATER)

    def _text_wanted(self, reply: Reply) -> None:
        if reply.code != 354:
            self._refused("refused DATA", reply)
            return
        self._output += _DOT.sub(b"..", self._mail.text) + b".\r\n"  # RFC 5321 §4.5.2
        self.state = _State.END

    def _judged(self, reply: Reply) -> None:
        if reply.positive:
            self._end(Verdict.TAKEN, "", goodbye=_QUIT)
        else:
            self._refused("refused the message", reply)

    def _say(self, command: str, state: _State) -> None:
        self._output += command.encode() + b"\r\n"
        self.state = state

    def _refused(self, what: str, reply: Reply, verdict: Verdict = Verdict.LATER) -> None:
        said = b"%d %b" % (reply.code, b" ".join(reply.lines))
        if self._mail.hidden is not None:
            said = said.replace(self._mail.hidden.reveal_bytes(), b"(hidden)")
        self._end(verdict, f"{what}: {quoted(said)}", goodbye=_QUIT)

    def _end(self, verdict: Verdict, cause: str, *, goodbye: bytes = b"") -> None:
        self._output[:] = goodbye
        self.state = _State.DONE
        self._outcome = Outcome(verdict, cause)


async def hand_in(
    connection: Connection, leg: HandingIn, *, already: bytes = b"", within_s: float
) -> Outcome:
    """Obey the leg to its outcome; `already` came before its first command. Leaves the connection open.

    Raises `UpstreamFailure` where it is lost or too slow: what was said before may have been heard or not.
    """
    try:
        async with asyncio.timeout(within_s):
            if already:
                leg.receive(already)
            while (outcome := leg.next()) is None:
                if output := leg.take_output():
                    await connection.send(output)
                leg.receive(await connection.receive())
            return outcome
    except TimeoutError:
        raise UpstreamFailure(f"did not answer in time ({leg.state})") from None
    except ConnectionLost as lost:
        raise UpstreamFailure(f"was lost: {lost} ({leg.state})") from None


async def say_goodbye(connection: Connection, leg: HandingIn) -> None:
    """Say what is left to be said and close; nothing that happens now changes the outcome."""
    try:
        with contextlib.suppress(ConnectionLost):
            await connection.send(leg.take_output())
        await connection.close()
    finally:
        connection.abort()
