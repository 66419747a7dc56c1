"""Domains whose mail stands on servers of their own: the tables `[[domain]]`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from config.address import AddressKind
from config.fields import HostName
from config.problems import wrong
from config.section import Section
from config.upstream import ImapUpstream, SmtpUpstream


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
    upstream: DomainUpstreams = Field(description="its tables [domain.upstream.imap], [domain.upstream.smtp]")

    @model_validator(mode="after")
    def _with_a_server(self) -> Self:
        if self.upstream.imap is None and self.upstream.smtp is None:
            hint = "write [domain.upstream.imap] or [domain.upstream.smtp] below it, or take it out"
            raise wrong("has no server of its own", hint)
        return self
