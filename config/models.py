"""The configuration as values: one frozen model a section of the TOML file, here the whole of them.

Models read text and paths, check what can be known from the text alone, and touch neither files nor network
(`config.storing.Keys.load` is the one exception, and is called by name). Relative paths start at the folder
given as validation context `folder`. Whether files exist and fit together is asked by `config.inspect`;
turning what pydantic says into problems for people is done by `config.load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from config.address import AddressKind
from config.domain import Domain, must_be_triable
from config.fields import (
    ShortText,
    folder_of,
    url_of,
)
from config.listening import Listeners, Server, Tls
from config.oauth2 import OAuth2, must_have_tables
from config.policy import Policy
from config.portal import Beside, Mail, Portal, must_be_reachable, web_address
from config.primary import Primary
from config.problems import wrong
from config.section import Section
from config.storing import Keys, Store
from config.upstream import Upstreams


class Log(Section):
    """What the server writes to standard error; docs/log.md has its fields."""

    format: Literal["logfmt", "json"] = Field(
        default="logfmt", description='"logfmt", or "json": one object a line'
    )
    level: Literal["info", "warning"] = Field(
        default="info",
        description='"info": every sign-in, refusal and end of a session; "warning": refusals and trouble',
    )


class Config(Section):
    """The whole file."""

    server: Server = Field(description="the table [server]")
    tls: Tls = Field(description="at least one table [[tls.certificate]]")
    listen: Listeners = Field(description='write a table [listen] with imaps = ["[::]:993"] or the like')
    store: Store = Field(default_factory=dict, validate_default=True, description="the table [store]")
    keys: Keys = Field(description="the table [keys]")
    primary: Primary = Field(default=Primary(), description="the table [primary]")
    portal: Portal = Field(default=Portal(), validate_default=True, description="the table [portal]")
    mail: Mail | None = Field(
        default=None, description="the table [mail]; without it the gate sends no mail of its own"
    )
    oauth2: dict[ShortText, OAuth2] = Field(
        default_factory=dict, description="tables [oauth2.NAME]: providers that let the gate into accounts"
    )
    domain: tuple[Domain, ...] = Field(
        default=(), description="tables [[domain]], for domains whose mail stands on servers of their own"
    )
    upstream: Upstreams = Field(
        default_factory=dict,
        validate_default=True,
        description="the tables [upstream.imap], [upstream.smtp], [upstream.contacts], [upstream.events]",
    )
    policy: Policy = Field(default=Policy(), description="the table [policy]")
    log: Log = Field(default=Log(), description="the table [log]")

    @field_validator("tls")
    @classmethod
    def _covers_the_public_host(cls, value: Tls, info: ValidationInfo) -> Tls:
        server = info.data.get("server")
        if server is not None and not value.covers(server.public_host):
            what = f"no certificate is named for server.public_host, {server.public_host}"
            raise wrong(what, "apps would refuse the connection; list the name", key="tls.certificate")
        return value

    @field_validator("portal")
    @classmethod
    def _portal_beside_the_others(cls, value: Portal, info: ValidationInfo) -> Portal:
        server, tls, listen = (info.data.get(each) for each in ("server", "tls", "listen"))
        if server is not None and tls is not None and listen is not None:
            told = Beside(
                public_host=server.public_host,
                portal_url=server.portal_url,
                covers=tls.covers,
                listens_beside=bool(listen.https),
                listens=bool(listen.portal),
            )
            must_be_reachable(value, told)
        return value

    @field_validator("store", mode="before")
    @classmethod
    def _store_stands_in_data(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict) or "url" in value:
            return value
        server = info.data.get("server")
        folder = server.data if server is not None else folder_of(info)
        return {"url": url_of(folder / "gate.db"), **value}

    @field_validator("domain")
    @classmethod
    def _each_domain_once(cls, value: tuple[Domain, ...]) -> tuple[Domain, ...]:
        names = [domain.name for domain in value]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise wrong(f"{twice} has two tables", "write all its servers in one")
        return value

    @field_validator("upstream")
    @classmethod
    def _behind_every_listener(cls, value: Upstreams, info: ValidationInfo) -> Upstreams:
        listen, domains, portal = (info.data.get(each) for each in ("listen", "domain", "portal"))
        if listen is None or domains is None or portal is None:
            return value
        imap = value.imap or any(each.upstream.imap for each in domains)
        smtp = value.smtp or any(each.upstream.smtp for each in domains)
        for places, behind, table, tables in (
            (listen.imaps + listen.imap, imap, "imap", "the table"),
            (listen.submissions + listen.submission, smtp, "smtp", "the table"),
            (listen.https, value.dav or portal.host, "contacts", "this table, [upstream.events] or both"),
        ):
            if places and not behind:
                hint = (
                    f'write {tables}, with address = "embedded" or that of a server, '
                    "or take those lines out of [listen]"
                )
                what = f"is missing, and [listen] has {', '.join(map(str, places))} for it"
                raise wrong(what, hint, key=f"upstream.{table}")
        return value

    @field_validator("upstream")
    @classmethod
    def _every_provider_has_a_table(cls, value: Upstreams, info: ValidationInfo) -> Upstreams:
        providers, domains = info.data.get("oauth2"), info.data.get("domain")
        if providers is not None and domains is not None:
            tables = {"upstream": value} | {
                f"domain[{n}].upstream": one.upstream for n, one in enumerate(domains)
            }
            must_have_tables(providers, tables)
        return value

    @field_validator("upstream")
    @classmethod
    def _behind_mail_and_primaries(cls, value: Upstreams, info: ValidationInfo) -> Upstreams:
        """See that mails have a way out, and that primary passwords of mailboxes can be tried."""
        mail, primary, domains = (info.data.get(each) for each in ("mail", "primary", "domain"))
        if mail is not None and value.smtp is None:
            raise wrong(
                "is missing, and [mail] sends by it", "write it, or take [mail] out", key="upstream.smtp"
            )
        if primary is not None and domains is not None:
            must_be_triable(primary, domains, value)
        return value

    @property
    def portal_url(self) -> str | None:
        """Where people reach the portal; None where there is none, or at a port that is not known yet."""
        if self.server.portal_url is not None:
            return self.server.portal_url
        ports = self.server.public_ports
        if self.portal.host is not None and self.listen.https:
            return web_address(self.portal.host, ports.https or self.listen.https[0].port)
        if self.listen.portal:
            host = self.portal.host or self.server.public_host
            return web_address(host, ports.portal or self.listen.portal[0].port)
        return None

    @property
    def serves_portal(self) -> bool:
        """Whether the portal is one of ours."""
        return bool(self.listen.portal or (self.portal.host is not None and self.listen.https))

    def primary_of(self, email: str) -> Primary:
        """Give how the primary password of an account is checked, by the domain of its primary email."""
        domain = email.rpartition("@")[2].lower()
        own = (each.primary for each in self.domain if each.name == domain)
        return next((each for each in own if each is not None), self.primary)

    @property
    def sender_rule(self) -> Literal["upstream", "own", "report"]:
        """Who may be the sender of a message."""
        smtp = self.upstream.smtp
        embedded = smtp is not None and smtp.address.kind is AddressKind.EMBEDDED
        return self.policy.sender or ("own" if embedded else "upstream")

    @classmethod
    def read(cls, table: dict[str, Any], folder: Path) -> Self:
        """Validate a parsed file whose relative paths start at `folder`; raises a ValidationError."""
        return cls.model_validate(table, context={"folder": folder})
