"""Multi-status answers on their way to a client: read piece by piece, what is not the client's is left out.

One response is held at a time; `proxy.dav.propstat` judges it. Error bodies are reduced to what a client can
act on. A fault of the upstream's is an `AnswerFault`. RFC 4918 §13 and §16, RFC 6578 §3.5. No I/O.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from proxy.dav.ports import AnswerFault
from proxy.dav.propstat import Response, Rules, error
from proxy.dav.xmltree import BadXml, Budget, Node, XmlReader, closing, document, inner, opening, read
from proxy.limits import DAV_ANSWER_OCTETS, DAV_ERROR_OCTETS, DAV_RESPONSE_ELEMENTS, DAV_RESPONSE_OCTETS
from scopes.davrules import DAV, Kind

_log: Final = logging.getLogger(__name__)

_ROOT: Final = f"{DAV}multistatus"


@dataclass(slots=True)
class Counts:
    """What was left out of answers since the start."""

    dropped: int = 0
    """Responses that were not the client's."""
    alarms: int = 0
    """Of these, those that should never have come: the wall's other half has been passed."""


class MultistatusFilter:
    """Rewrites one answer; a `proxy.dav.ports.Filter`."""

    def __init__(self, rules: Rules, counts: Counts) -> None:
        budget = Budget(octets=DAV_RESPONSE_OCTETS, elements=DAV_RESPONSE_ELEMENTS)
        self._reader = XmlReader(budget, piecewise=True)
        self._rules = rules
        self._counts = counts
        self._octets = 0
        self._opened = False

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets, give what goes on. Raises `AnswerFault`."""
        self._octets += len(octets)
        if self._octets > DAV_ANSWER_OCTETS:
            raise AnswerFault("an answer without end")
        try:
            pieces = self._reader.feed(octets)
        except BadXml as bad:
            raise AnswerFault(str(bad)) from None
        return self._begin() + b"".join(self._piece(each) for each in pieces)

    def finish(self) -> bytes:
        """Take the end, give the last octets. Raises `AnswerFault`."""
        try:
            self._reader.finish()
        except BadXml as bad:
            raise AnswerFault(str(bad)) from None
        return self._begin() + closing(_ROOT)

    def _begin(self) -> bytes:
        root = self._reader.root
        if self._opened or root is None:
            return b""
        if root.name != _ROOT:
            raise AnswerFault("not a multi-status")
        self._opened = True
        return opening(_ROOT)

    def _piece(self, piece: Node) -> bytes:
        """Rewrite one child of the root; a response, or the sync token of a collection of one's own."""
        if piece.name == f"{DAV}sync-token" and self._rules.where is not Kind.NEUTRAL:
            return inner(Node(piece.name, {}, [piece.text()]))
        if piece.name != f"{DAV}response":
            return b""
        response = Response(piece, self._rules)
        if response.alarm:
            self._counts.alarms += 1
            _log.warning("the upstream put another kind of object into an answer about %s", self._rules.where)
        rewritten = response.rewritten()
        if rewritten is None:
            self._counts.dropped += 1
            return b""
        return inner(rewritten)


class ErrorFilter:
    """Reduces an error body to the precondition that failed (RFC 4918 §16); a `proxy.dav.ports.Filter`."""

    def __init__(self) -> None:
        self._octets = b""

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets; nothing goes on before the end."""
        if len(self._octets) <= DAV_ERROR_OCTETS:
            self._octets += octets
        return b""

    def finish(self) -> bytes:
        """Give the error with its precondition, or an empty one."""
        budget = Budget(octets=DAV_ERROR_OCTETS, elements=100)
        try:
            root = read(self._octets[:DAV_ERROR_OCTETS], budget)
        except BadXml:
            root = Node(f"{DAV}error")
        return document(error(root) if root.name == f"{DAV}error" else Node(f"{DAV}error"))
