"""The portal's tables, the gate's own mails, and whose primary passwords there are."""

from pathlib import Path

import pytest

from config.load import load
from support.configs import GOOD, problems, written

IMAP = """address = "imaps://dovecot.lan"
sign_in = { kind = "stored" }
"""
REAL = GOOD.replace('address = "embedded"\n', IMAP)
NAMES = 'names = ["mail.example.org", "apps.example.org"]'
SHARED = GOOD.replace('names = ["mail.example.org"]', NAMES).replace(
    "[listen]\n", '[listen]\nhttps = ["127.0.0.1:8443"]\n'
)
DAV = '[upstream.contacts]\naddress = "embedded"\n'


def config(folder: Path, text: str):
    return load(written(folder, text))


def test_a_portal_at_a_port_of_its_own_has_an_address(tmp_path):
    told = config(tmp_path, GOOD.replace("[listen]\n", '[listen]\nportal = ["[::]:8444"]\n'))
    assert told.serves_portal
    assert told.portal_url == "https://mail.example.org:8444/"


def test_a_portal_may_share_the_port_of_contacts_by_its_name(tmp_path):
    told = config(tmp_path, f'{SHARED}{DAV}[portal]\nhost = "apps.example.org"\n')
    assert told.serves_portal
    assert told.portal_url == "https://apps.example.org:8443/"


def test_the_usual_port_is_not_written(tmp_path):
    text = f'{SHARED}{DAV}[portal]\nhost = "apps.example.org"\n'
    told = config(tmp_path, text.replace("data = ", "public_ports = { https = 443 }\ndata = "))
    assert told.portal_url == "https://apps.example.org/"


def test_a_portal_on_the_port_of_contacts_needs_no_contacts(tmp_path):
    told = config(tmp_path, f'{SHARED}[portal]\nhost = "apps.example.org"\n')
    assert told.portal_url == "https://apps.example.org:8443/"
    assert told.upstream.dav is None


def test_without_a_listener_there_is_no_portal(tmp_path):
    told = config(tmp_path, GOOD)
    assert not told.serves_portal
    assert told.portal_url is None


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (f'{GOOD}[portal]\nhost = "mail.example.org"\n', "portal.host", "contacts and calendars"),
        (f'{GOOD}[portal]\nhost = "apps.example.org"\n', "portal.host", "served nowhere"),
        (
            GOOD.replace("[listen]\n", '[listen]\nportal = ["[::]:1"]\n').replace(
                "[server]\n", '[server]\nportal_url = "https://mail.example.org/portal/"\n'
            ),
            "server.portal_url",
            "has a path",
        ),
        (
            GOOD.replace("[listen]\n", '[listen]\nportal = ["[::]:1"]\n')
            + '[portal]\nhost = "x.example.net"\n',
            "portal.host",
            "no certificate",
        ),
        (f'{GOOD}[mail]\nsender = "gate@example.org"\n', "upstream.smtp", "[mail]"),
        (f'{GOOD}[mail]\nsender = "gate"\n', "mail.sender", "not an email address"),
        (f'{GOOD}[primary]\nkind = "imap"\n', "primary.kind", "embedded"),
        (f'{GOOD}[primary]\ncreate = "first-sign-in"\n', "primary.create", "no meaning"),
        (
            f'{GOOD}[[domain]]\nname = "example.net"\nprimary = {{ kind = "imap" }}\n',
            "domain[0].primary.kind",
            "embedded",
        ),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path, text, key, words):
    found = problems(tmp_path, text)
    assert list(found) == [key]
    assert words in found[key].what


def test_primary_passwords_may_differ_by_domain(tmp_path):
    told = config(tmp_path, f'{REAL}[[domain]]\nname = "example.net"\nprimary = {{ kind = "imap" }}\n')
    assert told.primary_of("alice@example.org").kind == "local"
    assert told.primary_of("bob@EXAMPLE.net").kind == "imap"
    assert told.primary_of("bob@example.net").create == "invited"
