"""What the DAV front-end and its scope wall say to each other, and what both are joined to.

The front-end owns HTTP: heads, framing, connections. The wall owns what a request may do: it sees one checked
request head, and answers it or says exactly what goes upstream, how its body is to be looked at on the way,
and what becomes of the upstream's answer. Values and ports only; nothing here decides.

Field names are in lower case everywhere, paths are in the one canonical wire form of `scopes.davpath`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from scopes.model import Grant

Fields = tuple[tuple[str, str], ...]
"""Header fields in the order they are sent, names in lower case."""


class AnswerFault(Exception):  # noqa: N818 - the other server's fault, not an error of ours
    """The upstream's answer cannot be passed on: malformed, over a budget, or not what was asked for.

    The client gets 502, or a broken connection where the head has already gone out. The text is for the log.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class WallRequest:
    """One request head that has passed the head check."""

    method: str
    """As it came; methods are case-sensitive (RFC 9110 §9.1)."""
    target: str
    """Origin-form: path and query as they came. Our own absolute-form is reduced to it before."""
    fields: Mapping[str, str]
    """By name in lower case. A field that may come once has come once."""
    has_body: bool
    """Whether a body of at least one octet is announced (Content-Length above 0, or chunked)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply of ours: the upstream is not asked, or what it said is not passed on."""

    status: int
    fields: Fields = ()
    """Without Content-Length, which is the length of the body."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class NoBody:
    """Nothing goes upstream but the head; a body that comes anyway is a bad request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckXml:
    """The body is read whole and checked; what `check` gives goes upstream in its place."""

    limit_octets: int
    """More is 413."""
    check: Callable[[bytes], bytes | Answer]
    """Called once, with the whole body (empty if there is none), before anything goes upstream."""
    content_type: str = 'application/xml; charset="utf-8"'
    """Sent upstream with what `check` gave; nothing is sent for no octets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBody:
    """The body is passed on as it comes, once its first octets have been looked at."""

    content_type: str
    """Sent upstream in place of the client's."""
    first_octets: int
    """`sniff` is called with this many octets, or with all there are; nothing goes upstream before."""
    sniff: Callable[[bytes], Answer | None]
    """None lets the body pass."""


Body = NoBody | CheckXml | StreamBody


class Filter(Protocol):
    """Rewrites one body on its way to the client; what it gives is never more than it needs to hold."""

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets of the upstream's body, give those that go on. Raises `AnswerFault`."""

    def finish(self) -> bytes:
        """Take the end of the body, give the last octets. Raises `AnswerFault`, also for a body cut short."""


@dataclass(frozen=True, slots=True)
class PassAnswer:
    """The upstream's body goes to the client as it is, with these fields."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class FilterAnswer:
    """The upstream's body goes through `filter`; its length is not known before, its ETag does not hold."""

    fields: Fields
    filter: Filter


AnswerPlan = Answer | PassAnswer | FilterAnswer
"""`Answer`: the upstream's body is thrown away and this is sent in its place, with its own status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What goes upstream as the account, and what becomes of the answer."""

    method: str
    path: str
    """Canonical, without a query."""
    fields: Fields
    """The DAV and conditional fields (Depth, Destination, If, If-Match, Overwrite, …), rewritten; the
    front-end adds those of HTTP and the identity, and sends no Accept-Encoding."""
    body: Body
    answer: Callable[[int, Fields], AnswerPlan]
    """Called once with the upstream's status (final, no 1xx) and its fields, less those that the response
    allow-list takes away. It may raise `AnswerFault`. A 401 and every 5xx are the front-end's affair and are
    not shown here."""
    after: Callable[[], None] = field(default=lambda: None)
    """Called exactly once when the exchange is over, however it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamAnswer:
    """A whole answer to a question of our own."""

    status: int
    fields: Mapping[str, str]
    body: bytes


class Ask(Protocol):
    """Puts a question of our own to the upstream, as the account's own identity there."""

    async def __call__(
        self, grant: Grant, method: str, path: str, fields: Fields, body: bytes
    ) -> UpstreamAnswer:
        """Give the whole answer, whatever its status. Raises `proxy.upstreams.place.UpstreamFailure`.

        It fails when the upstream cannot be reached, is too slow, or says more than `DAV_ASK_OCTETS`.
        """


class Judge(Protocol):
    """The scope wall as the front-end sees it: `proxy.dav.wall.Wall`."""

    def unsigned(self, request: WallRequest) -> Answer | None:
        """Answer what is answered without credentials (the well-known redirects); None: sign in first."""

    async def judge(self, request: WallRequest, grant: Grant) -> Answer | Forward:
        """Decide about one request. Raises `UpstreamFailure`, which is 503: nothing is decided in doubt."""
