"""The portal served by a process: beside contacts and calendars on one port, and when the config changes."""

import asyncio
import base64
import re
import signal
import socket
import ssl
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from config.authority import issue
from proxy.portal.guard import COOKIE
from support import imap, smtp
from support.balancing import BALANCER, believe_balancers, nginx, running_balancer
from support.daemons import free_ports
from support.house import PRIMARY, code
from support.serving import make_gate, running_gate
from support.visitor import Visitor

ALICE = "alice@example.org"
DAV, APPS = "localhost", "apps.localhost"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    with _serving(tmp_path_factory.mktemp("portal")) as both:
        yield both


@pytest.fixture
def own_town(tmp_path):
    """One whose config the test may change."""
    with _serving(tmp_path) as both:
        yield both


@contextmanager
def _serving(folder):
    house, seed = _made(folder)
    with running_gate(house) as serving:
        yield serving, seed


def _made(folder):
    """A gate whose portal has a name of its own, on the port of contacts and calendars and on another one."""
    house = make_gate(folder / "gate")
    seed = house.add(ALICE)
    issue(house.file.parent / "tls", [DAV, APPS, "127.0.0.1"])
    change(house, r"^names = .*$", f'names = ["{DAV}", "{APPS}", "127.0.0.1"]')
    change(house, r"^public_host = .*$", f'public_host = "{DAV}"')
    change(house, r"^\[policy\]$", f'[portal]\nhost = "{APPS}"\n\n[policy]')
    return house, seed


def change(house, before: str, after: str) -> None:
    text, found = re.subn(before, after, house.file.read_text("utf-8"), count=1, flags=re.MULTILINE)
    assert found
    house.file.write_text(text, "utf-8")


def asked(facts, *, name: str | None, host: str, more: str = "", port: str = "https_port") -> bytes:
    """Ask for a page under `host`, over TLS for `name`; give the answer."""
    context = ssl.create_default_context(cafile=facts["ca_file"])
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", facts[port]), 20) as sock,
        context.wrap_socket(sock, server_hostname=name) as tls,
    ):
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: tls.recv(65_536), b""))


def visitor_at(serving, port: str) -> Visitor:
    url = f"https://{APPS}:{serving.facts[port]}/"
    return Visitor(url, serving.facts["ca_file"], connects_to=("127.0.0.1", APPS))


async def signed_in(visitor: Visitor, seed) -> None:
    page = await visitor.submit(await visitor.get("/"), email=ALICE, password=PRIMARY)
    page = await visitor.submit(page, code=code(seed))
    assert page.path == "/app-passwords", page.text


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("name", "host", "answers"),
    [
        (APPS, APPS, 303),
        (APPS.upper(), APPS.upper(), 303),
        (DAV, DAV, 401),
        (None, DAV, 401),
        ("another.example", DAV, 401),
        (APPS, DAV, 421),
        (APPS, "127.0.0.1", 421),
        (APPS, f"{APPS}.", 421),
        (DAV, APPS, 421),
        (None, APPS, 421),
        ("another.example", APPS, 421),
    ],
)
def test_on_one_port_each_answers_for_its_own_name_alone(town, name, host, answers):
    serving, _ = town
    assert status(asked(serving.facts, name=name, host=host)) == answers


def test_on_a_port_of_its_own_it_answers_for_its_name_whatever_was_asked_for_in_tls(town):
    serving, _ = town
    for name in (APPS, DAV, None):
        assert status(asked(serving.facts, name=name, host=APPS, port="portal_port")) == 303
        assert status(asked(serving.facts, name=name, host=DAV, port="portal_port")) == 421


async def test_a_session_is_worth_nothing_beside_it_and_an_app_password_nothing_in_it(town):
    serving, seed = town
    visitor = visitor_at(serving, "https_port")
    await signed_in(visitor, seed)
    cookie = f"Cookie: {COOKIE}={visitor.cookies[COOKIE]}\r\n"
    assert status(asked(serving.facts, name=DAV, host=DAV, more=cookie)) == 401
    password = await asyncio.to_thread(serving.mint, ALICE, "tablet", "--scope", "events")
    basic = base64.b64encode(f"{ALICE}:{password}".encode()).decode()
    assert status(asked(serving.facts, name=DAV, host=DAV, more=f"Authorization: Basic {basic}\r\n")) != 401
    answer = asked(serving.facts, name=APPS, host=APPS, more=f"Authorization: Basic {basic}\r\n")
    assert b"Location: /sign-in" in answer
    by_imap, by_smtp = await asyncio.to_thread(_tried, serving.facts, visitor.cookies[COOKIE])
    assert "AUTHENTICATIONFAILED" in by_imap
    assert by_smtp.startswith("535")


def _tried(facts, token: str) -> tuple[str, str]:
    """Sign in at mail with this as the password; give what both refuse it with."""
    mail, sending = imap.connect(facts), smtp.connect(facts)
    try:
        return imap.refusal(mail, ALICE, token), smtp.refusal(sending, ALICE, token)
    finally:
        mail.shutdown()
        sending.close()


async def test_sessions_and_places_outlive_a_config_that_is_read_again(own_town):
    serving, seed = own_town
    before, (other,) = serving.facts["portal_port"], free_ports(1)
    visitor = visitor_at(serving, "portal_port")
    await signed_in(visitor, seed)
    change(serving.house, r"^portal = .*$", f'portal = ["127.0.0.1:{other}"]')
    serving.process.send_signal(signal.SIGHUP)
    serving.log.wait_for(f"portal=({other},)")
    with pytest.raises(ConnectionRefusedError):
        await visitor.get("/app-passwords")
    visitor.url = visitor.url.replace(str(before), str(other))
    assert (await visitor.get("/app-passwords")).path == "/app-passwords"
    change(serving.house, r"^portal = .*$", "")
    change(serving.house, r"^\[portal\]\nhost = .*$", "")
    serving.process.send_signal(signal.SIGHUP)
    serving.log.wait_for("portal=()")
    assert status(asked(serving.facts, name=APPS, host=APPS)) == 401


def beside_a_web_server(portal: int):
    """Write what docs/deploy.md says for nginx; contacts and calendars are the web server that was there."""
    guide = Path(__file__).parents[2].joinpath("docs/deploy.md").read_text("utf-8")
    _, _, section = guide.partition("### The portal beside a web server on port 443\n")
    named, served = re.findall(r"^  (?:map|server) .*$", section, flags=re.MULTILINE)[:2]

    def written(folder, mine, gate, host):
        command = nginx(folder, {kind: mine[kind] for kind in mine if kind != "https"}, gate, host)
        ours = f"{named}\n{served}\n"
        for example, here in {
            "listen 443": f"listen {host}:{mine['https']}",
            "apps.example.org 10.0.0.5:8444": f"{APPS} 127.0.0.1:{portal}",
            "127.0.0.1:4443": f"127.0.0.1:{gate['https']}",
        }.items():
            assert example in ours
            ours = ours.replace(example, here)
        file = folder / "nginx.conf"
        file.write_text(file.read_text().replace("stream {\n", f"stream {{\n{ours}"))
        return command

    return written


@pytest.fixture
def behind_nginx(tmp_path):
    house, seed = _made(tmp_path)
    with running_gate(believe_balancers(house)) as serving:
        nginx_here = beside_a_web_server(serving.facts["portal_port"])
        with running_balancer(nginx_here, serving.facts) as facts:
            yield replace(serving, facts=facts), seed


async def test_beside_a_web_server_people_come_from_their_own_addresses(behind_nginx):
    serving, seed = behind_nginx
    assert status(asked(serving.facts, name=DAV, host=DAV)) == 401
    await signed_in(visitor_at(serving, "https_port"), seed)
    line = serving.log.wait_for("event=sign-in service=portal")
    assert "address=127.0.0.1 " in line
    assert BALANCER not in line
