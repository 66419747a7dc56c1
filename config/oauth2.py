"""OAuth 2 providers, the tables `[oauth2.NAME]`: where one is, and what it knows us as.

A preset holds what Google and Microsoft document; the file may still name other endpoints, as national clouds
have them. Everything goes over TLS, but for a provider on this machine with `insecure = true`.

Google, at developers.google.com: identity/protocols/oauth2/native-app (endpoints, loopback; a refresh token
comes with access_type=offline, and a second time only with prompt=consent),
identity/protocols/oauth2/limited-input-device (the scopes of its device flow, mail not among them),
gmail/imap/xoauth2-protocol (the scope).
Microsoft, at learn.microsoft.com: entra/identity-platform/v2-oauth2-auth-code-flow and v2-oauth2-device-code,
entra/identity-platform/reply-url (the port is left open for `localhost` alone),
exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from config.address import AddressError, host_name, is_this_machine
from config.domain import DomainUpstreams
from config.fields import ConfigPath, ShortText
from config.problems import wrong
from config.section import Section
from config.upstream import Upstreams

T = TypeVar("T")

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9.-]*\Z")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+\Z")
"""RFC 6749 §3.3."""
_LONGEST: Final = 500
_ENDPOINT_HINT: Final = 'write it as in "https://login.example.org/oauth2/token"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a provider documents; `{tenant}` stands for the organisation."""

    authorization_endpoint: str
    token_endpoint: str
    device_endpoint: str | None
    scopes: tuple[str, ...]
    redirect_host: Literal["127.0.0.1", "localhost"]
    asked_for: Mapping[str, str]
    """Further parameters of the authorization request."""
    no_device: str = ""
    """Why the device flow is of no use, where it is not."""


_MICROSOFT: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0"
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "google": Preset(
            authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
            token_endpoint="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
            device_endpoint=None,
            scopes=("https://mail.google.com/",),
            redirect_host="127.0.0.1",
            asked_for=MappingProxyType({"access_type": "offline", "prompt": "consent"}),
            no_device="Google's device flow does not cover mail",
        ),
        "microsoft": Preset(
            authorization_endpoint=f"{_MICROSOFT}/authorize",
            token_endpoint=f"{_MICROSOFT}/token",
            device_endpoint=f"{_MICROSOFT}/devicecode",
            scopes=(
                "https://outlook.office.com/IMAP.AccessAsUser.All",
                "https://outlook.office.com/SMTP.Send",
                "offline_access",
            ),
            redirect_host="localhost",
            asked_for=MappingProxyType({}),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a provider is asked, once preset and file are put together."""

    authorization: str | None
    token: str
    device: str | None


def _tenant(value: str) -> str:
    if not _TENANT.match(value.lower()):
        hint = 'write "common", "organizations", "consumers", a domain or the id of your organisation'
        raise wrong("is not a tenant", hint)
    return value.lower()


def _endpoint(value: str) -> str:
    """Read an address of HTTP, without user and fragment (RFC 6749 §3.1, §3.2)."""
    try:
        parts = urlsplit(value)
        host_name(parts.hostname or "")
        parts.port  # noqa: B018 - reading it checks it
    except (AddressError, ValueError):
        raise wrong("is not a web address", _ENDPOINT_HINT) from None
    plain = value.isascii() and value.isprintable() and " " not in value and len(value) <= _LONGEST
    if not plain or parts.scheme not in ("https", "http") or "@" in parts.netloc or parts.fragment:
        raise wrong("is not a web address", _ENDPOINT_HINT)
    return value


def _scope(value: str) -> str:
    if not _SCOPE.match(value):
        raise wrong(f"{value!r} is not a scope", "write each scope as a text of its own, without spaces")
    return value


def _printable(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise wrong("holds characters that no client id has", "copy it from the provider's page")
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]
ScopeWord = Annotated[ShortText, AfterValidator(_scope)]


class OAuth2(Section):
    """An OAuth 2 provider that lets the gate into accounts."""

    preset: Literal["google", "microsoft"] | None = Field(
        default=None, description='"google" or "microsoft": endpoints and scopes as these document them'
    )
    tenant: Annotated[ShortText, AfterValidator(_tenant)] = Field(
        default="common", description="for microsoft: whose accounts; a domain or an id is one organisation"
    )
    insecure: bool = Field(
        default=False, description="true: http:// in clear to a provider on this machine, whose users see all"
    )
    authorization_endpoint: Endpoint | None = Field(
        default=None,
        validate_default=True,
        description="where a browser is sent",
        json_schema_extra={"without": "the preset's"},
    )
    token_endpoint: Endpoint | None = Field(
        default=None,
        validate_default=True,
        description="where tokens are asked for",
        json_schema_extra={"without": "the preset's"},
    )
    device_endpoint: Endpoint | None = Field(
        default=None,
        validate_default=True,
        description="where a code is asked for that is typed on another device (RFC 8628)",
        json_schema_extra={"without": "the preset's"},
    )
    scopes: tuple[ScopeWord, ...] = Field(
        default=(),
        validate_default=True,
        description="what the tokens are for",
        json_schema_extra={"without": "the preset's"},
    )
    client_id: Annotated[ShortText, AfterValidator(_printable)] = Field(
        description="what the provider calls this gate; see docs/oauth.md"
    )
    client_secret_file: ConfigPath | None = Field(
        default=None,
        description="the file with the client's secret, one line, mode 0400; a public client has none",
    )
    redirect_host: Literal["127.0.0.1", "localhost"] | None = Field(
        default=None,
        description="what the browser is sent back to on this machine, as registered at the provider",
        json_schema_extra={"without": "the preset's, or `127.0.0.1`"},
    )
    portal: bool = Field(
        default=False,
        description="true: owners may let the gate in from the portal; the provider must know the portal's "
        "address, with `connections/authorised` behind it, as a redirect URI: see docs/oauth.md",
    )
    ca_file: ConfigPath | None = Field(default=None, description="PEM file: trust these authorities alone")

    @field_validator("tenant")
    @classmethod
    def _tenant_is_microsofts(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("preset", "microsoft") != "microsoft":
            raise wrong('has a meaning for preset = "microsoft" alone', "take it out")
        return value

    @field_validator("authorization_endpoint", "token_endpoint", "device_endpoint")
    @classmethod
    def _over_tls(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or value.startswith("https://"):
            return value
        if not is_this_machine(urlsplit(value).hostname or ""):
            raise wrong("goes in clear to another machine", "write https://")
        if not info.data.get("insecure"):
            raise wrong("goes in clear", "write https://; insecure = true takes the risk on this machine")
        return value

    @field_validator("token_endpoint", "scopes")
    @classmethod
    def _from_somewhere(cls, value: T, info: ValidationInfo) -> T:
        if not value and info.data.get("preset", "") is None:
            raise wrong("is missing", 'write it, or preset = "google" or "microsoft"')
        return value

    @field_validator("device_endpoint")
    @classmethod
    def _some_way_in(cls, value: str | None, info: ValidationInfo) -> str | None:
        preset = PRESETS.get(info.data.get("preset") or "")
        if value is not None and preset is not None and preset.no_device:
            raise wrong(f"is of no use: {preset.no_device}", "take it out; a browser is the way in")
        known = "preset" in info.data and "authorization_endpoint" in info.data
        if known and preset is None and value is None and info.data["authorization_endpoint"] is None:
            hint = "write authorization_endpoint, device_endpoint or both"
            raise wrong("nobody could authorise the gate there", hint, key="oauth2")
        return value

    @field_validator("portal")
    @classmethod
    def _portal_sends_a_browser_somewhere(cls, value: bool, info: ValidationInfo) -> bool:
        known = "preset" in info.data and "authorization_endpoint" in info.data
        if value and known and info.data["preset"] is None and info.data["authorization_endpoint"] is None:
            raise wrong("needs a page to send a browser to", "write authorization_endpoint, or take it out")
        return value

    @property
    def endpoints(self) -> Endpoints:
        """Where it is asked."""
        preset = PRESETS.get(self.preset or "")

        def of(told: str | None, known: str | None) -> str | None:
            return told or (known and known.replace("{tenant}", self.tenant))

        if preset is None:
            assert self.token_endpoint is not None  # noqa: S101 - a validator has seen to it
            return Endpoints(
                authorization=self.authorization_endpoint,
                token=self.token_endpoint,
                device=self.device_endpoint,
            )
        return Endpoints(
            authorization=of(self.authorization_endpoint, preset.authorization_endpoint),
            token=of(self.token_endpoint, preset.token_endpoint) or "",
            device=of(self.device_endpoint, preset.device_endpoint),
        )

    @property
    def all_scopes(self) -> tuple[str, ...]:
        """What is asked for."""
        return self.scopes or (PRESETS[self.preset].scopes if self.preset else ())

    @property
    def lands_at(self) -> Literal["127.0.0.1", "localhost"]:
        """What a browser is sent back to."""
        known: Literal["127.0.0.1", "localhost"]
        known = PRESETS[self.preset].redirect_host if self.preset else "127.0.0.1"
        return self.redirect_host or known

    @property
    def asked_for(self) -> Mapping[str, str]:
        """Further parameters of the authorization request."""
        return PRESETS[self.preset].asked_for if self.preset else MappingProxyType({})


def must_have_tables(providers: Collection[str], tables: Mapping[str, Upstreams | DomainUpstreams]) -> None:
    """See that every provider a sign-in names is there; `tables` are by their place in the file."""
    for key, group in tables.items():
        for name, table in (("imap", group.imap), ("smtp", group.smtp)):
            provider = None if table is None or table.sign_in is None else table.sign_in.provider
            if provider is not None and provider not in providers:
                hint = f"write the table [oauth2.{provider}], or name one of {', '.join(providers) or 'none'}"
                raise wrong(f"{provider!r} has no table", hint, key=f"{key}.{name}.sign_in.provider")
