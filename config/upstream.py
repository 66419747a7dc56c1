"""The servers behind the gate as the config file tells of them: where each is, and how the gate signs in.

A sign-in that needs no secret is trust in whoever can connect. So it is taken only where the system or TLS
says who that is: on a Unix socket, or with a client certificate; over this machine's loopback only when the
file says `insecure = true`, because any local user reaches it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from config.address import Address, AddressKind
from config.fields import (
    ConfigPath,
    DavAddress,
    HostName,
    ImapAddress,
    ShortText,
    SubmissionAddress,
)
from config.problems import wrong
from config.section import Section
from config.sign_in import AUTHZID_HINT, SignIn, SubmissionSignIn, TrustedHeader

LOGIN_WORDS: Final = ("{email}", "{user}", "{domain}")
SERVICES: Final = ("imap", "smtp", "contacts", "events")
"""The tables of `[upstream]`."""

SubmissionExtension = Literal["CHUNKING", "DSN", "SMTPUTF8"]
"""As in EHLO."""

T = TypeVar("T")


def _login_template(value: str) -> str:
    left = value
    for word in LOGIN_WORDS:
        left = left.replace(word, "")
    if "{" in left or "}" in left or not value.isprintable():
        raise wrong("is not a login template", f"the words in braces are {', '.join(LOGIN_WORDS)}")
    if "{email}" not in value and "{user}" not in value:
        raise wrong("gives every account the same login", "use {email} or {user} in it")
    return value


class Upstream(Section):
    """What is told of every upstream."""

    address: Address
    login: Annotated[ShortText, AfterValidator(_login_template)] = Field(
        default="{email}", description="the account's login there: {email}, {user}, {domain}"
    )
    ca_file: ConfigPath | None = Field(default=None, description="PEM file: trust these authorities alone")
    server_name: HostName | None = Field(default=None, description="the name to expect in its certificate")
    client_certificate: ConfigPath | None = Field(
        default=None, description="PEM file: the certificate that shows the server who we are"
    )
    client_key: ConfigPath | None = Field(
        default=None, validate_default=True, description="PEM file: the key of that certificate"
    )

    @field_validator("ca_file", "server_name", "client_certificate", "client_key")
    @classmethod
    def _only_over_tls(cls, value: T, info: ValidationInfo) -> T:
        address = info.data.get("address")
        if value is not None and address is not None and not address.over_tls:
            raise wrong(f"has no meaning for {address}", "take the line out: no TLS is spoken there")
        return value

    @field_validator("client_key")
    @classmethod
    def _pair(cls, value: T, info: ValidationInfo) -> T:
        if "client_certificate" in info.data and (value is None) != (info.data["client_certificate"] is None):
            raise wrong("goes with client_certificate", "write both lines or none")
        return value


def _needed_or_not(value: object, info: ValidationInfo, hint: str) -> bool:
    """Whether there is a sign-in to look at closer; embedded needs none, everything else needs one."""
    address = info.data.get("address")
    if address is None:
        return False
    if address.kind is AddressKind.EMBEDDED and value is not None:
        raise wrong("the embedded server needs no sign_in", "take the line out")
    if address.kind is not AddressKind.EMBEDDED and value is None:
        raise wrong("is missing", hint)
    return value is not None


def _may_go_without_secret(kind: str, info: ValidationInfo) -> None:
    """Refuse trust in whoever connects where anybody can."""
    address: Address = info.data["address"]
    if address.kind is AddressKind.UNIX:
        return
    if address.over_tls:
        if info.data.get("client_certificate") is None:
            hint = "name client_certificate and client_key, or reach the server by unix:/PATH"
            raise wrong(f"{kind} shows {address} no secret", hint)
    elif not info.data.get("insecure"):
        hint = "reach it by unix:/PATH; insecure = true takes the risk"
        raise wrong(f"{kind} over {address} trusts every user of this machine", hint)


class ImapUpstream(Upstream):
    """The IMAP server behind the gate."""

    address: ImapAddress = Field(
        description="imaps://HOST, imap+starttls://HOST, unix:/PATH, or embedded for the built-in mail server"
    )
    sign_in: SignIn | None = Field(
        default=None, validate_default=True, description="how the gate signs in there; not for embedded"
    )

    @field_validator("sign_in")
    @classmethod
    def _sign_in_fits(cls, value: SignIn | None, info: ValidationInfo) -> SignIn | None:
        _needed_or_not(value, info, AUTHZID_HINT)
        return value

    client_address: Literal["proxy-v1", "proxy-v2", "id"] | None = Field(
        default=None,
        description='how it is told who the client is, where it believes the gate: "proxy-v1" and "proxy-v2" '
        'by the PROXY protocol, "id" by ID as Dovecot does (its `login_trusted_networks` must hold the gate)',
    )

    @field_validator("client_address")
    @classmethod
    def _told_of_clients(cls, value: T, info: ValidationInfo) -> T:
        return _not_for_embedded(value, info)


class SmtpUpstream(Upstream):
    """The submission server behind the gate."""

    address: SubmissionAddress = Field(
        description="smtps://HOST, smtp+starttls://HOST, unix:/PATH, or embedded for delivery between the "
        "accounts; smtp://HOST in clear within this machine"
    )
    insecure: bool = Field(
        default=False, description="true: trust every user of this machine, for smtp:// alone"
    )
    sign_in: SubmissionSignIn | None = Field(
        default=None, validate_default=True, description="how the gate signs in there; not for embedded"
    )
    extensions: tuple[SubmissionExtension, ...] = Field(
        default=(),
        description='which of "CHUNKING" (RFC 3030), "DSN" (RFC 3461) and "SMTPUTF8" (RFC 6531) it has; '
        "clients are offered what all submission servers have",
    )

    @field_validator("insecure")
    @classmethod
    def _insecure_is_said_where_it_is(cls, value: bool, info: ValidationInfo) -> bool:
        return _insecure(value, info)

    @field_validator("extensions")
    @classmethod
    def _extensions_fit(
        cls, value: tuple[SubmissionExtension, ...], info: ValidationInfo
    ) -> tuple[SubmissionExtension, ...]:
        address = info.data.get("address")
        if value and address is not None and address.kind is AddressKind.EMBEDDED:
            raise wrong("the embedded server has none of them", "take the line out")
        if len(set(value)) < len(value):
            raise wrong("names one twice", "write each once")
        return value

    @field_validator("sign_in")
    @classmethod
    def _sign_in_fits(cls, value: SubmissionSignIn | None, info: ValidationInfo) -> SubmissionSignIn | None:
        if not _needed_or_not(value, info, AUTHZID_HINT) or value is None:
            return value
        address = info.data["address"]
        if value.kind == "none":
            _may_go_without_secret("none", info)
        elif address.over_tcp and not address.over_tls:
            raise wrong(f"a secret would go to {address} in clear", "write smtps:// or smtp+starttls://")
        return value

    client_address: Literal["proxy-v1", "proxy-v2", "xclient"] | None = Field(
        default=None,
        description='how it is told who the client is, where it believes the gate: "proxy-v1" and "proxy-v2" '
        'by the PROXY protocol, "xclient" by XCLIENT, which tells the login too where sign_in is "none" '
        "(Postfix: `smtpd_authorized_xclient_hosts` must hold the gate)",
    )

    @field_validator("client_address")
    @classmethod
    def _told_of_clients(cls, value: T, info: ValidationInfo) -> T:
        return _not_for_embedded(value, info)


class DavUpstream(Upstream):
    """The server of contacts or calendars behind the gate."""

    address: DavAddress = Field(
        description="https://HOST, unix:/PATH, or embedded for the built-in one; "
        "http://HOST in clear within this machine"
    )
    profile: Literal["radicale"] = Field(
        default="radicale", description='"radicale": what kind of server it is'
    )
    insecure: bool = Field(
        default=False, description="true: trust every user of this machine, for http:// alone"
    )
    sign_in: TrustedHeader | None = Field(
        default=None, validate_default=True, description="how it is told whom we serve; not for embedded"
    )

    @field_validator("insecure")
    @classmethod
    def _insecure_is_said_where_it_is(cls, value: bool, info: ValidationInfo) -> bool:
        return _insecure(value, info)

    @field_validator("sign_in")
    @classmethod
    def _sign_in_fits(cls, value: TrustedHeader | None, info: ValidationInfo) -> TrustedHeader | None:
        if _needed_or_not(value, info, 'write sign_in = { kind = "trusted-header" }'):
            _may_go_without_secret("trusted-header", info)
        return value


def _not_for_embedded(value: T, info: ValidationInfo) -> T:
    """Refuse `client_address` where the gate itself is the server."""
    address = info.data.get("address")
    if value is not None and address is not None and address.kind is AddressKind.EMBEDDED:
        raise wrong("has no meaning for embedded", "take the line out: the gate's own log tells of clients")
    return value


def _insecure(value: bool, info: ValidationInfo) -> bool:
    """Take `insecure` only where something is."""
    address = info.data.get("address")
    if value and address is not None and (address.over_tls or not address.over_tcp):
        raise wrong(f"has no meaning for {address}", "take the line out")
    return value


class Upstreams(Section):
    """The servers behind the gate; what has none is not served."""

    imap: ImapUpstream | None = Field(default=None, description="the table [upstream.imap]")
    smtp: SmtpUpstream | None = Field(default=None, description="the table [upstream.smtp]")
    contacts: DavUpstream | None = Field(default=None, description="the table [upstream.contacts]")
    events: DavUpstream | None = Field(default=None, description="the table [upstream.events]")

    @field_validator("events")
    @classmethod
    def _one_dav_server(cls, value: DavUpstream | None, info: ValidationInfo) -> DavUpstream | None:
        contacts = info.data.get("contacts")
        if value is not None and contacts is not None and value != contacts:
            hint = "write the same lines in both tables: this version serves both from one server"
            raise wrong("is another server than upstream.contacts", hint, key="upstream.events")
        return value

    @property
    def dav(self) -> DavUpstream | None:
        """The one server of contacts and calendars."""
        return self.contacts or self.events
