"""Who we are and where we listen: the tables `[server]`, `[tls]` and `[listen]`."""

from __future__ import annotations

from typing import Final

from pydantic import Field, ValidationInfo, field_validator

from config.address import Listen
from config.fields import (
    BalancerNetwork,
    CertificateName,
    ConfigPath,
    HostName,
    ListenAddress,
    WholeNumber,
)
from config.portal import PublicPorts
from config.problems import wrong
from config.section import Section

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
