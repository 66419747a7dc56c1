"""What to type into each app: only what the app password opens, and what is served."""

from __future__ import annotations

import pytest

from proxy.portal.apps import App, apps
from proxy.portal.settings import Endpoints, opened, served
from scopes.model import Limits, Scope

MAIL, CONTACTS, EVENTS = Scope.MAIL, Scope.CONTACTS, Scope.EVENTS
HOUSE = Endpoints(
    host="mail.example.org",
    imaps=993,
    imap=143,
    submissions=465,
    submission=587,
    dav_url="https://mail.example.org/",
)
ALL = frozenset(Scope)
ANYTHING = Limits()


def shown(*scopes: Scope, limits: Limits = ANYTHING, house: Endpoints = HOUSE) -> dict[str, App]:
    return {app.name: app for app in apps(opened(house, "alice@example.org", frozenset(scopes), limits))}


def lines(app: App) -> list[str]:
    return [
        f"{dialog.title}: " + ", ".join(f"{setting.name} {setting.value}" for setting in dialog.settings)
        for dialog in app.dialogs
    ]


@pytest.mark.parametrize(
    ("app", "typed"),
    [
        (
            "Thunderbird",
            [
                (
                    "Incoming mail (IMAP): Hostname mail.example.org, Port 993, Connection security SSL/TLS, "
                    "Authentication method Normal password, Username alice@example.org"
                ),
                (
                    "Outgoing mail (SMTP): Hostname mail.example.org, Port 465, Connection security SSL/TLS, "
                    "Authentication method Normal password, Username alice@example.org"
                ),
                "Contacts: Username alice@example.org, Location https://mail.example.org/",
                "Calendars: Username alice@example.org, Location https://mail.example.org/",
            ],
        ),
        (
            "iPhone, iPad, Mac",
            [
                (
                    "Incoming mail (IMAP): Host Name mail.example.org, User Name alice@example.org, "
                    "Use SSL on, "
                    "Authentication Password, Server Port 993"
                ),
                (
                    "Outgoing mail (SMTP): Host Name mail.example.org, User Name alice@example.org, "
                    "Use SSL on, "
                    "Authentication Password, Server Port 465"
                ),
                "Contacts (CardDAV): Server mail.example.org, User Name alice@example.org",
                "Calendars (CalDAV): Server mail.example.org, User Name alice@example.org",
            ],
        ),
        (
            "Outlook (classic)",
            [
                (
                    "Incoming mail (IMAP): Server mail.example.org, Port 993, Encryption method SSL/TLS, "
                    "User name alice@example.org"
                ),
                (
                    "Outgoing mail (SMTP): Server mail.example.org, Port 465, Encryption method SSL/TLS, "
                    "User name alice@example.org"
                ),
            ],
        ),
        (
            "Outlook (new)",
            [
                (
                    "Incoming mail (IMAP): Server mail.example.org, Port 993, "
                    "Secure connection type SSL/TLS, "
                    "User name alice@example.org"
                ),
                (
                    "Outgoing mail (SMTP): Server mail.example.org, Port 465, "
                    "Secure connection type SSL/TLS, "
                    "User name alice@example.org"
                ),
            ],
        ),
        (
            "DAVx5 on Android",
            ["Contacts and calendars: Base URL https://mail.example.org/, User name alice@example.org"],
        ),
        (
            "Any other app",
            [
                (
                    "Incoming mail (IMAP): Server mail.example.org, Port 993, Security SSL/TLS, "
                    "Sign-in password, as PLAIN or LOGIN, User name alice@example.org"
                ),
                (
                    "Outgoing mail (SMTP): Server mail.example.org, Port 465, Security SSL/TLS, "
                    "Sign-in password, as PLAIN or LOGIN, User name alice@example.org"
                ),
                "Contacts (CardDAV): Address https://mail.example.org/, User name alice@example.org",
                "Calendars (CalDAV): Address https://mail.example.org/, User name alice@example.org",
            ],
        ),
    ],
)
def test_each_app_is_told_in_its_own_words(app, typed):
    assert lines(shown(*ALL)[app]) == typed


@pytest.mark.parametrize(
    ("scopes", "limits", "titles"),
    [
        ([MAIL], Limits(), ["Incoming mail (IMAP)", "Outgoing mail (SMTP)"]),
        ([MAIL], Limits(read_only=True), ["Incoming mail (IMAP)"]),
        ([MAIL], Limits(send_only=True), ["Outgoing mail (SMTP)"]),
        ([CONTACTS], Limits(), ["Contacts (CardDAV)"]),
        ([EVENTS], Limits(read_only=True), ["Calendars (CalDAV)"]),
        ([MAIL, EVENTS], Limits(), ["Incoming mail (IMAP)", "Outgoing mail (SMTP)", "Calendars (CalDAV)"]),
    ],
)
def test_only_what_it_opens_is_told(scopes, limits, titles):
    told = shown(*scopes, limits=limits)
    assert [dialog.title for dialog in told["Any other app"].dialogs] == titles


def test_an_app_that_can_use_nothing_of_it_is_left_out():
    assert [*shown(CONTACTS)] == ["Thunderbird", "iPhone, iPad, Mac", "DAVx5 on Android", "Any other app"]
    assert "DAVx5 on Android" not in shown(MAIL)


def test_what_is_not_served_is_not_told():
    assert [*shown(*ALL, house=Endpoints(host="mail.example.org"))] == []
    only_mail = shown(*ALL, house=Endpoints(host="mail.example.org", imaps=993))
    assert lines(only_mail["Any other app"])[0].startswith("Incoming mail")
    assert len(only_mail["Any other app"].dialogs) == 1


def test_where_only_starttls_is_served_it_says_so():
    house = Endpoints(host="mail.example.org", imap=1143, submission=1587)
    incoming, outgoing = lines(shown(MAIL, house=house)["Thunderbird"])
    assert "Port 1143, Connection security STARTTLS" in incoming
    assert "Port 1587, Connection security STARTTLS" in outgoing


def test_apple_takes_a_port_of_its_own_in_a_field_of_its_own():
    house = Endpoints(host="localhost", dav_url="https://localhost:8443/")
    assert lines(shown(CONTACTS, house=house)["iPhone, iPad, Mac"]) == [
        "Contacts (CardDAV): Server localhost, User Name alice@example.org, Use SSL on, Port 8443"
    ]


@pytest.mark.parametrize(
    ("app", "scopes", "limits", "word", "there"),
    [
        ("Thunderbird", [CONTACTS], Limits(), "one password", True),
        ("Thunderbird", [CONTACTS, EVENTS], Limits(), "one password", False),
        ("Thunderbird", [MAIL], Limits(), "one password", False),
        ("Outlook (classic)", [MAIL], Limits(), "authentication", True),
        ("Outlook (classic)", [MAIL], Limits(read_only=True), "authentication", False),
        ("Outlook (classic)", [MAIL, EVENTS], Limits(), "CalDAV", True),
        ("Outlook (new)", [MAIL], Limits(), "Microsoft", True),
        ("iPhone, iPad, Mac", [MAIL], Limits(), "outgoing", True),
        ("iPhone, iPad, Mac", [CONTACTS], Limits(), "outgoing", False),
    ],
)
def test_what_goes_wrong_elsewhere_is_noted(app, scopes, limits, word, there):
    notes = " ".join(shown(*scopes, limits=limits)[app].notes)
    assert (word in notes) == there


def test_what_nobody_serves_is_not_offered():
    assert served(HOUSE) == ALL
    assert served(Endpoints(host="mail.example.org", submission=587)) == {MAIL}
    only_dav = Endpoints(host="mail.example.org", dav_url="https://mail.example.org/")
    assert served(only_dav) == {CONTACTS, EVENTS}
