"""The web portal, the mails that owners get, and the ports that people are told."""

from __future__ import annotations

from typing import Annotated, Final

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
