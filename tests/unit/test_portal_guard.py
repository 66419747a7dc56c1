"""What a request to the portal must be like: bodies in pieces, bodies that lie, HEAD, and who asks first."""

import asyncio
import re
import ssl
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from proxy.portal.transport import Patience
from support.office import ALICE, PRIMARY
from support.portal import portal_stage
from support.told import log as _log
from support.told import words

log = _log
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@asynccontextmanager
async def connected(stage):
    """One connection to the portal."""
    parts = urlsplit(stage.url)
    context = ssl.create_default_context(cafile=stage.ca_file)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()


async def signing_in(stage) -> tuple[str, str]:
    """The head of a POST that signs alice in, without what says how long it is, and its body."""
    visitor = stage.visitor()
    page = await visitor.get("/sign-in")
    (token,) = re.findall(r'name="csrf" value="(\w+)"', page.html)
    (cookie,) = (f"{name}={value}" for name, value in visitor.cookies.items())
    host = urlsplit(stage.url).netloc
    body = f"csrf={token}&email={ALICE}&password={PRIMARY.reveal().replace(' ', '+')}"
    return f"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{FORM}Connection: close\r\n", body


def status(raw: bytes) -> int:
    return int(raw.split(b" ", 2)[1])


async def test_a_form_may_come_in_pieces(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        head, body = await signing_in(stage)
        pieces = "".join(f"1;x=y\r\n{octet}\r\n" for octet in body)
        raw = await stage.visitor().raw(f"{head}Transfer-Encoding: chunked\r\n\r\n{pieces}0\r\n\r\n".encode())
        assert status(raw) == 303
        assert b"Location: /sign-in/code" in raw


async def test_who_asks_first_is_told_to_go_on(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        head, body = await signing_in(stage)
        async with asyncio.timeout(20), connected(stage) as (reader, writer):
            writer.write(f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body.encode())
            assert status(await reader.readuntil(b"\r\n\r\n")) == 303


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ("Expect: 100-continue\r\nContent-Length: 100000000\r\n", 413),
        ("Content-Length: 100000000\r\n", 413),
        ("Expect: something-else\r\nContent-Length: 3\r\n", 417),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nfffffffffffffffff\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef", 400),
        ("Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 400),
        ("Content-Length: 3\r\n\r\n%ff", 400),
        ("Content-Length: 2\r\n\r\n\xff=", 400),
        ("Content-Length: 0\r\n\r\n", 403),
        ("Sec-Fetch-Site: same-origin\r\nOrigin: null\r\nContent-Length: 3\r\n\r\na=b", 403),
    ],
)
async def test_a_body_that_is_no_form_is_stopped_and_no_fault_of_ours(tmp_path, log, more, answer):
    async with portal_stage(tmp_path) as stage:
        head, _ = await signing_in(stage)
        raw = await stage.visitor().raw(f"{head}{more}\r\n".encode("latin-1"))
        assert status(raw) == answer
        assert b"Content-Security-Policy" in raw
    assert not [record for record in log.records if record.levelname == "ERROR"]


async def test_a_form_that_never_comes_is_not_waited_for(tmp_path, log):
    async with portal_stage(tmp_path, patience=Patience(body_s=0.2)) as stage:
        head, body = await signing_in(stage)
        raw = await stage.visitor().raw(f"{head}Content-Length: {len(body)}\r\n\r\n{body[:10]}".encode())
        assert status(raw) == 408


@pytest.mark.parametrize("path", ["/sign-in", "/static/portal.css", "/nothing"])
async def test_head_is_what_get_would_say_without_its_body(tmp_path, path):
    async with portal_stage(tmp_path) as stage:
        asked, got = [await stage.visitor().ask(method, path) for method in ("HEAD", "GET")]
        assert (asked.status, asked.header("Content-Length")) == (got.status, got.header("Content-Length"))
        assert asked.body == b""
        assert got.body


@pytest.mark.parametrize(
    "path",
    ["/%00", "/%ff", "/%2e%2e/%2e%2e/etc/passwd", "/static/../site.py", "/static/%2e%2e/site.py", "/a?%ff=%"],
)
async def test_a_strange_path_leads_nowhere(tmp_path, log, path):
    async with portal_stage(tmp_path) as stage:
        host = urlsplit(stage.url).netloc
        raw = await stage.visitor().raw(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert status(raw) in (400, 404)
        assert b"import" not in raw
    assert not [record for record in log.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(("version", "answer"), [("1.0", 200), ("1.9", 400), ("2.0", 505)])
async def test_another_version_is_not_spoken(tmp_path, log, version, answer):
    async with portal_stage(tmp_path) as stage:
        host = urlsplit(stage.url).netloc
        raw = await stage.visitor().raw(f"GET /sign-in HTTP/{version}\r\nHost: {host}\r\n\r\n".encode())
        assert status(raw) == answer
    assert not [record for record in log.records if record.levelname == "ERROR"]


async def test_an_upgrade_is_not_taken(tmp_path, log):
    async with portal_stage(tmp_path) as stage:
        host = urlsplit(stage.url).netloc
        asks = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        async with asyncio.timeout(20), connected(stage) as (reader, writer):
            writer.write(f"GET /sign-in HTTP/1.1\r\nHost: {host}\r\n{asks}\r\n".encode())
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200


async def test_nothing_behind_an_upgrade_is_read_as_a_request(tmp_path):
    async with portal_stage(tmp_path) as stage:
        host = urlsplit(stage.url).netloc
        head = f"GET /sign-in HTTP/1.1\r\nHost: {host}\r\n"
        asks = f"{head}Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        raw = await stage.visitor().raw(f"{asks}{head}\r\n".encode())
        assert status(raw) == 200
        assert b"Connection: close\r\n" in raw
        assert raw.count(b"HTTP/1.1") == 1


async def test_an_older_client_is_told_nothing_before_its_answer(tmp_path):
    async with portal_stage(tmp_path) as stage:
        head, body = await signing_in(stage)
        asks = f"{head.replace('HTTP/1.1', 'HTTP/1.0')}Expect: 100-continue\r\nContent-Length: {len(body)}"
        raw = await stage.visitor().raw(f"{asks}\r\n\r\n{body}".encode())
        assert status(raw) == 303


async def test_a_handshake_that_fails_is_one_line(tmp_path, log):
    async with portal_stage(tmp_path) as stage:
        parts = urlsplit(stage.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        async with asyncio.timeout(20):
            while not words(log):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0)
    assert words(log) == [("dropped", "client-lost")]
