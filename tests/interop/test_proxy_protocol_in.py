"""Behind a real HAProxy and a real nginx: the client is whom they name, and nobody else is believed."""

import asyncio
import base64
import http.client
import imaplib
import smtplib
import socket
import ssl
from contextlib import suppress

import pytest

from support.balancing import BALANCER, believe_balancers, haproxy, nginx, running_balancer
from support.imap import PATIENCE_S, refusal, trusting
from support.serving import make_gate, running_gate
from support.sources import imap_from, imaps_from
from support.waiting import eventually

CLIENT, OTHER = "127.0.0.5", "127.0.0.6"
EMAIL = "alice@example.org"
BALANCERS = {
    "haproxy 1": haproxy("send-proxy"),
    "haproxy 2": haproxy("send-proxy-v2 proxy-v2-options crc32c,unique-id"),
    "nginx": nginx,
}


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    house = believe_balancers(make_gate(tmp_path_factory.mktemp("gate") / "gate"))
    house.add(EMAIL)
    with running_gate(house) as serving:
        yield serving


@pytest.fixture(scope="module", params=BALANCERS.values(), ids=BALANCERS.keys())
def facts(gate, request):
    with running_balancer(request.param, gate.facts) as before_it:
        yield before_it


def by_imaps(facts, password):
    with imaps_from(CLIENT, facts) as client:
        client.login(EMAIL, password)


def by_imap(facts, password):
    with imap_from(CLIENT, facts) as client:
        client.starttls(trusting(facts["ca_file"]))
        client.login(EMAIL, password)


def by_submissions(facts, password):
    context = trusting(facts["ca_file"])
    with smtplib.SMTP_SSL(
        "localhost", facts["smtps_port"], context=context, source_address=(CLIENT, 0), timeout=PATIENCE_S
    ) as client:
        client.login(EMAIL, password)


def by_submission(facts, password):
    with smtplib.SMTP(
        "localhost", facts["submission_port"], source_address=(CLIENT, 0), timeout=PATIENCE_S
    ) as client:
        client.starttls(context=trusting(facts["ca_file"]))
        client.login(EMAIL, password)


def by_https(facts, password):
    client = http.client.HTTPSConnection(
        "localhost",
        facts["https_port"],
        context=trusting(facts["ca_file"]),
        source_address=(CLIENT, 0),
        timeout=PATIENCE_S,
    )
    login = base64.b64encode(f"{EMAIL}:{password}".encode()).decode()
    client.request("OPTIONS", "/", headers={"Authorization": f"Basic {login}", "Host": "localhost"})
    assert client.getresponse().status == 200
    client.close()


def mint(gate, label: str, *more: str, scope: str = "mail") -> str:
    options = ("--label", label, "--scope", scope, "--operator", *more)
    return gate.house.ask("password", "create", EMAIL, *options)["password"]


def addresses(gate, label: str) -> set[str]:
    """Where the history says an app password was used from, once it says so."""

    def told() -> set[str]:
        return {
            each["address"] for each in gate.house.ask("account", "sign-ins", EMAIL) if each["label"] == label
        }

    asyncio.run(eventually(told))
    return told()


@pytest.mark.parametrize("sign_in", [by_imaps, by_imap, by_submissions, by_submission, by_https])
def test_log_and_history_name_the_client(gate, facts, request, sign_in):
    label = request.node.name[-60:]
    sign_in(facts, mint(gate, label, scope="contacts" if sign_in is by_https else "mail"))
    assert addresses(gate, label) == {CLIENT}
    gate.log.wait_for(f"address={CLIENT}")


def test_from_networks_are_about_the_client(gate, facts, request):
    password = mint(gate, request.node.name, "--from", f"{OTHER}/32")
    with imaps_from(CLIENT, facts) as client:
        assert "NOPERM" in refusal(client, EMAIL, password)
    with imaps_from(OTHER, facts) as client:
        assert client.login(EMAIL, password)[0] == "OK"


def test_the_balancers_own_address_is_no_way_around_from(gate, facts, request):
    password = mint(gate, request.node.name, "--from", f"{BALANCER}/32")
    with imaps_from(CLIENT, facts) as client:
        assert "NOPERM" in refusal(client, EMAIL, password)


def test_an_ipv6_client_behind_an_ipv4_gate(gate, request):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with running_balancer(BALANCERS["haproxy 2"], gate.facts, "::1") as facts:
        client = imaplib.IMAP4_SSL(
            "::1", facts["imaps_port"], ssl_context=_any_name(facts), timeout=PATIENCE_S
        )
        client.login(EMAIL, mint(gate, request.node.name))
        client.logout()
    assert addresses(gate, request.node.name) == {"::1"}


def _any_name(facts) -> ssl.SSLContext:
    context = trusting(facts["ca_file"])
    context.check_hostname = False
    return context


def test_a_health_check_is_taken(gate):
    """HAProxy sends LOCAL with its checks; a server it finds down gets no connection."""
    checked = haproxy("send-proxy-v2 check inter 50ms")
    with running_balancer(checked, gate.facts) as facts:
        gate.log.wait_for("event=dropped service=imap reason=client-lost address=127.0.0.2")
        by_imaps(facts, mint(gate, "checked"))
    assert addresses(gate, "checked") == {CLIENT}


# --- without a balancer -------------------------------------------------------------------------------------


def test_from_a_balancers_address_a_header_is_a_must(gate):
    for kind in ("imaps", "imap", "smtps", "submission", "https"):
        place = ("127.0.0.1", gate.facts[f"{kind}_port"])
        with socket.create_connection(place, PATIENCE_S, (BALANCER, 0)) as sock:
            sock.sendall(b"EHLO me\r\n")
            with suppress(ConnectionResetError):
                assert sock.recv(1) == b"", kind
    gate.log.wait_for(f"from load balancer {BALANCER} closed: no PROXY header")


def test_a_header_from_elsewhere_is_not_believed(gate):
    with imap_from(OTHER, gate.facts) as client:
        client.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n")
        assert b" BAD " in client.readline()
        client.starttls(trusting(gate.facts["ca_file"]))
        client.login(EMAIL, mint(gate, "elsewhere"))
    assert addresses(gate, "elsewhere") == {OTHER}
