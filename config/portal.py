"""The web portal, the mails that owners get, and the ports that people are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from config.address import joined
from config.fields import HostName, WholeNumber
from config.problems import wrong
from config.section import Section

_MOST_CHARS: Final = 254
_USUAL: Final = ":443"


def _address(value: str) -> str:
    """Read the address of a sender (RFC 5321 §4.1.2), in the plain form that every server takes."""
    local, at, domain = value.rpartition("@")
    plain = value.isascii() and value.isprintable() and not any(mark in value for mark in ' <>",;:\\()[]')
    if not (at and local and domain and plain) or len(value) > _MOST_CHARS or "@" in local:
        raise wrong("is not an email address", 'write it as in "gate@example.org"')
    return value


def web_address(host: str, port: int) -> str | None:
    """Write the address of the portal; None for port 0, which is any free one."""
    if not port:
        return None
    authority = joined(host, port)
    return f"https://{authority.removesuffix(_USUAL)}/"


class Portal(Section):
    """The web pages where people make, see and revoke their own app passwords."""

    host: HostName | None = Field(
        default=None,
        description="a name of its own, as in `apps.example.org`: under it the portal is served on "
        "`listen.https` too, beside contacts and calendars",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What else is told of where people come to."""

    public_host: str
    portal_url: str | None
    covers: Callable[[str], bool]
    """Tells whether a certificate is for a host."""
    listens_beside: bool
    """Whether there is a port of contacts and calendars."""
    listens: bool
    """Whether there is a port for the portal alone."""


def must_be_reachable(portal: Portal, told: Beside) -> None:
    """See that browsers can come to the portal, if it is one of ours. Raises a problem."""
    if portal.host is not None:
        _must_have_a_name(portal.host, told)
    if (told.listens or portal.host is not None) and urlsplit(told.portal_url or "").path not in ("", "/"):
        what = f"{told.portal_url} has a path, and the portal is served at the root of its host"
        raise wrong(what, "write the host alone, or leave the key out", key="server.portal_url")


def _must_have_a_name(host: str, told: Beside) -> None:
    if host == told.public_host:
        what = "is server.public_host, where contacts and calendars answer"
        hint = "give the portal a name of its own, or a port of its own with listen.portal"
        raise wrong(what, hint, key="portal.host")
    if not told.listens_beside and not told.listens:
        raise wrong("is served nowhere", 'write listen.https = ["[::]:443"]', key="portal.host")
    if not told.covers(host):
        hint = "list the name under one; browsers would refuse the connection"
        raise wrong(f"no certificate is named for {host}", hint, key="portal.host")


class Mail(Section):
    """The mails of the gate itself: invitations, news of app passwords, warnings before one expires."""

    sender: Annotated[str, AfterValidator(_address)] = Field(
        description="the address they come from, which `[upstream.smtp]` must let the gate send as"
    )


class PublicPorts(Section):
    """The ports that people type into apps, where they are not those of `[listen]`."""

    imaps: WholeNumber | None = Field(default=None, ge=1, le=65_535, description="usually 993")
    imap: WholeNumber | None = Field(default=None, ge=1, le=65_535, description="usually 143")
    submissions: WholeNumber | None = Field(default=None, ge=1, le=65_535, description="usually 465")
    submission: WholeNumber | None = Field(default=None, ge=1, le=65_535, description="usually 587")
    https: WholeNumber | None = Field(default=None, ge=1, le=65_535, description="usually 443")
    portal: WholeNumber | None = Field(default=None, ge=1, le=65_535, description="usually 443")
