"""Whatever goes wrong with a DAV request has its status and a text of ours, and nothing of anybody else's."""

from __future__ import annotations

import pytest

from auth.refusal import Reason, Refusal
from proxy.dav.ports import Answer, AnswerFault, FilterAnswer, PassAnswer
from proxy.failures import House, http_refusal
from proxy.limits import RETRY_AFTER_S
from proxy.upstreams.place import UpstreamFailure
from scopes.davrules import OFFERED
from support.dav_stage import HELLO, HOST, PASSWORD, get, put, stage
from support.dav_upstream import CLOSE
from support.imap_stage import soon
from support.sockets import Tls, on_both_loops

SECRETIVE = b"\r\nServer: Hidden/1\r\nContent-Length: 15\r\nWWW-Authenticate: Basic\r\n\r\nTraceback: boom"
PROPFIND = put(b"<in/>", first=b"PROPFIND /x HTTP/1.1")


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("reason", Reason)
@on_both_loops
async def test_every_refusal_ends_the_connection_and_is_recorded(tls, reason):
    refusal = Refusal(reason=reason, account_id="ac_1", app_password_id="ap_1", label="phone")
    expected = http_refusal(refusal, House(host="mail.example.org"))
    async with stage(tls) as played, played.client() as client:
        played.gate.answer = refusal
        got = await client.ask(put(b"hello", b"User-Agent: DAVx5"))
        assert (got.status, got.body) == (expected.status, expected.body)
        assert {name.lower(): value for name, value in expected.fields}.items() <= got.fields.items()
        await client.ended()
        assert [(each.outcome, each.client_name) for each in played.records] == [(reason, "DAVx5")]
        assert len(played.doubted) == (0 if refusal.is_outage else 1)
        assert not played.wall.asked
        assert not played.released


@on_both_loops
async def test_the_gate_has_the_last_word(tls):
    revoked = Refusal(reason=Reason.REVOKED, account_id="ac_1", app_password_id="ap_1", label="phone")
    async with stage(tls) as played, played.client() as client:
        assert (await client.ask(get())).status == 200
        played.gate.confirmation = revoked
        got = await client.ask(get())
        assert (got.status, got.fields["connection"]) == (401, "close")
        assert b"revoked" in got.body
        assert b"hello" not in got.body
        await client.ended()
        assert [each.outcome for each in played.records] == ["granted", Reason.REVOKED]


@pytest.mark.parametrize("part", ["gate", "confirm", "wall", "plan", "check", "sniff"])
@on_both_loops
async def test_a_fault_of_ours_is_a_fixed_text_and_no_secret_in_the_log(tls, caplog, part):
    def broken(*_):
        raise bug

    bug = RuntimeError(f"told {PASSWORD}")
    async with stage(tls) as played, played.client() as client:
        match part:
            case "gate":
                played.gate.answer = bug
            case "confirm":
                played.gate.confirmation = bug
            case "wall":
                played.wall.outcome = bug
            case _:
                setattr(played.wall, part, broken)
        request = {"check": PROPFIND, "sniff": put(b"hello!!")}.get(part, get())
        got = await client.ask(request)
        assert (got.status, got.fields["connection"]) == (500, "close")
        assert got.body == b"internal error, please tell whoever runs this server\n"
        await client.ended()
        assert played.wall.after == (part in ("confirm", "plan", "check", "sniff"))
    assert "RuntimeError at " in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (CLOSE, 503),
        (b"SSH-2.0-x\r\n", 503),
        (b"HTTP/1.1 401 No" + SECRETIVE, 503),
        (b"HTTP/1.1 407 No" + SECRETIVE, 503),
        (b"HTTP/1.1 500 Oops" + SECRETIVE, 502),
        (b"HTTP/1.1 501 Oops" + SECRETIVE, 502),
        (b"HTTP/1.1 503 Oops" + SECRETIVE, 503),
        (b"HTTP/1.1 507 Full" + SECRETIVE, 507),
        (b"HTTP/1.1 599 Oops" + SECRETIVE, 502),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 502),
        (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 503),
    ],
)
@on_both_loops
async def test_the_server_behind_fails(tls, caplog, answer, status):
    async with stage(tls, answer) as played, played.client() as client:
        got = await client.ask(get())
        assert got.status == status
        assert ("retry-after" in got.fields) == (status == 503)
        if status == 503:
            assert got.fields["retry-after"] == str(RETRY_AFTER_S)
        assert not {"www-authenticate", "server"} & set(got.fields)
        assert b"Traceback" not in got.body
        assert played.wall.after == 1
        assert [each.outcome for each in played.records] == ["granted"]
    assert "boom" not in caplog.text


@on_both_loops
async def test_a_server_that_is_not_there(tls):
    async with stage(tls) as played, played.client() as client:
        played.said.path.unlink()
        assert (await client.ask(get())).status == 503


@pytest.mark.parametrize("method", ["GET", "PUT"])
@on_both_loops
async def test_the_wall_cannot_decide(tls, method):
    async with stage(tls) as played, played.client() as client:
        played.wall.outcome = UpstreamFailure("no answer")
        got = await client.ask(put(b"hello!", first=method.encode() + b" /x HTTP/1.1"))
        assert (got.status, got.fields["retry-after"]) == (503, str(RETRY_AFTER_S))
        assert played.said.heard == []


class Broken:
    """A filter that fails where it is told to."""

    def __init__(self, at: int) -> None:
        self.left = at

    def feed(self, octets: bytes) -> bytes:
        self.left -= len(octets)
        if self.left < 0:
            raise AnswerFault("not what was asked for")
        return octets

    def finish(self) -> bytes:
        raise AnswerFault("cut short")


@pytest.mark.parametrize("at", [0, 10])
@on_both_loops
async def test_an_answer_that_is_not_passed_on(tls, at):
    async with stage(tls) as played, played.client() as client:
        played.wall.plan = lambda status, fields: FilterAnswer(fields, Broken(at))
        got = await client.ask(get())
        assert (got.status, got.body) == (502, b"the server behind gave no usable answer\n")


@on_both_loops
async def test_a_plan_that_is_a_fault(tls):
    def plan(status, fields):
        raise AnswerFault("a redirect to another server")

    moved = b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n"
    async with stage(tls, moved) as played, played.client() as client:
        played.wall.plan = plan
        got = await client.ask(get())
        assert got.status == 502
        assert "location" not in got.fields


@pytest.mark.parametrize("filtered", [True, False])
@on_both_loops
async def test_half_an_answer_is_not_made_whole(tls, filtered):
    """The head is out: the connection ends within the body, so that no client takes it for all of it."""
    cut_short = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n" + b"x" * 200_000
    async with stage(tls, cut_short) as played, played.client() as client:
        if filtered:
            played.wall.plan = lambda status, fields: FilterAnswer(fields, Broken(150_000))
        await client.send(get())
        with pytest.raises(Exception, match=r"close_notify|ended after"):
            await client.answer()
        await soon(client.task)
        assert played.wall.after == 1


@on_both_loops
async def test_an_answer_in_place_of_the_servers(tls):
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 65500\r\n\r\n" + b"x" * 65_500  # comes in two pieces
    async with stage(tls, large) as played, played.client() as client:
        played.wall.plan = lambda status, fields: Answer(status=204, fields=(("etag", '"1"'),))
        for _ in range(2):
            got = await client.ask(get())
            assert (got.status, got.fields["etag"]) == (204, '"1"')
        assert played.said.connections == 1


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\0b", "\N{EURO SIGN}"])
@on_both_loops
async def test_a_field_that_would_be_two_is_a_fault(tls, value):
    async with stage(tls) as played, played.client() as client:
        played.wall.plan = lambda status, fields: PassAnswer((("etag", value),))
        got = await client.ask(get())
        assert got.status == 500
        assert "set-cookie" not in got.fields


@on_both_loops
async def test_too_large(tls):
    async with stage(tls, HELLO) as played, played.client() as client:
        got = await client.ask(put(b"x" * 1_001, first=b"PROPFIND /x HTTP/1.1"))
        assert (got.status, got.body) == (413, b"too large\n")
    async with stage(tls, HELLO) as played, played.client() as client:
        chunked = get(b"Transfer-Encoding: chunked", first=b"PROPFIND /x HTTP/1.1")
        got = await client.ask(chunked + b"3E9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n")
        assert got.status == 413
        assert played.said.heard == []


@pytest.mark.parametrize("chunked", [True, False])
@on_both_loops
async def test_an_object_that_is_too_large(tls, chunked):
    async with stage(tls, object_octets=100_000) as played, played.client() as client:
        if chunked:
            await client.send(get(b"Transfer-Encoding: chunked", first=b"PUT /x HTTP/1.1"))
            await client.send((b"8000\r\n" + b"x" * 32_768 + b"\r\n") * 12 + b"0\r\n\r\n")
        else:
            await client.send(put(b"x" * 100_001, b"Expect: 100-continue")[:-100_001])
        got = await client.answer()
        assert (got.status, got.fields["connection"]) == (413, "close")
        assert played.said.heard == []


@pytest.mark.parametrize("octets", [b"5\nhello", b"0x5\r\n", b"5\r\nhellox", b"5\r\nhello\r\n0\r\n x\r\n"])
@pytest.mark.parametrize("method", [b"PUT", b"PROPFIND"])
@on_both_loops
async def test_a_bad_body(tls, method, octets):
    async with stage(tls) as played, played.client() as client:
        await client.send(get(b"Transfer-Encoding: chunked", first=method + b" /x HTTP/1.1") + octets)
        got = await client.answer()
        assert (got.status, got.body, got.fields["connection"]) == (400, b"bad body\n", "close")
        await client.ended()
        assert played.said.heard == []


@on_both_loops
async def test_what_the_wall_finds_in_a_body(tls):
    no = Answer(status=415, fields=(("content-type", "text/plain"),), body=b"no\n")
    async with stage(tls) as played, played.client() as client:
        played.wall.check = played.wall.sniff = lambda octets: no
        assert (await client.ask(PROPFIND)).status == 415
        assert (await client.ask(put(b"<html></html>"))).status == 415
        played.gate.confirmation = Refusal(reason=Reason.REVOKED)
        assert (await client.ask(PROPFIND)).status == 401
        assert played.said.heard == []


@pytest.mark.parametrize("status", [400, 405, 414, 431, 417])
@on_both_loops
async def test_bad_heads(tls, status):
    line = {414: b"GET /" + b"x" * 9_000, 405: b"TRACE /"}.get(status, b"GET /") + b" HTTP/1.1\r\n" + HOST
    more = {400: b"A : b\r\n", 431: b"A: b\r\n" * 200, 417: b"Expect: x\r\n"}.get(status, b"")
    async with stage(tls) as played, played.client() as client:
        await client.send(line + more + b"\r\n")
        got = await client.answer()
        assert (got.status, got.fields["connection"]) == (status, "close")
        assert got.fields.get("allow") == (", ".join(OFFERED) if status == 405 else None)
        await client.ended()
        assert not played.gate.asked
