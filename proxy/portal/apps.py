"""What to type into an app: the way to each of its dialogs, what it calls the fields, and the values. Pure.

An app is left out where it can use nothing of what an app password opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from proxy.portal.settings import Opened, Server

_HTTPS: Final = 443
_INCOMING: Final = "Incoming mail (IMAP)"
_OUTGOING: Final = "Outgoing mail (SMTP)"


class Setting(NamedTuple):
    """One field of a dialog, and what goes there."""

    name: str
    value: str


class Dialog(NamedTuple):
    """One dialog of an app."""

    title: str
    way: str
    """How to get there; empty where that is the app's own affair."""
    settings: tuple[Setting, ...]


class App(NamedTuple):
    """One app."""

    name: str
    dialogs: tuple[Dialog, ...]
    notes: tuple[str, ...]


def apps(opened: Opened) -> tuple[App, ...]:
    """Give the apps that can use what is opened, and last what to type into any other."""
    known = (App(name, tuple(dialogs(opened)), tuple(notes(opened))) for name, dialogs, notes in _APPS)
    return tuple(app for app in known if app.dialogs)


def _mail(opened: Opened, way: str, fields: Callable[[Server, str], tuple[Setting, ...]]) -> Iterator[Dialog]:
    """Give the dialogs of the mail servers that are opened."""
    for title, server in ((_INCOMING, opened.incoming), (_OUTGOING, opened.outgoing)):
        if server is not None:
            yield Dialog(title, way, fields(server, opened.user))


def _none(opened: Opened) -> Iterator[str]:
    del opened
    return iter(())


# --- Thunderbird --------------------------------------------------------------------------------------------


def _thunderbird(opened: Opened) -> Iterator[Dialog]:
    yield from _mail(opened, "New Account, Email, Configure manually", _thunderbird_mail)
    for title, way, url in (
        ("Contacts", "Address Book, New Address Book, Add CardDAV Address Book", opened.contacts),
        ("Calendars", "Calendar, New Calendar, On the Network", opened.events),
    ):
        if url is not None:
            yield Dialog(title, way, (Setting("Username", opened.user), Setting("Location", url)))


def _thunderbird_mail(server: Server, user: str) -> tuple[Setting, ...]:
    return (
        Setting("Hostname", server.host),
        Setting("Port", str(server.port)),
        Setting("Connection security", server.security),
        Setting("Authentication method", "Normal password"),
        Setting("Username", user),
    )


def _thunderbird_notes(opened: Opened) -> Iterator[str]:
    if (opened.contacts is None) != (opened.events is None):
        yield (
            "Thunderbird keeps one password for contacts and calendars of one server. For both in it, "
            "generate one app password that opens both."
        )


# --- Outlook ------------------------------------------------------------------------------------------------


def _outlook_classic(opened: Opened) -> Iterator[Dialog]:
    way = "File, Add Account, Advanced options, Let me set up my account manually, IMAP"
    yield from _mail(opened, way, partial(_outlook_mail, security="Encryption method"))


def _outlook_new(opened: Opened) -> Iterator[Dialog]:
    way = "Settings, Accounts, Add account, IMAP"
    yield from _mail(opened, way, partial(_outlook_mail, security="Secure connection type"))


def _outlook_mail(server: Server, user: str, *, security: str) -> tuple[Setting, ...]:
    return (
        Setting("Server", server.host),
        Setting("Port", str(server.port)),
        Setting(security, server.security),
        Setting("User name", user),
    )


def _outlook_classic_notes(opened: Opened) -> Iterator[str]:
    if opened.outgoing is not None:
        yield "The outgoing server requires authentication: the same user name and password."
    yield from _outlook_has_no_dav(opened)


def _outlook_new_notes(opened: Opened) -> Iterator[str]:
    yield (
        "The new Outlook signs in from Microsoft's cloud and keeps the password there, so this server must "
        "be within reach of the internet."
    )
    yield from _outlook_has_no_dav(opened)


def _outlook_has_no_dav(opened: Opened) -> Iterator[str]:
    if opened.contacts is not None or opened.events is not None:
        yield "Outlook speaks neither CardDAV nor CalDAV: contacts and calendars need another app."


# --- Apple --------------------------------------------------------------------------------------------------


def _apple(opened: Opened) -> Iterator[Dialog]:
    yield from _mail(opened, "Settings, Apps, Mail, Mail Accounts, Add Account, Other", _apple_mail)
    for title, way, url in (
        (
            "Contacts (CardDAV)",
            "Settings, Apps, Contacts, Contacts Accounts, Add Account, Other",
            opened.contacts,
        ),
        (
            "Calendars (CalDAV)",
            "Settings, Apps, Calendar, Calendar Accounts, Add Account, Other",
            opened.events,
        ),
    ):
        if url is not None:
            yield Dialog(title, way, _apple_dav(url, opened.user))


def _apple_mail(server: Server, user: str) -> tuple[Setting, ...]:
    return (
        Setting("Host Name", server.host),
        Setting("User Name", user),
        Setting("Use SSL", "on"),
        Setting("Authentication", "Password"),
        Setting("Server Port", str(server.port)),
    )


def _apple_dav(url: str, user: str) -> tuple[Setting, ...]:
    place = urlsplit(url)
    settings = Setting("Server", place.hostname or url), Setting("User Name", user)
    if place.port in (None, _HTTPS):
        return settings
    return (*settings, Setting("Use SSL", "on"), Setting("Port", str(place.port)))


def _apple_notes(opened: Opened) -> Iterator[str]:
    if opened.outgoing is not None:
        yield "Type the port of the outgoing server, too: Mail does not find it by itself."
    yield "On a Mac: System Settings, Internet Accounts, Add Account, Add Other Account."


# --- others -------------------------------------------------------------------------------------------------


def _davx5(opened: Opened) -> Iterator[Dialog]:
    if (url := opened.contacts or opened.events) is not None:
        titles = (("Contacts", opened.contacts), ("Calendars", opened.events))
        title = " and ".join(title for title, there in titles if there).replace("and C", "and c")
        settings = Setting("Base URL", url), Setting("User name", opened.user)
        yield Dialog(title, "Add account, Login with URL and user name", settings)


def _any_other(opened: Opened) -> Iterator[Dialog]:
    yield from _mail(opened, "", _any_mail)
    for title, url in (("Contacts (CardDAV)", opened.contacts), ("Calendars (CalDAV)", opened.events)):
        if url is not None:
            yield Dialog(title, "", (Setting("Address", url), Setting("User name", opened.user)))


def _any_mail(server: Server, user: str) -> tuple[Setting, ...]:
    return (
        Setting("Server", server.host),
        Setting("Port", str(server.port)),
        Setting("Security", server.security),
        Setting("Sign-in", "password, as PLAIN or LOGIN"),
        Setting("User name", user),
    )


_APPS: Final[
    tuple[tuple[str, Callable[[Opened], Iterator[Dialog]], Callable[[Opened], Iterator[str]]], ...]
] = (
    ("Thunderbird", _thunderbird, _thunderbird_notes),
    ("iPhone, iPad, Mac", _apple, _apple_notes),
    ("Outlook (classic)", _outlook_classic, _outlook_classic_notes),
    ("Outlook (new)", _outlook_new, _outlook_new_notes),
    ("DAVx5 on Android", _davx5, _none),
    ("Any other app", _any_other, _none),
)
