"""Real servers are told who the client is: Dovecot by PROXY headers and ID, Postfix by those and XCLIENT."""

import re
import smtplib
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from auth.secret import Secret
from config.address import Address, AddressKind
from proxy.imap.upstream import ImapUpstream
from proxy.net.proxy_header import Ends, write_v2
from proxy.net.tls import client_context
from proxy.smtp.upstream import SmtpUpstream
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place
from proxy.upstreams.telling import Telling
from support.balancing import BALANCER, believe_balancers
from support.dovecot import Dovecot, running_dovecot
from support.dovecot_config import DovecotOptions
from support.imap_stage import GRANT
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.postfix import Postfix, running_postfix
from support.postfix_config import PostfixOptions
from support.serving import running_gate
from support.sources import imaps_from, submissions_from
from support.waiting import until

CLIENT = "127.0.0.5"
ALICE, BOB = "alice@example.org", "bob@example.net"
AFAR = Ends(client=(ip_address("2001:db8::7"), 40_000), gate=(ip_address("2001:db8::1"), 993))
FROM_AFAR = write_v2(AFAR)


@pytest.fixture(scope="module")
def dovecot():
    with running_dovecot(DovecotOptions(trusts_us=True)) as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot):
    with running_postfix(dovecot, PostfixOptions(xclient=True, more=("inet_protocols = all",))) as server:
        yield server


@dataclass(frozen=True)
class Way:
    """How one gate tells its two upstreams."""

    imap: str
    """`upstream.imap.client_address`."""
    imap_address: str
    smtp: str
    smtp_address: str
    authenticated: bool = True


IMAPS, IMAP = "imaps://localhost:{dovecot.imaps}", "imap+starttls://localhost:{dovecot.imap}"
SMTPS, SMTP = "smtps://localhost:{postfix.submissions}", "smtp+starttls://localhost:{postfix.submission}"
IMAPS_PROXIED, SMTPS_PROXIED = "imaps://localhost:{dovecot.proxied}", "smtps://localhost:{postfix.proxied}"
WAYS = {
    "PROXY 1": Way("proxy-v1", IMAPS_PROXIED, "proxy-v1", SMTPS_PROXIED),
    "PROXY 2": Way("proxy-v2", IMAPS_PROXIED, "proxy-v2", SMTPS_PROXIED),
    "TLS": Way("id", IMAPS, "xclient", SMTPS),
    "STARTTLS": Way("id", IMAP, "xclient", SMTP),
    "nobody": Way("id", IMAPS, "xclient", "smtp://127.0.0.1:{postfix.relay}", authenticated=False),
}


def made(folder, way: Way, dovecot: Dovecot, postfix: Postfix):
    ports = {"dovecot": dovecot.ports, "postfix": postfix.ports}
    sign_in = signing_in(folder, dovecot.secret)
    told = f'client_address = "{way.imap}"'
    imap = upstream(way.imap_address.format(**ports), dovecot.ca_file, sign_in, told)
    lines = [f'address = "{way.smtp_address.format(**ports)}"', f'client_address = "{way.smtp}"']
    if way.authenticated:
        lines += [f'ca_file = "{postfix.ca_file}"', sign_in]
    else:
        lines += ['sign_in = { kind = "none" }', "insecure = true"]
    house = make_mail_gate(folder / "gate", imap, "\n".join(lines))
    house.add(ALICE)
    return house


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS.keys())
def gate(tmp_path_factory, dovecot, postfix, request):
    folder = tmp_path_factory.mktemp("front")
    with running_gate(made(folder, request.param, dovecot, postfix)) as serving:
        yield serving, request.param


def sent(postfix, client, serving, subject: str) -> str:
    """Send a letter; give what Postfix logs of its client."""
    client.login(ALICE, serving.mint(ALICE, subject))
    client.sendmail(ALICE, [BOB], f"From: {ALICE}\r\nSubject: {subject}\r\n\r\nHello.\r\n")
    received = postfix.wait_for(BOB, subject).get_all("Received")[-1]
    queue_id = re.search(r"\bid (\w+)", received)
    [line] = [each for each in postfix.log.splitlines() if f"{queue_id[1]}: client=" in each]
    return f"{received} {line}"


def signed_in(dovecot, client, serving, label: str) -> str:
    """Sign in; give what Dovecot logs of it."""
    before = len(dovecot.log)
    client.login(ALICE, serving.mint(ALICE, label))
    assert client.select()[0] == "OK"
    until(lambda: "Login: user=" in dovecot.log[before:])
    [line] = [line for line in dovecot.log[before:].splitlines() if "Login: user=" in line]
    return line


def test_dovecot_logs_the_client(gate, dovecot, request):
    serving, way = gate
    with imaps_from(CLIENT, serving.facts) as client:
        line = signed_in(dovecot, client, serving, request.node.name)
    assert f"user=<{ALICE}>" in line
    assert f"rip={CLIENT}," in line
    if way.imap == "id":
        connection = re.search(r"connection=(\w+)", serving.log.wait_for("event=sign-in service=imap"))
        assert f"session=<{connection[1]}>" in line


def test_postfix_logs_the_client_and_its_login(gate, postfix, request):
    serving, _ = gate
    with submissions_from(CLIENT, serving.facts) as client:
        logged = sent(postfix, client, serving, request.node.name)
    assert f"(unknown [{CLIENT}])" in logged
    assert f"client=unknown[{CLIENT}]" in logged
    assert f"sasl_username={ALICE}" in logged


def test_through_a_balancer_the_client_is_known_at_both_ends(tmp_path, dovecot, postfix):
    """What the balancer says reaches the servers behind, IPv6 too."""
    house = believe_balancers(made(tmp_path, WAYS["TLS"], dovecot, postfix))
    with running_gate(house) as serving:
        with imaps_from(BALANCER, serving.facts, FROM_AFAR) as client:
            line = signed_in(dovecot, client, serving, "balanced reader")
        assert "rip=2001:db8::7," in line
        assert "lip=2001:db8::1," in line
        with submissions_from(BALANCER, serving.facts, FROM_AFAR) as client:
            assert "client=unknown[2001:db8::7]" in sent(postfix, client, serving, "balanced sender")


def test_postfix_goes_by_the_login_that_xclient_tells(tmp_path, dovecot, postfix):
    """Nobody signs in there, and the client is from nowhere that Postfix trusts."""
    house = believe_balancers(made(tmp_path, WAYS["nobody"], dovecot, postfix))
    with (
        running_gate(house) as serving,
        submissions_from(BALANCER, serving.facts, FROM_AFAR) as client,
    ):
        assert f"sasl_username={ALICE}" in sent(postfix, client, serving, "by login alone")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail(BOB, [BOB], "Subject: as somebody else\r\n\r\n")
        assert f"not owned by user {ALICE}".encode() in refused.value.recipients[BOB][1]


@pytest.mark.parametrize("telling", [Telling.PROXY_V1, Telling.PROXY_V2])
async def test_where_the_gate_itself_looks_both_servers_take_its_header(dovecot, postfix, telling):
    """As `account set-upstream` does: there is no client to tell of."""
    kind = Authzid(user="gate", secret=Secret(dovecot.secret))
    imaps = Address(kind=AddressKind.IMAPS, host="localhost", port=dovecot.ports.proxied)
    smtps = Address(kind=AddressKind.SMTPS, host="localhost", port=postfix.ports.proxied)
    for kind_of_server, address, ca_file in (
        (ImapUpstream, imaps, dovecot.ca_file),
        (SmtpUpstream, smtps, postfix.ca_file),
    ):
        place = Place(address=address, tls=client_context(ca_file))
        behind = kind_of_server(place=place, sign_in_as=kind, client_address=telling)
        (await behind.sign_in(GRANT)).connection.abort()


def test_a_postfix_that_does_not_trust_the_gate_is_an_outage(tmp_path, dovecot):
    with (
        running_postfix(dovecot) as untrusting,
        running_gate(made(tmp_path, WAYS["TLS"], dovecot, untrusting)) as serving,
        submissions_from(CLIENT, serving.facts) as client,
    ):
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(ALICE, serving.mint(ALICE))
        assert refused.value.smtp_code == 454
        serving.log.wait_for("does not offer XCLIENT ADDR to the gate")
