"""What ends soon is said at sign-in, once a day to each address, also where commands are watched."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from proxy.failures import House
from proxy.imap.alerts import AGAIN_S, Alerts, expiry_alert
from scopes.model import Limits
from support.imap_stage import GRANT, LOGIN, SIGNED_IN, Stage
from support.sockets import Tls, on_both_loops, read_exactly

HOUSE = House(host="mail.example.org", portal_url="https://mail.example.org/")
NOW = 1_800_000_000.9  # the stage's; 15 January 2027
DAY = 86_400
SOON = replace(GRANT, expires_at=int(NOW) + 3 * DAY)
HERE, THERE = ip_address("192.0.2.7"), ip_address("2001:db8::7")
ALERT = (
    b'* OK [ALERT] the app-specific password "phone" of this app expires on 18 January 2027: '
    b"type in the new one if you have it, else ask whoever runs mail.example.org for another\r\n"
)


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def test_once_a_day_for_each_app_password_and_address():
    alerts = Alerts()
    tablet = replace(SOON, app_password_id="ap_2")
    asked = [(SOON, HERE), (SOON, HERE), (SOON, THERE), (tablet, HERE), (SOON, None), (SOON, None)]
    assert [bool(alerts.due(grant, peer, HOUSE, NOW)) for grant, peer in asked] == [1, 0, 1, 1, 1, 0]
    assert not alerts.due(SOON, HERE, HOUSE, NOW + AGAIN_S - 1)
    assert alerts.due(SOON, HERE, HOUSE, NOW + AGAIN_S)
    assert alerts.due(SOON, HERE, HOUSE, NOW), "a clock set back keeps nobody from being told"


def test_what_is_remembered_has_an_end():
    alerts = Alerts(most=2)
    for number in range(5):
        assert alerts.due(replace(SOON, app_password_id=f"ap_{number}"), HERE, HOUSE, NOW)
    assert alerts.due(replace(SOON, app_password_id="ap_0"), HERE, HOUSE, NOW)


@pytest.mark.parametrize(("left", "due"), [(14 * DAY, True), (14 * DAY + 1, False), (1, True), (0, False)])
def test_within_fourteen_days(left, due):
    assert bool(expiry_alert(replace(GRANT, expires_at=1000 + left), HOUSE, 1000.0)) == due


def test_what_never_ends_is_never_said():
    assert expiry_alert(GRANT, HOUSE, NOW) == ""


@pytest.mark.parametrize("label", ["Küche", "a\r\nb NO", "x\x00", "\u202e"])
@pytest.mark.parametrize("url", [None, "https://m\u00fcller.example/", "https://x/\r\n* BYE"])
def test_it_is_one_line_of_printable_ascii(label, url):
    house = House(host="mail.example.org", portal_url=url)
    said = expiry_alert(replace(SOON, label=label), house, NOW)
    assert said.isascii()
    assert said.isprintable()
    assert "ask whoever runs mail.example.org" in said


@on_both_loops
async def test_a_session_that_is_relayed(tls):
    stage = Stage(tls)
    stage.gate.answer = SOON
    stage.upstream.rest = b"* 3 EXISTS\r\n"
    async with stage.client() as client:
        await client.send(LOGIN + b"b NOOP\r\n")
        assert [await client.line() for _ in range(3)] == [ALERT, SIGNED_IN, b"* 3 EXISTS\r\n"]
        assert await read_exactly(stage.upstream.far, 8) == b"b NOOP\r\n"


@on_both_loops
async def test_a_session_that_is_watched(tls):
    stage = Stage(tls)
    stage.gate.answer = replace(SOON, limits=Limits(read_only=True))
    stage.upstream.rest = b"* 3 EXISTS\r\n"
    async with stage.client() as client:
        await client.send(LOGIN + b"b SELECT INBOX\r\n")
        assert [await client.line() for _ in range(3)] == [ALERT, SIGNED_IN, b"* 3 EXISTS\r\n"]
        assert await read_exactly(stage.upstream.far, 17) == b"b EXAMINE INBOX\r\n"


@on_both_loops
async def test_the_second_connection_of_a_program_is_not_told_again(tls):
    stage = Stage(tls)
    stage.gate.answer = SOON
    settings = stage.settings()
    stage.settings = lambda: settings
    for expected in (ALERT, SIGNED_IN):
        async with stage.client() as client:
            assert await client.ask(LOGIN) == expected
