"""Dialogs of DAV clients as text, played against a whole gate: what they ask, and what they must be told.

Each line is one step; a file is played once for each kind of app password:

    C: PROPFIND {home}people/          a request, then its fields; credentials are added by us
    C: Depth: 1
    C:                                 an empty line, then the body
    C: <propfind xmlns="DAV:"/>
    -- without credentials             the next request has none
    S: 207                             the status, for every app password ...
    S events: 404                      ... but for these
    +: text                            the answer, its fields or its body, holds this text
    -: text                            it does not
    = token: <D:sync-token>([^<]*)<    what is caught is {token} from here on
    # a comment

`+`, `-` and `=` are about the status before them, and hold only for the app passwords it holds for; after
`S events:` they are about events alone. {home} is the person's own path, {email} the sign-in name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from support.radicale_server import Reply

_LINE = re.compile(r"(--|C|S|\+|-|=)((?: [a-z]+)*):? ?(.*)")


class Client(Protocol):
    """Does requests as an app password, or as nobody."""

    def ask(self, method: str, path: str, fields: dict[str, str], body: bytes, *, signed: bool) -> Reply: ...


@dataclass
class Expected:
    """What an answer must be, to some app passwords or, with none named, to all others."""

    line: int
    opens: tuple[str, ...]
    status: int
    holds: list[tuple[int, str]] = field(default_factory=list)
    lacks: list[tuple[int, str]] = field(default_factory=list)
    catches: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass
class Exchange:
    """One request and what is to be answered."""

    line: int
    signed: bool
    said: list[str] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)

    def to(self, opens: str) -> Expected:
        """What is expected with this app password."""
        named = [each for each in self.expected if opens in each.opens]
        others = [each for each in self.expected if not each.opens]
        assert named or others, f"line {self.line}: no answer for {opens}"
        return (named or others)[0]


def load(path: Path) -> list[Exchange]:
    """Read a dialog."""
    exchanges: list[Exchange] = []
    signed, before = True, ""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.rstrip())
        assert found, f"line {number} is no step: {line}"
        kind, words, rest = found.groups()
        if kind == "--":
            signed = False
        elif kind == "C":
            if before != "C":
                exchanges.append(Exchange(number, signed))
                signed = True
            exchanges[-1].said.append(rest)
        else:
            _expect(exchanges[-1], number, kind, tuple(words.split()), rest)
        before = kind
    return exchanges


def _expect(exchange: Exchange, number: int, kind: str, words: tuple[str, ...], rest: str) -> None:
    match kind:
        case "S":
            exchange.expected.append(Expected(number, words, int(rest)))
        case "+":
            exchange.expected[-1].holds.append((number, rest))
        case "-":
            exchange.expected[-1].lacks.append((number, rest))
        case "=":
            exchange.expected[-1].catches.append((number, words[0], rest))


def play(exchanges: Sequence[Exchange], client: Client, opens: str, known: dict[str, str]) -> list[Reply]:
    """Play a dialog with one app password; an AssertionError names the line that went wrong."""
    replies = []
    for exchange in exchanges:
        said = [_filled(line, known) for line in exchange.said]
        end = said.index("") if "" in said else len(said)
        method, path = said[0].split(" ", 1)
        fields = dict(line.split(": ", 1) for line in said[1:end])
        body = "\r\n".join(said[end + 1 :]).encode()
        reply = client.ask(method, path, fields, body, signed=exchange.signed)
        _judge(exchange.to(opens), reply, known)
        replies.append(reply)
    return replies


def _judge(expected: Expected, reply: Reply, known: dict[str, str]) -> None:
    told = "".join(f"{name}: {value}\n" for name, value in reply.fields.items()) + reply.body.decode()
    assert reply.status == expected.status, f"line {expected.line}: {reply.status}\n{told}"
    for line, text in expected.holds:
        assert _filled(text, known) in told, f"line {line}: not in\n{told}"
    for line, text in expected.lacks:
        assert _filled(text, known) not in told, f"line {line}: in\n{told}"
    for line, name, pattern in expected.catches:
        caught = re.search(_filled(pattern, known), told)
        assert caught, f"line {line}: not in\n{told}"
        known[name] = caught[1]


def _filled(text: str, known: dict[str, str]) -> str:
    """Put in what is known; what was never caught is `nothing`."""
    return re.sub(r"\{([a-z]+)\}", lambda found: known.get(found[1], "nothing"), text)
