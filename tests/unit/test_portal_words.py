"""The portal's words for scopes, limits, clients and live sessions."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from proxy.portal import words
from proxy.sessions import Live
from scopes.model import Limits, Scope, Service
from support.records import DAY, HOUR, NOW


@pytest.mark.parametrize(
    ("scopes", "said"),
    [
        ([Scope.EVENTS, Scope.MAIL, Scope.CONTACTS], "mail, contacts and events"),
        ([Scope.EVENTS], "events"),
        ([], "nothing"),
    ],
)
def test_what_it_opens(scopes, said):
    assert words.opens(scopes) == said


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(), ()),
        (Limits(read_only=True), ("only reads",)),
        (
            Limits(send_only=True, networks=(ip_network("192.0.2.1/32"),)),
            ("only sends", "good from 192.0.2.1/32 only"),
        ),
    ],
)
def test_what_narrows_it(limits, said):
    assert words.limits(limits) == said


@pytest.mark.parametrize(
    ("client_name", "itself", "to_its_owner"),
    [
        ("iPhone Mail", "iPhone Mail", "Your phone"),
        ("iPad Mail", "iPad Mail", "Your iPad"),
        ("iOS/17.5 (21F79) dataaccessd/1.0", "iOS/17.5 (21F79) dataaccessd/1.0", "Your phone"),
        ("DAVx5/4.4-ose (okhttp/4.12) Android/14", "DAVx5/4.4-ose (okhttp/4.12) Android/14", "Your phone"),
        ("Mac OS X Mail", "Mac OS X Mail", "Your Mac"),
        ("Thunderbird", "Thunderbird", "Thunderbird"),
        (
            "Mozilla/5.0 (X11; Linux) Thunderbird/128.0",
            "Mozilla/5.0 (X11; Linux) Thunderbird/128.0",
            "Thunderbird",
        ),
        ("kurios/2", "kurios/2", "kurios/2"),
        ("laptop.local", "laptop.local", "laptop.local"),
        ("[192.168.1.5]", "An app", "An app"),
        ("", "An app", "An app"),
        ("  \u2003 ", "An app", "An app"),
    ],
)
def test_who_a_client_is(client_name, itself, to_its_owner):
    assert str(words.client(client_name)) == itself
    assert str(words.owner_of(client_name)) == to_its_owner


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (
            Live(Service.IMAP, "Thunderbird", "192.0.2.7", NOW - HOUR),
            "Thunderbird on 192.0.2.7, IMAP, since 13:05",
        ),
        (
            Live(Service.DAV, "", "2001:db8::7", NOW + 0.9),
            "An app on 2001:db8::7, CardDAV/CalDAV, since 14:05",
        ),
        (Live(Service.SUBMISSION, "lp0", "", NOW - 2 * DAY), "lp0, SMTP, since 3 May, 14:05"),
    ],
)
def test_a_live_session(live, said):
    assert str(words.session(live, NOW)) == said
