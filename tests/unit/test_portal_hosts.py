"""By which hosts browsers may mean the portal, and which of them are for TLS alone."""

import pytest
from aiohttp import web

from config.load import load
from proxy.portal.guard import dress
from proxy.server.portal import means_portal
from support.configs import GOOD, written

NAMES = 'names = ["mail.example.org", "apps.example.org", "imap.example.org"]'
ALONE = GOOD.replace('names = ["mail.example.org"]', NAMES).replace(
    "[listen]\n", '[listen]\nportal = ["127.0.0.1:8444"]\n'
)
NAMED = f'{ALONE}[portal]\nhost = "apps.example.org"\n'
BEHIND = 'portal_url = "https://web.example.net/"\ndata = '


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        (ALONE, {"mail.example.org", "apps.example.org", "imap.example.org"}),
        (NAMED, {"apps.example.org"}),
        (
            ALONE.replace("data = ", BEHIND),
            {"mail.example.org", "apps.example.org", "imap.example.org", "web.example.net"},
        ),
        (NAMED.replace("data = ", BEHIND), {"apps.example.org", "web.example.net"}),
        (
            NAMED.replace("data = ", BEHIND.replace("web.example.net", "mail.example.org")),
            {"apps.example.org"},
        ),
    ],
    ids=["a port of its own", "a name of its own", "behind a web server", "both", "the name of contacts"],
)
def test_these_and_no_others(tmp_path, text, hosts):
    config = load(written(tmp_path, text))
    asked = {"mail.example.org", "apps.example.org", "imap.example.org", "web.example.net", "evil.example"}
    assert {host for host in asked if means_portal(config, host)} == hosts


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("apps.example.org", True),
        ("apps.example.org:8444", True),
        ("localhost.example.org", True),
        ("localhost:8444", False),
        ("LOCALHOST", False),
        ("apps.localhost", False),
        ("", False),
    ],
)
def test_a_name_of_this_machine_is_not_taken_for_tls_alone(host, alone):
    answer = web.Response()
    dress(answer, host)
    assert ("Strict-Transport-Security" in answer.headers) is alone
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
