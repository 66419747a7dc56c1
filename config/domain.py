"""Domains whose mail stands on servers of their own: the tables `[[domain]]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import Field, field_validator, model_validator

from config.address import AddressKind
from config.fields import HostName
from config.primary import Primary
from config.problems import wrong
from config.section import Section
from config.upstream import ImapUpstream, SmtpUpstream, Upstreams


class DomainUpstreams(Section):
    """The servers behind for the accounts of one domain; what is not here is as in `[upstream]`."""

    imap: ImapUpstream | None = Field(default=None, description="the table [domain.upstream.imap]")
    smtp: SmtpUpstream | None = Field(default=None, description="the table [domain.upstream.smtp]")

    @field_validator("imap", "smtp")
    @classmethod
    def _no_built_in(cls, value: ImapUpstream | SmtpUpstream | None) -> ImapUpstream | SmtpUpstream | None:
        if value is not None and value.address.kind is AddressKind.EMBEDDED:
            raise wrong("the embedded server is for all accounts", "name a server, or write it in [upstream]")
        return value


class Domain(Section):
    """One domain: the part behind the @ of the accounts' primary emails."""

    name: HostName = Field(description='the domain, as in "example.net"; international ones in xn-- form')
    primary: Primary | None = Field(
        default=None, description="the table [domain.primary]; without it as in [primary]"
    )
    upstream: DomainUpstreams = Field(
        default=DomainUpstreams(), description="its tables [domain.upstream.imap], [domain.upstream.smtp]"
    )

    @model_validator(mode="after")
    def _with_something_of_its_own(self) -> Self:
        if self.primary is None and self.upstream.imap is None and self.upstream.smtp is None:
            hint = "write [domain.upstream.imap] or [domain.upstream.smtp] below it, or take it out"
            raise wrong("has no server of its own", hint)
        return self


def must_be_triable(primary: Primary, domains: Iterable[Domain], upstream: Upstreams) -> None:
    """See that a server stands where the primary passwords of mailboxes are tried."""
    places = [("primary", primary, upstream.imap)]
    for number, domain in enumerate(domains):
        if domain.primary is not None:
            places.append(
                (f"domain[{number}].primary", domain.primary, domain.upstream.imap or upstream.imap)
            )
    for key, told, table in places:
        if told.kind != "imap":
            continue
        if table is None:
            raise wrong("has no server to try them at", "write [upstream.imap]", key=f"{key}.kind")
        if table.address.kind is AddressKind.EMBEDDED:
            what = "the embedded server knows no passwords of mailboxes"
            raise wrong(what, 'name a server in [upstream.imap], or write "local"', key=f"{key}.kind")
