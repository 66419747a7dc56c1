"""Where the portal answers: alone on the port of HTTPS, under a wildcard, to a balancer, once it is added."""

import re
import signal

import pytest

from config.authority import issue
from support import callers
from support.balancing import believe_balancers
from support.callers import calling
from support.house import PRIMARY
from support.serving import make_gate, running_gate

ALICE = "alice@example.org"
APPS = "apps.gate.localhost"


def make(folder, *names: str):
    """A gate without contacts and calendars, whose portal has a name of its own."""
    house = make_gate(folder / "gate")
    house.add(ALICE)
    issue(house.file.parent / "tls", ["localhost", "127.0.0.1", *names])
    listed = ", ".join(f'"{name}"' for name in ("localhost", "127.0.0.1", *names))
    change(house, r"^names = .*$", f"names = [{listed}]")
    change(house, r"^public_host = .*$", 'public_host = "localhost"')
    change(house, r'^\[upstream\.(contacts|events)\]\naddress = "embedded"$', "")
    change(house, r'^\[upstream\.(contacts|events)\]\naddress = "embedded"$', "")
    change(house, r"^portal = .*$", "")
    return house


def change(house, before: str, after: str) -> None:
    text, found = re.subn(before, after, house.file.read_text("utf-8"), count=1, flags=re.MULTILINE)
    assert found, before
    house.file.write_text(text, "utf-8")


def named(house) -> None:
    change(house, r"^\[policy\]$", f'[portal]\nhost = "{APPS}"\n\n[policy]')


def page(facts, port: str, address: str, host: str) -> bytes:
    """Ask for the page of signing in, through a balancer."""
    with calling({**facts, "host": host}, port, address) as sock:
        request = f"GET /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        return callers.ask(sock, request.encode(), b"\r\n\r\n")


@pytest.mark.parametrize("name", [APPS, "*.gate.localhost"])
def test_alone_on_the_port_of_https_also_under_a_wildcard(tmp_path, name):
    house = believe_balancers(make(tmp_path, name))
    named(house)
    with running_gate(house) as serving:
        assert b" 200 OK" in page(serving.facts, "https", "192.0.2.4", APPS)
        assert b" 421 " in page(serving.facts, "https", "192.0.2.4", "localhost")
        refusal = callers.imap(serving.facts, "192.0.2.4", ALICE, PRIMARY)
        assert f"required: https://{APPS}:{serving.facts['https_port']}/".encode() in refusal


def test_what_is_added_while_serving_answers_and_is_named_in_refusals(tmp_path):
    house = believe_balancers(make(tmp_path))
    change(house, r"^https = .*$", "")
    with running_gate(house) as serving:
        assert b"ask whoever runs localhost" in callers.imap(serving.facts, "192.0.2.4", ALICE, PRIMARY)
        change(house, r"^\[listen\]$", '[listen]\nportal = ["127.0.0.1:0"]')
        serving.process.send_signal(signal.SIGHUP)
        line = serving.log.wait_for("configuration read again")
        port = int(re.search(r"portal=\((\d+),\)", line)[1])
        facts = {**serving.facts, "portal_port": port}
        assert b" 200 OK" in page(facts, "portal", "192.0.2.4", "localhost")
        assert f"required: https://localhost:{port}/".encode() in callers.imap(
            facts, "192.0.2.4", ALICE, PRIMARY
        )
