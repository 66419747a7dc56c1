"""The scope wall with a server behind it and no front-end before it: requests go in, replies come out.

It does with the wall's word what a front-end does, and writes down what reached the upstream.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from proxy.dav.ports import (
    Answer,
    CheckXml,
    Fields,
    FilterAnswer,
    Forward,
    NoBody,
    StreamBody,
    UpstreamAnswer,
    WallRequest,
)
from proxy.dav.wall import Wall
from scopes.model import Grant, Scope
from support.radicale_server import Reply

HOST = "dav.example.org"
ALICE = "alice@example.org"
T = TypeVar("T")

Upstream = Callable[[str, str, str, dict[str, str], bytes], Reply]
"""user, method, path, fields, body."""


@dataclass(frozen=True)
class Sent:
    """What reached the upstream."""

    method: str
    path: str
    fields: dict[str, str]
    body: bytes


def grant(*scopes: Scope, email: str = ALICE, account_id: str = "ac_1") -> Grant:
    """Make a grant."""
    return Grant(
        account_id=account_id, email=email, app_password_id="ap_1", label="Phone", scopes=frozenset(scopes)
    )


@dataclass
class Stage:
    """The wall and what is behind it."""

    upstream: Upstream
    clock: Callable[[], float] = lambda: 0.0
    chunk: int = 65_536
    """Answers reach the filters in pieces of this size."""
    sent: list[Sent] = field(default_factory=list)
    """All that reached the upstream, the wall's own questions too."""

    def __post_init__(self) -> None:
        self.wall = Wall(self._ask, authorities=(HOST,), clock=self.clock)

    async def _ask(self, who: Grant, method: str, path: str, fields: Fields, body: bytes) -> UpstreamAnswer:
        reply = self._upstream(who, method, path, dict(fields), body)
        return UpstreamAnswer(status=reply.status, fields=reply.fields, body=reply.body)

    def _upstream(self, who: Grant, method: str, path: str, fields: dict[str, str], body: bytes) -> Reply:
        self.sent.append(Sent(method, path, fields, body))
        return self.upstream(who.email, method, path, fields, body)

    def request(
        self,
        scopes: Iterable[Scope] | Grant,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Do one request as an app password with these scopes."""
        who = scopes if isinstance(scopes, Grant) else grant(*scopes)
        said = WallRequest(
            method=method, target=target, fields={"authorization": "x", **(fields or {})}, has_body=bool(body)
        )
        decided = self.wall.unsigned(said) or done(self.wall.judge(said, who))
        if isinstance(decided, Answer):
            return _reply(decided)
        try:
            return self._forwarded(who, decided, body)
        finally:
            decided.after()

    def _forwarded(self, who: Grant, forward: Forward, body: bytes) -> Reply:
        checked, content_type = _body(forward.body, body)
        if isinstance(checked, Answer):
            return _reply(checked)
        fields = {**dict(forward.fields), **content_type}
        reply = self._upstream(who, forward.method, forward.path, fields, checked)
        plan = forward.answer(reply.status, tuple(reply.fields.items()))
        if isinstance(plan, Answer):
            return _reply(plan)
        octets = reply.body
        if isinstance(plan, FilterAnswer):
            pieces = (octets[at : at + self.chunk] for at in range(0, len(octets), self.chunk))
            octets = b"".join([*map(plan.filter.feed, pieces), plan.filter.finish()])
        return Reply(reply.status, dict(plan.fields), octets)


def _body(plan: NoBody | CheckXml | StreamBody, body: bytes) -> tuple[bytes | Answer, dict[str, str]]:
    match plan:
        case NoBody():
            assert not body, "a front-end answers 400 to this"
            return b"", {}
        case CheckXml():
            return plan.check(body), {"content-type": plan.content_type}
        case StreamBody():
            refused = plan.sniff(body[: plan.first_octets])
            return body if refused is None else refused, {"content-type": plan.content_type}


def _reply(answer: Answer) -> Reply:
    return Reply(answer.status, dict(answer.fields), answer.body)


def done(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")
