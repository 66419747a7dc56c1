"""Dialogs of DAV clients as text, played over sockets and TLS through the front-end and the real scope wall.

    C: octets of the client, CRLF is added       S: what it hears
    C~ lines of the client that are no head
    U> what the server behind is asked           U< what that answers
    -- opens contacts events                     first line: the scopes of the app password
    -- there PATH collection|principal|addressbook|calendar|object      what is there, before all else
    -- principal PATH                            who the account is there
    -- connects                                  the client opens a connection; the first one is open
    -- closed                                    the gate has ended it
    # a comment

An empty line within a block ends its head; the body's lines are joined by CRLF, and a last empty one gives
it a CRLF at its end. `{length}` is the length of the block's body, `{signed}` are good credentials. Of an
answer, Date, Content-Length, the fields that every answer has and the line end of a text are not written;
neither are the prolog and the namespaces of our XML, in which `\\n` is LF. What the wall asks for itself is
answered by what is there, and not written either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.dav.ports import Fields, UpstreamAnswer
from proxy.dav.wall import Wall
from scopes.model import Grant, Scope
from support.dav_stage import SAFE, SIGNED, Client, Got, Stage, stage
from support.imap_stage import GRANT, soon
from support.sockets import Tls, turns
from support.transcript import Split

_TYPES = {
    "collection": "<D:collection/>",
    "principal": "<D:collection/><D:principal/>",
    "addressbook": '<D:collection/><R:addressbook xmlns:R="urn:ietf:params:xml:ns:carddav"/>',
    "calendar": '<D:collection/><C:calendar xmlns:C="urn:ietf:params:xml:ns:caldav"/>',
    "object": "",
}
_PROLOG = re.compile(r"<\?xml [^>]*\?>\n?")
_DECLARED = re.compile(r' xmlns:\w+="[^"]*"')
_SAFE = dict(line.split(": ", 1) for line in SAFE.decode().lower().splitlines())


@dataclass(frozen=True)
class Block:
    """One message of one side, or a word about what happens."""

    line: int
    kind: str
    text: str

    @property
    def octets(self) -> bytes:
        if self.kind == "C~":
            return f"{self.text}\r\n".encode()
        head, _, body = self.text.partition("\r\n\r\n")
        signed = SIGNED.decode().partition(": ")[2].strip()
        filled = head.replace("{length}", str(len(body.encode()))).replace("{signed}", signed)
        return f"{filled}\r\n\r\n{body}".encode()

    @property
    def message(self) -> tuple[str, dict[str, str], str]:
        return message(self.octets)


def message(octets: bytes) -> tuple[str, dict[str, str], str]:
    """First line, fields and body of a message."""
    head, _, body = octets.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return first, {name: value for name, value in fields.items() if name != "content-length"}, _plain(body)


def _plain(body: str) -> str:
    """Leave out of XML of ours what is the same everywhere, and the line end of a text."""
    if "\r\n" in body:
        return body
    return _DECLARED.sub("", _PROLOG.sub("", body)).removesuffix("\n").replace("\n", "\\n")


def load(path: Path) -> list[Block]:
    return parse(path.read_text("utf-8"))


def parse(text: str) -> list[Block]:
    """Neighbouring lines of one kind are one block; `--` stands alone, and a comment parts two blocks."""
    blocks: list[Block] = []
    parted = True
    for number, line in enumerate(text.splitlines(), 1):
        kind, _, rest = line.partition(" ")
        kind = kind.rstrip(":")
        if not line.strip() or line.startswith("#"):
            parted = True
            continue
        assert kind in ("C", "C~", "S", "U>", "U<", "--"), f"line {number} is no step: {line}"
        if not parted and kind != "--" and blocks and blocks[-1].kind == kind:
            blocks[-1] = replace(blocks[-1], text=f"{blocks[-1].text}\r\n{rest}")
        else:
            blocks.append(Block(number, kind, rest))
        parted = False
    return blocks


class _There:
    """What is behind, as the wall asks for it."""

    def __init__(self, blocks: list[Block]) -> None:
        words = [block.text.split() for block in blocks if block.kind == "--"]
        self.kinds = dict(more for word, *more in words if word == "there")
        [[self.principal]] = [more for word, *more in words if word == "principal"] or [[""]]
        [scopes] = [more for word, *more in words if word == "opens"]
        self.grant = replace(GRANT, scopes=frozenset(Scope(each) for each in scopes))

    async def ask(self, grant: Grant, method: str, path: str, fields: Fields, body: bytes) -> UpstreamAnswer:
        if b"current-user-principal" in body:
            found = f"<D:current-user-principal><D:href>{self.principal}</D:href></D:current-user-principal>"
        elif path in self.kinds:
            found = f"<D:resourcetype>{_TYPES[self.kinds[path]]}</D:resourcetype>"
        else:
            return UpstreamAnswer(status=404, fields={}, body=b"")
        text = (
            f'<D:multistatus xmlns:D="DAV:"><D:response><D:href>{path}</D:href><D:propstat>'
            f"<D:prop>{found}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
            "</D:multistatus>"
        )
        return UpstreamAnswer(status=207, fields={}, body=text.encode())


def _answer(block: Block) -> bytes:
    head, _, body = block.octets.partition(b"\r\n\r\n")
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def play(blocks: list[Block], tls: Tls, split: Split) -> None:
    """Play a dialog in one splitting; an AssertionError names the line that went wrong."""
    there = _There(blocks)
    answers = [_answer(block) for block in blocks if block.kind == "U<"]
    async with stage(tls, *answers) as played:
        played.gate.answer = there.grant
        played.wall = Wall(there.ask, authorities=("mail.example.org",))
        left, asked = list(blocks), list(range(len(answers)))
        while left:
            async with played.client() as client:
                left = await _connection(left, client, played, split, asked)
        assert len(played.said.heard) == len(answers), "the server behind was asked more, or less"


async def _connection(
    blocks: list[Block], client: Client, played: Stage, split: Split, asked: list[int]
) -> list[Block]:
    """Play one connection; give what comes after it. `asked` are the requests upstream that are still due."""
    last = ""
    for place, block in enumerate(blocks):
        match block.kind:
            case "C" | "C~":
                last = block.text
                for piece in split(block.octets):
                    await client.send(piece)
                    await turns(2)
            case "S":
                _same(block, _shown(await client.answer(head=last.startswith("HEAD "))))
            case "U>":
                heard = asked.pop(0)
                await soon(lambda: len(played.said.heard) > heard)  # noqa: B023 - called before it changes
                _same(block, message(played.said.heard[heard]))
            case "--" if block.text == "connects":
                return blocks[place + 1 :]
            case "--" if block.text == "closed":
                await client.ended()
    return []


def _shown(got: Got) -> tuple[int, Mapping[str, str], str]:
    assert got.status == 100 or _SAFE.items() <= {k: v.lower() for k, v in got.fields.items()}.items()
    hidden = {"date", "content-length", *_SAFE}
    return got.status, {k: v for k, v in got.fields.items() if k not in hidden}, _plain(got.body.decode())


def _same(block: Block, got: tuple[object, Mapping[str, str], str]) -> None:
    first, fields, body = block.message
    expected = (int(first.split(" ")[1]) if block.kind == "S" else first, fields, body)
    assert got == expected, f"line {block.line}: {block.kind} " + _script(block.kind, got)


def _script(kind: str, got: tuple[object, Mapping[str, str], str]) -> str:
    """What went, as it would be written."""
    first, fields, body = got
    lines = [str(first), *(f"{name}: {value}" for name, value in fields.items()), "", *body.split("\r\n")]
    return "\n" + "\n".join(f"{kind}: {line}" for line in lines)
