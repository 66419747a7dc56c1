"""The configuration as values: one frozen model a section of the TOML file.

Models read text and paths, check what can be known from the text alone, and touch neither files nor network
(`Keys.load` is the one exception, and is called by name). Relative paths start at the folder given as
validation context `folder`. Whether files exist and fit together is asked by `config.inspect`; turning what
pydantic says into problems for people is done by `config.load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from config.address import AddressKind, Listen
from config.domain import Domain, must_be_triable
from config.fields import (
    BalancerNetwork,
    CertificateName,
    ConfigPath,
    HostName,
    ListenAddress,
    ShortText,
    WholeNumber,
    folder_of,
    path_of,
    sqlite_url,
    url_of,
)
from config.keys import read_key
from config.oauth2 import OAuth2, must_have_tables
from config.policy import Policy
from config.portal import Beside, Mail, Portal, PublicPorts, must_be_reachable, web_address
from config.primary import Primary
from config.private import PrivateFileError
from config.problems import ConfigErrors, Problem, wrong
from config.section import Section
from config.upstream import Upstreams

_LISTENERS: Final = ("imaps", "imap", "submissions", "submission", "https", "portal")


class Server(Section):
    """Who we are."""

    public_host: HostName = Field(description='the name apps connect to, as in "mail.example.org"')
    data: ConfigPath = Field(description='the folder for what the server keeps, as in "/var/lib/wicketgate"')
    workers: WholeNumber = Field(
        default=1, description="how many processes serve; this version runs exactly one"
    )
    portal_url: str | None = Field(
        default=None,
        max_length=200,
        description="the page where people get app passwords, named in refusals and in invitations",
        json_schema_extra={"without": "where the portal is served"},
    )
    public_ports: PublicPorts = Field(default=PublicPorts(), description="the table [server.public_ports]")

    @field_validator("workers")
    @classmethod
    def _one_worker(cls, value: int) -> int:
        if value != 1:
            raise wrong(
                f"{value} workers are not offered in this version", "leave it out: one process serves"
            )
        return value

    @field_validator("portal_url")
    @classmethod
    def _portal_is_a_web_address(cls, value: str | None) -> str | None:
        plain = value is None or (value.isascii() and value.isprintable() and " " not in value)
        if not plain or (value is not None and not value.startswith("https://")):
            raise wrong("is not a web address", 'write it as in "https://apps.example.org/"')
        no_path = value is not None and "/" not in value.removeprefix("https://")
        return f"{value}/" if no_path else value


class Certificate(Section):
    """One certificate, chosen when a client asks for one of its names."""

    names: tuple[CertificateName, ...] = Field(description="the names clients may ask for, one at least")
    certificate: ConfigPath = Field(description="PEM file: the certificate, then its intermediates")
    key: ConfigPath = Field(description="PEM file: the certificate's private key, without a password")

    @field_validator("names")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise wrong("is empty", "write the names in the certificate, server.public_host among them")
        return value

    def covers(self, host: str) -> bool:
        """Whether one of the names is `host`, a leading `*` standing for one label (RFC 9525 §6.3)."""
        parent = host.partition(".")[2]
        return host in self.names or (bool(parent) and f"*.{parent}" in self.names)


class Tls(Section):
    """The certificates."""

    certificate: tuple[Certificate, ...] = Field(description="one [[tls.certificate]] or more")

    @field_validator("certificate")
    @classmethod
    def _some_and_no_name_twice(cls, value: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
        if not value:
            raise wrong("is empty", "apps are served over TLS only: name one certificate at least")
        seen: set[str] = set()
        for name in (name for certificate in value for name in set(certificate.names)):
            if name in seen:
                raise wrong(f"{name} is named by two certificates", "name it under one of them")
            seen.add(name)
        return value

    def covers(self, host: str) -> bool:
        """Whether a certificate is for this host."""
        return any(each.covers(host) for each in self.certificate)


class Listeners(Section):
    """Where apps connect."""

    imaps: tuple[ListenAddress, ...] = Field(
        default=(), description="IMAP with TLS from the first octet (993)"
    )
    imap: tuple[ListenAddress, ...] = Field(
        default=(), description="IMAP with STARTTLS, required before sign-in (143)"
    )
    submissions: tuple[ListenAddress, ...] = Field(
        default=(), description="submission with TLS from the first octet (465)"
    )
    submission: tuple[ListenAddress, ...] = Field(
        default=(), description="submission with STARTTLS, required before sign-in (587)"
    )
    https: tuple[ListenAddress, ...] = Field(default=(), description="contacts and calendars, over TLS (443)")
    portal: tuple[ListenAddress, ...] = Field(
        default=(), validate_default=True, description="the web portal, over TLS, at a port of its own"
    )
    proxy_protocol: tuple[BalancerNetwork, ...] = Field(
        default=(),
        description="the networks of load balancers: each of their connections must begin with a header of "
        "the PROXY protocol, 1 or 2, that says who the client is; one from anywhere else is never believed",
    )

    @property
    def places(self) -> dict[str, tuple[Listen, ...]]:
        """What is listened on, by its key."""
        return {kind: getattr(self, kind) for kind in _LISTENERS}

    @field_validator("portal")
    @classmethod
    def _each_once(cls, value: tuple[Listen, ...], info: ValidationInfo) -> tuple[Listen, ...]:
        if len(info.data) < len(_LISTENERS) - 1:  # one of the others is wrong already
            return value
        taken = [place for places in (*info.data.values(), value) for place in places]
        if not taken:
            hint = 'write imaps = ["[::]:993"] or the like'
            raise wrong("nothing to listen on", hint, key="listen")
        fixed = [listen for listen in taken if listen.port]
        if twice := next((listen for listen in fixed if fixed.count(listen) > 1), None):
            raise wrong(f"{twice} is listed twice", "give each listener an address of its own", key="listen")
        return value


class Store(Section):
    """Where accounts and app passwords are kept."""

    url: str = Field(
        description='"sqlite:PATH", as in "sqlite:/var/lib/wicketgate/gate.db"',
        json_schema_extra={"without": "`gate.db` in `server.data`"},
    )
    activity_url: str = Field(
        default="",
        validate_default=True,
        description="the second file, for last use and history of sign-ins",
        json_schema_extra={"without": "`activity.db` beside the first"},
    )

    @field_validator("url")
    @classmethod
    def _gate_url(cls, value: str, info: ValidationInfo) -> str:
        return sqlite_url(value, folder_of(info))

    @field_validator("activity_url")
    @classmethod
    def _activity_url(cls, value: str, info: ValidationInfo) -> str:
        gate = info.data.get("url")
        if gate is None:
            return value
        url = sqlite_url(value, folder_of(info)) if value else url_of(path_of(gate).with_name("activity.db"))
        if url == gate:
            raise wrong("is the same file as store.url", "leave it out: activity.db beside the first file")
        return url

    @property
    def gate_file(self) -> Path:
        """The file of accounts, app passwords and the change feed."""
        return path_of(self.url)

    @property
    def activity_file(self) -> Path:
        """The file of last use and history; losing it harms nothing."""
        return path_of(self.activity_url)


class Keys(Section):
    """The master keys; one is used for what is new, the others read what is old."""

    current: ShortText = Field(description="the name of the key that new secrets are sealed with")
    files: dict[ShortText, ConfigPath] = Field(description="key names and their files")

    @field_validator("files")
    @classmethod
    def _has_the_current(cls, value: dict[str, Path], info: ValidationInfo) -> dict[str, Path]:
        current = info.data.get("current")
        if current is not None and current not in value:
            raise wrong(
                f"has no {current!r}, which keys.current names", f"keys there: {', '.join(value) or 'none'}"
            )
        return value

    def load(self) -> dict[str, bytes]:
        """Read every key file: key name to 32 octets. Raises ConfigErrors with all that is wrong."""
        keys: dict[str, bytes] = {}
        problems: list[Problem] = []
        for name, path in self.files.items():
            try:
                keys[name] = read_key(path)
            except PrivateFileError as error:
                problems.append(Problem(key=f"keys.files.{name}", what=str(error), hint=error.hint))
        if problems:
            raise ConfigErrors(problems)
        return keys


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
