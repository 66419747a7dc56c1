"""Whatever a client sends, an upstream reads permitted commands alone; what it says the client reads whole.

The upstream here is a reader of its own, in the ways that servers differ: it takes bare LF for a line's end,
any blanks between words, marks of literals in quotes or not, and after a refused `{n+}` it reads the literal
as commands or not. What it says is on its way for as long as the example likes.
"""

import re
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.imap.permitted import Mode
from proxy.imap.watch import Watch
from support.watched import Watching

NEVER = {b"LOGIN", b"AUTHENTICATE", b"STARTTLS", b"COMPRESS", b"UNAUTHENTICATE"}
READS = {b"NOOP", b"FETCH", b"EXAMINE", b"LIST", b"IDLE", b"UID FETCH", b"SEARCH"}
MARK = re.compile(rb"~?\{([0-9]+)(\+?)[^}]*\} *\Z")
OURS = re.compile(
    rb"(?:[^ ]+ (?:NO \[NOPERM\] this app password |BAD (?:no |not |this tag |too many ))|\* BAD |\* BYE c)"
)


@dataclass
class Server:
    """Reads what the watch sends, and answers; `chance` says what it likes."""

    chance: list[bool]
    quotes: bool
    """A mark in an open quote is none."""
    literal_plus: bool
    """It drops a refused `{n+}`, and does not read it as commands."""
    seen: list[bytes] = field(default_factory=list)
    """First lines of commands."""
    says: list[bytes] = field(default_factory=list)
    """Responses on their way."""
    input: bytes = b""
    literal: int = 0
    under_way: bytes = b""
    """The tag of a command that goes on behind a literal."""
    idling: bytes = b""
    dropping: bool = False

    def read(self, octets: bytes) -> None:
        self.input += octets
        while self.input:
            if self.literal:
                taken = self.input[: self.literal]
                self.input = self.input[len(taken) :]
                self.literal -= len(taken)
                continue
            line, end, rest = self.input.partition(b"\n")
            if not end:
                return
            self.input = rest
            self.line(line.removesuffix(b"\r"))

    def line(self, line: bytes) -> None:
        if self.idling:
            tag, self.idling = self.idling, b""
            self.says.append(tag + (b" OK idled\r\n" if line.upper() == b"DONE" else b" BAD DONE\r\n"))
            if line.upper() == b"DONE" or self.likes():
                return
        words = line.split()
        tag, name = self.under_way, b""
        if not tag:
            self.seen.append(line)
            tag, name = (*words, b"*", b"")[0], (*words[1:], b"")[0].upper()
        if name == b"IDLE" and self.likes():  # whatever stands behind it
            self.idling = tag
            self.says.append(b"+ idling\r\n")
            return
        mark = MARK.search(line)
        if mark is not None and self.quotes and line[: mark.start()].count(b'"') % 2:
            mark = None
        if mark is None:
            self.answer(tag, name)
        else:
            self.announced(tag, int(mark[1]), asks=not mark[2])

    def announced(self, tag: bytes, octets: int, *, asks: bool) -> None:
        if self.likes():
            self.literal, self.under_way = octets, tag
            if asks:
                self.says.append(b"+ go\r\n")
            return
        self.under_way = b""
        self.says.append(tag + b" NO not that\r\n")
        if not asks and self.literal_plus:
            self.literal = octets

    def answer(self, tag: bytes, name: bytes) -> None:
        self.under_way = b""
        if name == b"FETCH":
            self.says.append(b"* 1 FETCH (X {17}\r\n+ go\r\na OK\r\n* x\r\n)\r\n")
        self.says.append(tag + (b" OK done\r\n" if self.likes() else b" BAD no\r\n"))

    def likes(self) -> bool:
        return self.chance.pop() if self.chance else True


def name_of(line: bytes) -> bytes:
    words = line.upper().split()
    name = words[1] if len(words) > 1 else b""
    return name + b" " + words[2] if name == b"UID" and len(words) > 2 else name


def is_permitted(line: bytes, mode: Mode) -> bool:
    if line.upper() == b"DONE":  # behind an IDLE that was refused; no command
        return True
    name = name_of(line)
    return name in READS if mode is Mode.READ_ONLY else bool(name) and name not in NEVER


HIDDEN = b"z UNAUTHENTICATE\r\n"
PARTS = [
    *(b"a ", b"b ", b"a NOOP\r\n", b"b FETCH 1 X\r\n", b"c SELECT X\r\n", b"d STORE 1 X\r\n", b"e IDLE\r\n"),
    *(
        b"f LIST ",
        b"g UID ",
        b"UID FETCH 1\r\n",
        b"h APPEND X ",
        b"DONE\r\n",
        b"done\r\n",
        b"\r\n",
        b"\n",
        b"\r",
    ),
    *(b" ", b"  ", b"\t", b'"', b"\\", b"(", b")", b"\0", b"{", b"}", b"+", b"*", b"~", b"x", b"\xc3\xa4"),
    *(
        b"{%d}\r\n" % len(HIDDEN),
        b"{%d+}\r\n" % len(HIDDEN),
        b" {3}\r\n",
        b" {3+}\r\n",
        b"{0}\r\n",
        b" {1+}\r\n",
    ),
    *(b"{18-}\r\n", b"{18 }\r\n", b"abc", b"abc\r\n", b")\r\n", b"i NOOP {18+}\r\n", b"UNAUTHENTICATE\r\n"),
    *(HIDDEN, HIDDEN, b"y EXPUNGE\r\n", b"w LOGIN a b\r\n"),
]
said = st.lists(st.sampled_from(PARTS) | st.binary(max_size=3), max_size=6).map(b"".join)
moves = st.lists(said | st.integers(1, 40), max_size=30)
"""What the client says, or how many octets of the upstream arrive."""


@dataclass
class Course:
    """One example: both sides play until nothing moves."""

    mode: Mode
    server: Server
    heard: bytes = b""
    said: bytes = b""
    """All that the server said and that has arrived."""

    def __post_init__(self) -> None:
        self.play = Watching(Watch(self.mode))
        self.flying = b""

    def run(self, moves: list[bytes | int]) -> None:
        for move in moves:
            if isinstance(move, bytes):
                self.play.client(move)
            else:
                self.arrive(move)
            self.settle()
        while self.flying:
            self.arrive(len(self.flying))
            self.settle()

    def arrive(self, octets: int) -> None:
        arriving, self.flying = self.flying[:octets], self.flying[octets:]
        if not self.play.watch.over:
            self.said += arriving
        self.play.upstream(arriving)

    def settle(self) -> None:
        while self.play.to_upstream:
            sent = bytes(self.play.to_upstream)
            self.play.to_upstream.clear()
            self.server.read(sent)
        self.flying += b"".join(self.server.says)
        self.server.says.clear()
        self.heard += bytes(self.play.to_client)
        self.play.to_client.clear()


def responses(octets: bytes) -> list[bytes]:
    """Cut a stream into responses, the last one perhaps cut short; those that begin with `+` are left out."""
    found = re.findall(rb"(?:[^\r\n]*\{17\}\r\n.{17}|)[^\r\n]*(?:\r\n|\Z)", octets, re.DOTALL)
    return [each for each in found if each and not each.startswith(b"+")]


@settings(max_examples=400, deadline=None)
@given(moves, st.lists(st.booleans(), max_size=12), st.booleans(), st.booleans(), st.sampled_from(Mode))
@example([b'f LIST "" "x {18+}\r\n', HIDDEN], [False], True, False, Mode.WHOLE)
@example([b"h APPEND X {18+}\r\n" + HIDDEN + b"\r\n"], [False], False, False, Mode.WHOLE)
@example([b"e IDLE\r\nh APPEND X {18}\r\n", 40, HIDDEN, 40], [True], False, False, Mode.WHOLE)
@example([b"e IDLE\r\nDONE\r\nh APPEND X {18}\r\n", 10, HIDDEN, 40], [False, True], False, False, Mode.WHOLE)
@example([b"e IDLE {24}\r\n", 40, b"DONE\r\n" + HIDDEN], [], False, False, Mode.WHOLE)
@example([b"h APPEND X {3}\r\n", 40, b"abc" + HIDDEN], [], False, False, Mode.WHOLE)
def test_an_upstream_reads_permitted_commands_alone(moves, chance, quotes, literal_plus, mode):
    server = Server(chance, quotes=quotes, literal_plus=literal_plus)
    course = Course(mode, server)
    course.run(moves)
    for line in server.seen:
        assert is_permitted(line, mode), line
        assert not re.search(rb"[\r\0]", line)
    heard = [each for each in responses(course.heard) if not OURS.match(each)]
    expected = responses(course.said)
    assert heard == expected[: len(heard)]
    if not course.play.watch.over:
        assert [each for each in expected[len(heard) :] if each.endswith(b"\r\n")] == []


SAID = [
    *(
        b"* OK x\r\n",
        b"* 1 FETCH (X {3}\r\n",
        b"abc)\r\n",
        b"+ go\r\n",
        b"+\r\n",
        b"a OK {3}\r\n",
        b"\r\n",
        b"\n",
    ),
    *(
        b"* CAPABILITY UNAUTHENTICATE IDLE\r\n",
        b"* OK [CAPABILITY COMPRESS=X IDLE] x\r\n",
        b"* BYE\r\n",
        b"{0}\r\n",
    ),
    *(b"{99999999999999999999}\r\n", b"{30+}\r\n", b"* ", b"\0", b"x"),
]
streams = st.lists(st.sampled_from(SAID) | st.binary(max_size=3), max_size=30).map(b"".join)
cuts = st.lists(st.integers(1, 30), max_size=20)


def cut(octets: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(octets[:size])
        octets = octets[size:]
    return [*filter(None, pieces), octets]


@settings(deadline=None)
@given(streams, cuts)
def test_what_an_upstream_says_is_the_same_however_it_is_cut(stream, sizes):
    at_once, in_pieces = (Watching(Watch(Mode.WHOLE)) for _ in range(2))
    at_once.upstream(stream)
    for piece in cut(stream, sizes):
        in_pieces.upstream(piece)
    assert at_once.to_client == in_pieces.to_client
    rest = stream[len(at_once.to_client) :]
    assert b"CAPABILITY" in stream.upper() or (stream.startswith(at_once.to_client) and b"\n" not in rest)


@settings(deadline=None)
@given(said, cuts, st.sampled_from(Mode))
def test_what_a_client_says_is_the_same_however_it_is_cut(stream, sizes, mode):
    at_once, in_pieces = (Watching(Watch(mode)) for _ in range(2))
    at_once.client(stream)
    for piece in cut(stream, sizes):
        in_pieces.client(piece)
    assert (at_once.to_client, at_once.to_upstream) == (in_pieces.to_client, in_pieces.to_upstream)


def test_the_reader_is_taken_in_without_the_watch():
    """What the examples are for: each of them hides a command from whoever only reads as some servers do."""
    for quotes, likes, octets in (
        (True, False, b'f LIST "" "x {18+}\r\n' + HIDDEN),
        (False, False, b"h APPEND X {18+}\r\n" + HIDDEN),
        (False, True, b"e IDLE\r\nh APPEND X {18}\r\n" + HIDDEN),
        (False, True, b"e IDLE {24}\r\nDONE\r\n" + HIDDEN),
    ):
        server = Server([likes], quotes=quotes, literal_plus=False)
        server.read(octets)
        assert HIDDEN.strip() in server.seen
