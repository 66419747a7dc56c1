"""Wrong sign-ins are counted together, whichever protocol they come by."""

import http.client
import ssl
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.throttle import LIMIT_FAILURES
from support import smtp
from support.imap import connect, refusal, trusting
from support.serving import make_gate, running_gate

ALICE = "alice@example.org"
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def wrong(number: int) -> str:
    """A secret of the right shape that nobody has; another for each number."""
    return "zzzz" * 4 + "".join(ALPHABET[number // 31**place % 31] for place in range(4))


def by_imap(facts, secret: str) -> str:
    client = connect(facts)
    try:
        return refusal(client, ALICE, secret)
    finally:
        client.shutdown()


def by_submission(facts, secret: str) -> str:
    client = smtp.connect(facts)
    try:
        client.ehlo()
        response = b64encode(f"\0{ALICE}\0{secret}".encode()).decode()
        return str(client.docmd("AUTH", f"PLAIN {response}")[0])
    finally:
        client.close()


def by_dav(facts, secret: str) -> str:
    context: ssl.SSLContext = trusting(facts["ca_file"])
    client = http.client.HTTPSConnection("localhost", facts["https_port"], context=context, timeout=30)
    credentials = b64encode(f"{ALICE}:{secret}".encode()).decode()
    client.request("PROPFIND", "/", headers={"Authorization": f"Basic {credentials}"})
    status = client.getresponse().status
    client.close()
    return str(status)


@pytest.fixture
def gate(tmp_path):
    house = make_gate(tmp_path / "gate")
    house.add(ALICE)
    with running_gate(house) as serving:
        yield serving


WAYS = (by_imap, by_submission, by_dav)


def test_failures_on_three_protocols_are_one_count(gate):
    """No protocol alone reaches the limit here; together they do, and the right one is let in still."""
    most = int(LIMIT_FAILURES) + 6
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: WAYS[number % 3](gate.facts, wrong(number)), range(most)))
    said = [way(gate.facts, wrong(most + number)) for number, way in enumerate(WAYS)]
    assert said[0].startswith("[LIMIT]")
    assert said[1:] == ["454", "429"]
    client = connect(gate.facts)
    client.login(ALICE, gate.mint(ALICE))
    client.logout()


def test_one_wrong_secret_tried_everywhere_is_one_failure(gate):
    """Old devices that go on with a dead password lead to no limit, however many protocols they speak."""
    with ThreadPoolExecutor(12) as pool:
        said = list(pool.map(lambda number: WAYS[number % 3](gate.facts, wrong(0)), range(72)))
    assert not [each for each in said if each in ("454", "429") or each.startswith("[LIMIT]")]
