"""A few contacts and events to look at in the demo, put there as a client would."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from config.address import Address, AddressKind
from proxy.dav.ports import Ask, Fields
from proxy.dav.upstream import DavUpstream
from proxy.embedded.children import ChildFailedError, EmbeddedDav
from proxy.upstreams.place import Place, UpstreamFailure
from scopes.model import Grant, Scope

_ADDRESS_BOOK: Final = b"""\
<?xml version="1.0" encoding="utf-8"?>
<D:mkcol xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><D:set><D:prop>
<D:resourcetype><D:collection/><C:addressbook/></D:resourcetype><D:displayname>Contacts</D:displayname>
</D:prop></D:set></D:mkcol>
"""  # RFC 5689 §3, RFC 6352 §6.3.1
_CALENDAR: Final = b"""\
<?xml version="1.0" encoding="utf-8"?>
<D:mkcol xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>
<D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:displayname>Calendar</D:displayname>
<C:supported-calendar-component-set><C:comp name="VEVENT"/></C:supported-calendar-component-set>
</D:prop></D:set></D:mkcol>
"""
_PEOPLE: Final = {
    "alice@example.org": ("Bob Builder", "bob@example.org", "+49 30 901820"),
    "bob@example.org": ("Alice Archer", "alice@example.org", "+44 20 7946 0958"),
}
_OTHERS: Final = (
    ("Grüße & Söhne", "kontakt@example.net", "+49 40 555123"),
    ("水野 さくら", "sakura@example.com", ""),
)
_EVENTS: Final = (
    ("Breakfast with friends", 1, 9),
    ("Dentist, Dr. Müller", 3, 14),
    ("Wicketgate demo", 7, 11),
)
_ANY: Final = (201, 204)


async def fill(folder: Path, emails: Iterable[str], now: float) -> None:
    """Fill the folder of the built-in server, which must not be serving; `now` since 1970-01-01 UTC.

    Raises ChildFailedError.
    """
    server = EmbeddedDav(folder)
    await server.start()
    try:
        place = Place(address=Address(kind=AddressKind.EMBEDDED), embedded_socket=lambda: server.socket_path)
        upstream = DavUpstream(place, header=server.header, login=lambda grant: grant.email)
        for email in emails:
            await seed(upstream.ask, email, now)
        upstream.close()
    except UpstreamFailure as failure:
        raise ChildFailedError(
            f"the demo's contacts and events could not be put in place: {failure}"
        ) from None
    finally:
        await server.stop()


async def seed(ask: Ask, email: str, now: float) -> None:
    """Make an address book and a calendar with something in them. UpstreamFailure."""
    who = Grant(account_id="", email=email, app_password_id="", label="", scopes=frozenset(Scope))
    home = f"/{quote(email, safe='')}/"

    async def put(method: str, path: str, media_type: str, body: bytes) -> None:
        fields: Fields = (("content-type", media_type),)
        answer = await ask(who, method, f"{home}{path}", fields, body)
        if answer.status not in _ANY:
            raise UpstreamFailure(f"{method} {path} for the demo was answered {answer.status}")

    await put("MKCOL", "contacts/", "application/xml", _ADDRESS_BOOK)
    await put("MKCOL", "calendar/", "application/xml", _CALENDAR)
    for number, person in enumerate((_PEOPLE[email], *_OTHERS), 1):
        await put("PUT", f"contacts/{number}.vcf", "text/vcard", _card(number, *person))
    for number, event in enumerate(_EVENTS, 1):
        await put(
            "PUT", f"calendar/{number}.ics", "text/calendar; charset=utf-8", _event(number, now, *event)
        )


def _card(number: int, name: str, address: str, telephone: str) -> bytes:
    """Write a vCard 3.0 (RFC 2426), which every client reads."""
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"UID:demo-contact-{number}", f"FN:{name}", f"N:{name};;;;"]
    lines += [f"EMAIL;TYPE=INTERNET:{address}"]
    lines += [f"TEL;TYPE=VOICE:{telephone}"] if telephone else []
    return "\r\n".join([*lines, "END:VCARD", ""]).encode()


def _event(number: int, now: float, title: str, in_days: int, hour: int) -> bytes:
    """Write an event of an hour in a few days (RFC 5545)."""
    day = datetime.fromtimestamp(now, UTC) + timedelta(days=in_days)
    begin = day.replace(hour=hour, minute=0, second=0, microsecond=0)
    text = title.replace(",", "\\,")
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Wicketgate//demo//EN",
        "BEGIN:VEVENT",
        f"UID:demo-event-{number}",
        f"DTSTAMP:{begin:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{begin:%Y%m%dT%H%M%SZ}",
        f"DTEND:{begin + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{text}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "\r\n".join(lines).encode()
