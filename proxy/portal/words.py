"""The portal's words for what app passwords open, for protocols, for clients, and for live sessions. Pure.

Clients say what they like of themselves. Their own words are shown as theirs (`Name`); where they are known
to be a phone's, a sentence may call it one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from proxy.portal.sentences import Name, Sentence, lately, listed
from proxy.sessions import Live
from scopes.model import Limits, Scope, Service, in_order

PROTOCOL: Final[Mapping[Service, str]] = MappingProxyType(
    {Service.IMAP: "IMAP", Service.SUBMISSION: "SMTP", Service.DAV: "CardDAV/CalDAV"}
)
"""As apps and their settings call them."""
USE: Final[Mapping[Service, str]] = MappingProxyType(
    {
        Service.IMAP: "read mail",
        Service.SUBMISSION: "send mail",
        Service.DAV: "open contacts or events",
    }
)
"""What is done by them."""
USED: Final[Mapping[Service, str]] = MappingProxyType(
    {
        Service.IMAP: "read mail",
        Service.SUBMISSION: "sent mail",
        Service.DAV: "opened contacts or events",
    }
)

_DEVICES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), word)
    for pattern, word in (
        (r"ipad", "Your iPad"),
        (r"iphone|android|davx5|k-9|fairemail|\bios/", "Your phone"),
        (r"mac os x|macos", "Your Mac"),
        (r"thunderbird", "Thunderbird"),
        (r"outlook", "Outlook"),
    )
)
"""The first that fits. Programs that are named stand behind devices: both run on phones."""
_ADDRESS: Final = re.compile(r"\[.*\]")
"""An address literal (RFC 5321 §4.1.3): what most programs say in EHLO, and nobody's name."""
AN_APP: Final = "An app"


def opens(scopes: Iterable[Scope]) -> str:
    """Say what an app password opens: `mail, contacts and events`."""
    return listed(in_order(scopes) or ("nothing",))


def limits(narrowed: Limits) -> tuple[str, ...]:
    """Say what narrows an app password beyond its scopes, one limit after the other."""
    said = []
    if narrowed.read_only:
        said.append("only reads")
    if narrowed.send_only:
        said.append("only sends")
    if narrowed.networks:
        said.append(f"good from {listed(map(str, narrowed.networks))} only")
    return tuple(said)


def client(client_name: str) -> Sentence:
    """Give what a client calls itself, `An app` where it does not say."""
    name = " ".join(client_name.split())
    return Sentence(AN_APP if not name or _ADDRESS.fullmatch(name) else Name(name))


def owner_of(client_name: str) -> Sentence:
    """Give what a client seems to be, in the owner's words: `Your phone`; its own where that is not known.

    Only for a sentence in which it was refused: nobody's word is taken for its being let in.
    """
    for pattern, word in _DEVICES:
        if pattern.search(client_name):
            return Sentence(word)
    return client(client_name)


def session(live: Live, now: float) -> Sentence:
    """Say what a live session is: `Thunderbird on 192.0.2.7, IMAP, since 14:05`."""
    place = f" on {live.address}" if live.address else ""
    since = lately(int(live.since), now)
    return client(live.client_name) + Sentence(f"{place}, {PROTOCOL[live.service]}, since ", since)
