"""A session in which commands are watched: what of each side goes to the other. Octets in, octets out.

Pure. The upstream gets lines of permitted commands and the literals it asked for, nothing else. Every literal
goes to it as `{n}`, whatever the client wrote, when every command before has been answered: then its `+` can
only mean this literal, and without a `+` no octet of it is sent. So it does not matter what an upstream makes
of a literal it did not want (RFC 7888 §4), nor which kinds it takes. A literal with line ends that is no
message ends the session: repeated in an error, it would be lines of the upstream's to us. In IDLE the one
thing to say is DONE.

The client gets every response of the upstream as it came, less the capabilities that it may not use, and our
own replies between two of them. A refused command has its reply at once, perhaps before those of earlier
commands (RFC 9051 §5.5); its literal is not asked for, or dropped. What cannot be read in one way only ends
the session with BAD and BYE, and so do too many errors.

It holds no more than it was fed: feed the client's octets while there is `room`, the upstream's while nothing
waits for the client.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import partial
from typing import Final

from proxy.imap.client_framer import Announced, Broken, ClientFramer, Dropped, Event, Line, Octets
from proxy.imap.framing import Why
from proxy.imap.permitted import Judged, Mode, Verdict, is_plain, judge, may_hold_lines, shown
from proxy.imap.upstream_framer import BadResponse, Kind, Part, UpstreamFramer
from proxy.limits import (
    ERRORS_PER_CONNECTION,
    IMAP_WATCHED_COMMANDS,
    IMAP_WATCHED_LINE_OCTETS,
    IMAP_WATCHED_READ_OCTETS,
    IMAP_WATCHED_REPLIES_OCTETS,
)

_NOT_PERMITTED: Final = b"NO [NOPERM] this app password is for reading only"
_CRLF: Final = b"\r\n"


class _Stage(Enum):
    """Where the command under way stands."""

    WAITING = auto()  # for the answers to all commands before it
    ASKING = auto()  # the upstream has the line, and says whether it wants the literal
    GIVING = auto()  # it gets the literal, and what follows


@dataclass(slots=True, kw_only=True)
class _UnderWay:
    """The command with literals that is being passed on; there is one at a time."""

    tag: bytes
    name: bytes
    opening: bytes = field(repr=False)
    """Its first line."""
    text: bytes = field(repr=False)
    """The line before the literal."""
    literal: Announced
    lines: bool
    """Whether the literal may hold CR and LF."""
    stage: _Stage = _Stage.WAITING


class Watch:
    """Both directions of one session. `greeting` goes to the client first: the tagged OK to its sign-in."""

    def __init__(self, mode: Mode, *, greeting: bytes = b"") -> None:
        self._mode = mode
        self._commands = ClientFramer(line=IMAP_WATCHED_LINE_OCTETS)
        self._responses = UpstreamFramer(partial(shown, mode=mode))
        self._to_client = bytearray(greeting)
        self._to_upstream = bytearray()
        self._replies = bytearray()  # of ours, until the response under way has ended
        self._tags: set[bytes] = set()  # of commands that the upstream has and has not answered
        self._idle: bytes | None = None  # the tag of an IDLE that may be ended by DONE
        self._under_way: _UnderWay | None = None
        self._due = b""  # the reply to the command that is being dropped; empty if it has had one
        self._errors = 0
        self._closing = False
        self.fault = ""
        """What the upstream did wrong, for the log; empty unless it ended the session."""

    @property
    def room(self) -> int:
        """How many octets of the client may be fed now."""
        if self._closing or self._to_upstream or self._is_full:
            return 0
        return max(0, IMAP_WATCHED_LINE_OCTETS - self._commands.held)

    @property
    def has_for_client(self) -> bool:
        """Whether octets wait for the client; then do not feed the upstream's."""
        return bool(self._to_client)

    @property
    def has_for_upstream(self) -> bool:
        """Whether octets wait for the upstream."""
        return bool(self._to_upstream)

    @property
    def over(self) -> bool:
        """Whether the session is to end once the client has what waits for it."""
        return self._closing and (self._responses.between or bool(self.fault))

    @property
    def closing(self) -> bool:
        """Whether the session is to end at the end of the response under way."""
        return self._closing

    def client_said(self, data: bytes) -> None:
        """Take octets of the client."""
        self._commands.feed(data)
        self._look()

    def upstream_said(self, data: bytes) -> None:
        """Take octets of the upstream; dropped once the session is over."""
        if self.over:
            return
        self._responses.feed(data)
        try:
            while not self.over and (part := self._responses.next()) is not None:
                self._pass_on(part)
        except BadResponse as bad:
            self.fault = str(bad)
            self._closing = True
        self._look()

    def take_for_client(self) -> bytes:
        """Give what is to be sent to the client now."""
        octets = bytes(self._to_client)
        self._to_client.clear()
        self._look()
        return octets

    def take_for_upstream(self) -> bytes:
        """Give what is to be sent to the upstream now."""
        octets = bytes(self._to_upstream)
        self._to_upstream.clear()
        self._look()
        return octets

    # --- from the client ------------------------------------------------------------------------------------

    @property
    def _is_full(self) -> bool:
        return len(self._to_client) + len(self._replies) > IMAP_WATCHED_REPLIES_OCTETS

    def _look(self) -> None:
        """Look at what the client has sent, as far as it can be passed on now."""
        while not (self._closing or self._is_full or len(self._to_upstream) > IMAP_WATCHED_READ_OCTETS):
            if self._waits():
                return
            event = self._commands.next()
            if event is None:
                return
            self._event(event)

    def _waits(self) -> bool:
        """Whether nothing is looked at until the upstream has answered."""
        command = self._under_way
        if command is not None and command.stage is _Stage.WAITING and not self._tags:
            self._ask(command)
        return len(self._tags) >= IMAP_WATCHED_COMMANDS

    def _event(self, event: Event) -> None:
        match event:
            case Octets(octets):
                self._literal(octets)
            case Dropped():
                self._say(self._due)
            case Broken(why):
                self._hang_up(b"* BAD " + why.encode("ascii"))
            case Line(begins=True):
                self._command(event)
            case _:
                self._more(event)

    def _command(self, line: Line) -> None:
        """Judge a command by its first line."""
        if self._idle is not None:
            self._in_idle(line)
            return
        judged = judge(line.text, self._mode)
        if judged.verdict is Verdict.NOT_PERMITTED:
            self._refuse(line, (judged.tag or b"*") + b" " + _NOT_PERMITTED)
        elif judged.verdict is not Verdict.PASSES or judged.tag is None:
            self._bad(line, judged.tag, judged.verdict.encode("ascii"))
        elif judged.tag in self._tags:
            self._bad(line, judged.tag, b"this tag is in use")
        else:
            self._pass(line, judged, judged.tag)

    def _in_idle(self, line: Line) -> None:
        """RFC 2177 §3: nothing but DONE; some upstreams end IDLE at anything else, and read on behind it."""
        if line.text.upper() != b"DONE":
            self._hang_up(b"* BAD only DONE ends IDLE")
            return
        self._idle = None
        self._to_upstream += line.text + _CRLF

    def _pass(self, line: Line, judged: Judged, tag: bytes) -> None:
        if line.literal is not None:
            self._under_way = _UnderWay(
                tag=tag,
                name=judged.name,
                opening=judged.text,
                text=judged.text,
                literal=line.literal,
                lines=may_hold_lines(judged.text),
            )
            return
        self._tags.add(tag)
        if judged.name == b"IDLE":
            self._idle = tag
        self._to_upstream += judged.text + _CRLF

    def _more(self, line: Line) -> None:
        """Pass on what follows a literal; the upstream has said that it wants it."""
        command, self._under_way = self._under_way, None
        if command is not None and not is_plain(command.name, line.text, begins=False):
            self._hang_up(b"* BAD " + Why.BAD_SYNTAX.encode("ascii"))
        elif line.literal is None or command is None:
            self._to_upstream += line.text + _CRLF
        else:
            lines = may_hold_lines(command.opening, line.text)
            self._under_way = replace(command, text=line.text, literal=line.literal, lines=lines)
            self._ask(self._under_way)

    def _literal(self, octets: bytes) -> None:
        """Pass octets of a literal on, which the upstream has said it wants."""
        command = self._under_way
        if (b"\n" in octets or b"\r" in octets) and not (command is not None and command.lines):
            self._hang_up(b"* BAD " + Why.LINES_IN_LITERAL.encode("ascii"))
        else:
            self._to_upstream += octets

    def _ask(self, command: _UnderWay) -> None:
        """Pass on a line that ends with the mark of a literal, and wait for the upstream's word."""
        command.stage = _Stage.ASKING
        self._tags.add(command.tag)
        self._to_upstream += command.text + command.literal.question + _CRLF

    def _refuse(self, line: Line, reply: bytes) -> None:
        """Answer instead of the upstream: now, or behind the octets that come unasked."""
        self._commands.refuse()
        if line.literal is None or line.literal.asks:
            self._say(reply)
        else:
            self._due = reply

    def _bad(self, line: Line, tag: bytes | None, why: bytes) -> None:
        self._errors += 1
        if self._errors > ERRORS_PER_CONNECTION:
            self._hang_up((tag or b"*") + b" BAD too many errors")
        else:
            self._refuse(line, (tag or b"*") + b" BAD " + why)

    # --- from the upstream ----------------------------------------------------------------------------------

    def _pass_on(self, part: Part) -> None:
        """Pass on a part of a response, and our replies where it ends."""
        unasked = part.ends is Kind.QUESTION and self._answered()
        if not unasked:
            self._to_client += part.octets
        if part.ends is Kind.ANSWER:
            self._done(part.tag)
        if part.ends is not None:
            self._flush()

    def _answered(self) -> bool:
        """Take `+`; True when the client did not wait for it."""
        command = self._under_way
        if command is None or command.stage is not _Stage.ASKING:
            return False
        command.stage = _Stage.GIVING
        self._commands.accept()
        return not command.literal.asks

    def _done(self, tag: bytes) -> None:
        """Take the answer to a command."""
        self._tags.discard(tag)
        if self._idle == tag:
            self._idle = None
        command = self._under_way
        if command is None or command.tag != tag:
            return
        if command.stage is _Stage.ASKING:  # the literal is not wanted, the client has its answer
            self._under_way = None
            self._due = b""
            self._commands.refuse()
        elif command.stage is _Stage.GIVING:
            self.fault = "answered a command before its end"
            self._closing = True

    # --- words of our own -----------------------------------------------------------------------------------

    def _say(self, reply: bytes) -> None:
        if reply:
            self._replies += reply + _CRLF
            self._flush()

    def _flush(self) -> None:
        if self._responses.between:
            self._to_client += self._replies
            self._replies.clear()

    def _hang_up(self, reply: bytes) -> None:
        self._say(reply)
        self._say(b"* BYE cannot go on after that")
        self._closing = True
