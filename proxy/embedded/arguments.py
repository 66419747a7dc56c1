"""A cursor over the arguments of one command, for the shapes that only a mail server needs (RFC 3501 §9).

The frame has been cut by `proxy.imap.grammar`; here flags, sets of numbers, LIST patterns, sections and
whatever a command is made of are read off one after the other. Whatever does not fit raises
`BadArgumentsError`, whose text never holds what the client sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.embedded.sequence import SequenceSet
from proxy.imap.grammar import Literal, Piece

if TYPE_CHECKING:
    from collections.abc import Callable

_ATOM: Final = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_ASTRING: Final = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_LIST_PATTERN: Final = re.compile(rb"[!#$%&'*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_FLAG: Final = re.compile(rb"\\?[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*+)"')
_ESCAPE: Final = re.compile(rb'\\(["\\])')
_NUMBER: Final = re.compile(rb"[0-9]{1,10}")
_SET: Final = re.compile(rb"[0-9*][0-9*:,]*")


class BadArgumentsError(Exception):
    """The arguments do not fit the command. The text may be sent to the client."""


class Arguments:
    """Reads a command's arguments from left to right."""

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self._pieces = pieces
        self._index = 0
        self._at = 0
        self._leave_text()

    @property
    def at_end(self) -> bool:
        """Whether nothing follows but spaces."""
        piece = self._pieces[self._index]
        last = self._index == len(self._pieces) - 1
        return last and isinstance(piece, bytes) and not piece[self._at :].strip(b" ")

    def finish(self) -> None:
        """There must be nothing more."""
        if not self.at_end:
            raise BadArgumentsError("too many arguments")

    def match(self, expression: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Take what an expression matches here; None when it does not."""
        piece = self._pieces[self._index]
        if isinstance(piece, Literal):
            return None
        found = expression.match(piece, self._at)
        if found is not None:
            self._at = found.end()
            self._leave_text()
        return found

    def need(self, expression: re.Pattern[bytes], wanted: str) -> re.Match[bytes]:
        """Take what an expression matches here; `wanted` names it in the error."""
        found = self.match(expression)
        if found is None:
            raise BadArgumentsError(f"expected {wanted}")
        return found

    def take(self, octets: bytes) -> bool:
        """Take exactly these octets if they stand here."""
        return self.match(re.compile(re.escape(octets))) is not None

    def space(self) -> None:
        """Take the one space between arguments."""
        if not self.take(b" "):
            raise BadArgumentsError("expected a space and a further argument")

    def atom(self) -> bytes:
        """An atom, in upper case."""
        return self.need(_ATOM, "an atom")[0].upper()

    def number(self) -> int:
        """A number of at most ten digits."""
        return int(self.need(_NUMBER, "a number")[0])

    def astring(self) -> bytes:
        """An atom, a quoted string or a literal."""
        return self._string_or(_ASTRING, "a string")

    def list_pattern(self) -> bytes:
        """An astring in which wildcards may stand (`list-mailbox`)."""
        return self._string_or(_LIST_PATTERN, "a folder pattern")

    def literal(self) -> bytes:
        """A literal."""
        piece = self._pieces[self._index]
        if not isinstance(piece, Literal):
            raise BadArgumentsError("expected a literal")
        self._index, self._at = self._index + 1, 0
        return piece.octets

    def sequence_set(self) -> SequenceSet:
        """A set of message numbers or UIDs."""
        try:
            return SequenceSet.parse(self.need(_SET, "a set of messages")[0])
        except ValueError:
            raise BadArgumentsError("expected a set of messages") from None

    def flags(self) -> tuple[str, ...]:
        """A list of flags."""
        return tuple(flag.decode("ascii") for flag in self.listed(lambda: self.need(_FLAG, "a flag")[0]))

    def bare_flags(self) -> tuple[str, ...]:
        """Flags with or without parentheses, as STORE takes them."""
        if self.match(re.compile(rb"(?=\()")):
            return self.flags()
        flags = [self.need(_FLAG, "a flag")[0]]
        while self.take(b" "):
            flags.append(self.need(_FLAG, "a flag")[0])
        return tuple(flag.decode("ascii") for flag in flags)

    def listed(self, one: Callable[[], bytes]) -> tuple[bytes, ...]:
        """A parenthesised list, maybe empty, of what `one` reads."""
        if not self.take(b"("):
            raise BadArgumentsError("expected a list")
        if self.take(b")"):
            return ()
        items = [one()]
        while not self.take(b")"):
            self.space()
            items.append(one())
        return tuple(items)

    def _leave_text(self) -> None:
        """Go over to the literal when the text before it is used up."""
        text = self._pieces[self._index]
        last = self._index + 1 == len(self._pieces)
        if isinstance(text, bytes) and self._at == len(text) and not last:
            self._index, self._at = self._index + 1, 0

    def _string_or(self, atom: re.Pattern[bytes], wanted: str) -> bytes:
        if isinstance(self._pieces[self._index], Literal):
            return self.literal()
        quoted = self.match(_QUOTED)
        if quoted is not None:
            return _ESCAPE.sub(rb"\1", quoted[1])
        return self.need(atom, wanted)[0]
