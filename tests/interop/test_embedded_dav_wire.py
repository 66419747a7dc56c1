"""The child of contacts and calendars spoken to directly: whose names it takes, and as whom."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from proxy import limits
from proxy.embedded.child import ChildFailedError
from proxy.embedded.children import EmbeddedDav
from support.embedded import ALICE, connect

HOME = "/alice%40example.org/"
EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n"
    "DTSTAMP:20260101T000000Z\r\nDTSTART:20260102T150000Z\r\nSUMMARY:Tea\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


class UnixHttp(http.client.HTTPConnection):
    """http.client on a Unix socket, as one account."""

    def __init__(self, path: Path, account: str = ALICE) -> None:
        super().__init__("localhost")
        self._path = path
        self._account = account

    def connect(self) -> None:
        self.sock = connect(self._path)

    def ask(self, method, target, body=None, **fields):
        """Give the status and the body."""
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        self.request(method, target, body, {"X-Remote-User": self._account.encode(), **names})
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.fixture
async def dav(tmp_path):
    server = EmbeddedDav(tmp_path / "dav")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def alice(dav):
    """Alice's client; her calendar `cal` holds one event."""
    client = UnixHttp(dav.socket_path)
    assert client.ask("MKCALENDAR", f"{HOME}cal/")[0] == 201
    assert client.ask("PUT", f"{HOME}cal/tea.ics", EVENT.format(uid="tea"))[0] == 201
    yield client
    client.close()


def raw(dav, octets: bytes) -> bytes:
    """Send octets, and give everything that comes back until the server closes."""
    with connect(dav.socket_path) as sock:
        sock.sendall(octets)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65_536), b""))


async def test_a_first_start_makes_nothing_for_anybody_and_says_nothing(dav, tmp_path, caplog):
    assert list((tmp_path / "dav" / "radicale" / "collection-root").iterdir()) == []
    assert caplog.text == ""


async def test_what_is_kept_is_this_users_alone(alice, tmp_path):
    made = [tmp_path / "dav", *(tmp_path / "dav").rglob("*")]
    assert len(made) > 5
    assert [path for path in made if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    "name", ["über.ics", "茶.ics", "o'neil.ics", "a:b.ics", "a,b.ics", "a*b.ics", "a b.ics"]
)
async def test_a_name_is_listed_as_it_was_given(alice, name):
    path = f"{HOME}cal/{quote(name)}"
    assert alice.ask("PUT", path, EVENT.format(uid="other"))[0] == 201
    listed = alice.ask("PROPFIND", f"{HOME}cal/", Depth="1")[1]
    assert set(re.findall(rb"<href>([^<]*ics)</href>", listed)) == {
        path.encode(),
        f"{HOME}cal/tea.ics".encode(),
    }
    assert alice.ask("GET", path)[0] == 200


@pytest.mark.parametrize("account", ["o'neil+x*y@example.org", "jörg@example.org", "~a=b@example.org"])
async def test_an_account_of_any_name_has_its_tree(dav, account):
    client = UnixHttp(dav.socket_path, account)
    body = client.ask("PROPFIND", "/", Depth="0")[1]
    home = re.search(rb"<current-user-principal><href>([^<]+)</href>", body)[1].decode()
    assert client.ask("MKCALENDAR", f"{home}cal/")[0] == 201
    assert client.ask("PUT", f"{home}cal/tea.ics", EVENT.format(uid="tea"))[0] == 201
    client.close()


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"X-Remote-User:\r\n",
        b"X_Remote_User: alice@example.org\r\n",
        b"Remote-User: alice@example.org\r\n",
        b"Authorization: Basic YWxpY2VAZXhhbXBsZS5vcmc6eA==\r\n",
        b"X-Remote-User: bob@example.org\r\nX-Remote-User: alice@example.org\r\n",
        b"X-Remote-User: alice@example.org\r\nX-Remote-User: alice@example.org\r\n",
        b"X-Remote-User: a/../alice@example.org\r\n",
        b"X-Remote-User: bob@example.org\r\nX_Remote_User: alice@example.org\r\n",
    ],
)
async def test_nobody_is_alice_but_by_one_field(dav, alice, fields):
    ask = b"GET /alice%%40example.org/cal/tea.ics HTTP/1.1\r\nHost: x\r\n%bConnection: close\r\n\r\n"
    assert raw(dav, ask % fields).startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 401 "))
    named = b"X-Remote-User: alice@example.org\r\nX_Remote_User: bob@example.org\r\n"
    assert raw(dav, ask % named).startswith(b"HTTP/1.1 200 ")


async def test_a_path_that_is_no_text_is_refused(alice):
    assert alice.ask("GET", f"{HOME}cal/%FF.ics")[0] == 400


async def test_a_script_name_from_outside_is_not_heard(alice):
    body = alice.ask("PROPFIND", f"{HOME}cal/", Depth="0", X_Script_Name="/elsewhere")[1]
    assert b"<href>/alice%40example.org/cal/</href>" in body
    assert b"elsewhere" not in body


async def test_a_body_in_chunks_is_a_body(alice):
    text = EVENT.format(uid="chunks").encode()
    pieces = (text[at : at + 7] for at in range(0, len(text), 7))
    fields = {"X-Remote-User": ALICE}
    alice.request("PUT", f"{HOME}cal/chunks.ics", pieces, fields, encode_chunked=True)
    answer = alice.getresponse()
    answer.read()
    assert answer.status == 201
    assert b"UID:chunks" in alice.ask("GET", f"{HOME}cal/chunks.ics")[1]


async def test_a_body_over_the_limit_is_refused_before_it_comes(dav):
    head = b"PUT /a/x.ics HTTP/1.1\r\nHost: x\r\nX-Remote-User: alice@example.org\r\n"
    said = raw(dav, head + b"Content-Length: %d\r\n\r\n" % limits.EMBEDDED_DAV_BODY_OCTETS)
    assert said.startswith(b"HTTP/1.1 413 ")


async def test_a_connection_outlives_an_answer_without_a_body_and_the_server_is_not_named(alice):
    before = alice.sock
    alice.request("MKCALENDAR", f"{HOME}work/", headers={"X-Remote-User": ALICE})
    answer = alice.getresponse()
    answer.read()
    assert (answer.status, answer.headers["Server"], answer.headers["Content-Length"]) == (201, None, "0")
    assert alice.sock is before


async def test_two_hundred_idle_connections_stand_in_nobodys_way(dav):
    idle = [connect(dav.socket_path) for _ in range(200)]
    try:
        client = UnixHttp(dav.socket_path)
        assert client.ask("PROPFIND", "/", Depth="0")[0] == 207
        client.close()
    finally:
        for each in idle:
            each.close()


async def test_a_request_whose_body_never_comes_does_not_keep_it(tmp_path):
    made = []

    async def spawn(*command, **options):
        made.append(await asyncio.create_subprocess_exec(*command, **options))
        return made[0]

    dav = EmbeddedDav(tmp_path / "dav", spawn=spawn)
    await dav.start()
    with connect(dav.socket_path) as sock:
        sock.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal")
        await dav.stop()
    assert made[0].returncode == 0  # it left by itself


async def test_a_folder_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ChildFailedError, match=r"radicale did not start: .*[Nn]ot a directory"):
        await EmbeddedDav(tmp_path / "file" / "dav").start()
