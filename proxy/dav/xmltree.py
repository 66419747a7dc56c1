"""XML of DAV, read within budgets and written by us: what was not understood does not go on.

One reader serves request bodies, answers to our own questions, and answers on their way to a client, which
it gives piece by piece: each child of the root as soon as it is whole. No DOCTYPE, no entity but the five of
XML, UTF-8 only (RFC 4918 §20.6, RFC 7303 §3.2). Comments, processing instructions and prefixes are gone after
reading. Names are `{namespace}name`. Nothing here knows what an element means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from proxy.limits import DAV_XML_DEPTH, DAV_XML_SLICE_OCTETS, DAV_XML_TOKEN_OCTETS

_PREFIXES: Final = {
    "DAV:": "D",
    "urn:ietf:params:xml:ns:caldav": "C",
    "urn:ietf:params:xml:ns:carddav": "CR",
    "http://calendarserver.org/ns/": "CS",
    "http://apple.com/ns/ical/": "ICAL",
}
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
DECLARATION: Final = b'<?xml version="1.0" encoding="utf-8"?>\n'


class BadXml(ValueError):  # noqa: N818 - the word of the wall
    """Not XML that we read. The text is for the log."""


@dataclass(slots=True)
class Node:
    """One element."""

    name: str
    """As `{namespace}name`, or the bare name where it has no namespace."""
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[Node | str] = field(default_factory=list)

    def children(self) -> Iterator[Node]:
        """Give the elements directly in it."""
        return (each for each in self.content if isinstance(each, Node))

    def named(self, name: str) -> Iterator[Node]:
        """Give the elements of this name directly in it."""
        return (each for each in self.children() if each.name == name)

    def walk(self) -> Iterator[Node]:
        """Give itself and every element below, in document order."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(list(node.children())))

    def text(self) -> str:
        """Give the text directly in it."""
        return "".join(each for each in self.content if isinstance(each, str))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be held of one document, or of one child of its root when it is read piece by piece."""

    octets: int
    """Of names, attributes and text."""
    elements: int
    """And attributes."""
    depth: int = DAV_XML_DEPTH


class XmlReader:
    """Reads one document as its octets come."""

    def __init__(self, budget: Budget, *, piecewise: bool = False) -> None:
        self._target = _Target(budget, piecewise=piecewise)
        self._parser = DefusedXMLParser(target=self._target, encoding="utf-8", forbid_dtd=True)
        self._parser.parser.XmlDeclHandler = _declared
        self._begun = False
        self._fed = 0
        self._parsed = 0

    @property
    def root(self) -> Node | None:
        """The root once it has begun; read piece by piece, it stays empty."""
        return self._target.root

    def feed(self, octets: bytes) -> list[Node]:
        """Take the next octets; give the children of the root that are whole now. Raises `BadXml`."""
        if not self._begun and octets[:1] in (b"\xfe", b"\xff"):
            raise BadXml("the byte order mark of UTF-16, which the parser would believe")
        self._begun = self._begun or bool(octets)
        for at in range(0, len(octets), DAV_XML_SLICE_OCTETS):
            self._feed(octets[at : at + DAV_XML_SLICE_OCTETS])
        return self._target.taken()

    def _feed(self, octets: bytes) -> None:
        """Take a slice, and look how far the parser has come: it reads a tag when all of it is there.

        It writes out the namespace before the name of each attribute, and only then are we asked: half a
        megabyte of namespace and as much of short attributes would be gigabytes.
        """
        self._fed += len(octets)
        try:
            self._parser.feed(octets)
        except (ParseError, DefusedXmlException) as bad:
            raise BadXml(f"not XML that is taken: {type(bad).__name__}") from None
        # -1 while it waits for more before it looks again.
        self._parsed = max(self._parsed, self._parser.parser.CurrentByteIndex)
        if self._fed - self._parsed > DAV_XML_TOKEN_OCTETS:
            raise BadXml("a tag or comment without end")

    def finish(self) -> Node:
        """Take the end; give the root. Raises `BadXml` for a document that is cut short."""
        try:
            self._parser.close()
        except (ParseError, DefusedXmlException) as bad:
            raise BadXml(f"not XML that is taken: {type(bad).__name__}") from None
        if self._target.root is None:
            raise BadXml("no root")
        return self._target.root


def read(octets: bytes, budget: Budget) -> Node:
    """Read a whole document. Raises `BadXml`."""
    reader = XmlReader(budget)
    reader.feed(octets)
    return reader.finish()


def opening(name: str) -> bytes:
    """Write the declaration and the start tag of a root, which declares every prefix that `inner` uses."""
    declared = "".join(f' xmlns:{prefix}="{uri}"' for uri, prefix in _PREFIXES.items())
    return DECLARATION + f"<{_name(name)[0]}{declared}>".encode()


def closing(name: str) -> bytes:
    """Write the end tag for `opening`."""
    return f"</{_name(name)[0]}>".encode()


def inner(node: Node) -> bytes:
    """Write an element that lies in the root of `opening`."""
    parts: list[str] = []
    _write(node, parts)
    return "".join(parts).encode()


def document(node: Node) -> bytes:
    """Write a whole document."""
    parts: list[str] = []
    for each in node.content:
        _write_content(each, parts)
    return opening(node.name) + "".join(parts).encode() + closing(node.name)


def _write(node: Node, parts: list[str]) -> None:
    tag, namespace = _name(node.name)
    parts.append(f"<{tag}")
    if namespace is not None:
        parts.append(f' xmlns:n="{_attribute(namespace)}"')
    for name, value in node.attributes.items():
        # Attributes of foreign namespaces mean nothing in DAV and are left out; xml:lang is RFC 4918 §4.3.
        if name.startswith(_XML) or "}" not in name:
            parts.append(f' {name.replace(_XML, "xml:")}="{_attribute(value)}"')
    if not node.content:
        parts.append("/>")
        return
    parts.append(">")
    for each in node.content:
        _write_content(each, parts)
    parts.append(f"</{tag}>")


def _write_content(each: Node | str, parts: list[str]) -> None:
    if isinstance(each, Node):
        _write(each, parts)
    else:
        parts.append(_text(each))


def _name(name: str) -> tuple[str, str | None]:
    """Give the tag to write, and the namespace to declare with it as `n` if there is no prefix for it."""
    if not name.startswith("{"):
        return name, None
    namespace, local = name[1:].split("}")
    prefix = _PREFIXES.get(namespace)
    return (f"n:{local}", namespace) if prefix is None else (f"{prefix}:{local}", None)


def _text(text: str) -> str:
    """A bare CR would be read as LF (XML 1.0 §2.11), and calendar data has CRLF."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _attribute(text: str) -> str:
    escaped = _text(text).replace('"', "&quot;")
    return escaped.replace("\n", "&#10;").replace("\t", "&#9;")


def _declared(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
        raise BadXml("neither UTF-8 nor ASCII")


class _Target:
    """Builds the tree from the parser's events, and keeps the budget."""

    def __init__(self, budget: Budget, *, piecewise: bool) -> None:
        self.root: Node | None = None
        self._budget = budget
        self._piecewise = piecewise
        self._open: list[Node] = []
        self._done: list[Node] = []
        self._octets = 0
        self._elements = 0

    def taken(self) -> list[Node]:
        """Give the finished children of the root, once."""
        done, self._done = self._done, []
        return done

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._elements += 1 + len(attributes)
        self._octets += len(name) + sum(len(key) + len(value) for key, value in attributes.items())
        if self._elements > self._budget.elements or len(self._open) >= self._budget.depth:
            raise BadXml("too many elements or attributes, or too deep")
        if name.count("}") > 1 or name.count("{") > 1 or any(key.count("}") > 1 for key in attributes):
            raise BadXml("a brace in a namespace")
        node = Node(name, attributes)
        if not self._open:
            self.root = node
        elif len(self._open) > 1 or not self._piecewise:
            self._open[-1].content.append(node)
        self._open.append(node)
        self._hold(0)

    def data(self, text: str) -> None:
        """Text comes; in a root that is read piece by piece it means nothing."""
        if self._piecewise and len(self._open) < 2:
            return
        self._open[-1].content.append(text)
        self._hold(len(text.encode()))

    def end(self, _name: str) -> None:
        """An element ends."""
        node = self._open.pop()
        if self._piecewise and len(self._open) == 1:
            self._done.append(node)
            self._octets = self._elements = 0

    def _hold(self, octets: int) -> None:
        self._octets += octets
        if self._octets > self._budget.octets:
            raise BadXml("too large")
