"""How the gate signs in at a server behind: the tables `sign_in`, one model a protocol.

What a kind needs is asked for, and what has no meaning for it is refused, so that no line in the file is
without effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from config.fields import ConfigPath, FieldName, ShortText
from config.problems import wrong
from config.section import Section

AUTHZID_HINT: Final = 'write sign_in = { kind = "authzid", user = "gate", secret_file = "upstream.secret" }'

_NEEDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "authzid": frozenset({"user", "secret_file"}),
        "master": frozenset({"user", "secret_file"}),
        "stored": frozenset(),
        "oauth2": frozenset({"provider"}),
        "none": frozenset(),
    }
)
_MAY: Final[Mapping[str, frozenset[str]]] = MappingProxyType({"master": frozenset({"separator"})})
_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "authzid": AUTHZID_HINT,
        "master": 'write sign_in = { kind = "master", user = "gate", secret_file = "upstream.secret" }',
        "oauth2": 'write sign_in = { kind = "oauth2", provider = "google" } and a table [oauth2.google]',
    }
)

T = TypeVar("T")


def _printable(value: str) -> str:
    if not value.isprintable():
        raise wrong("holds characters that cannot be sent", "write printable characters only")
    return value


class SignIn(Section):
    """How the gate signs in at an IMAP server for an account."""

    kind: Literal["authzid", "master", "stored", "oauth2"] = Field(
        description='"authzid": SASL PLAIN (RFC 4616) as the gate, on behalf of the account; '
        '"master": as the master user `user` beside the account, as in `alice*gate`; '
        '"stored": as the account itself, with the secret of `wicketgate account set-upstream`; '
        '"oauth2": as the account itself, with the token of `wicketgate account authorize`'
    )
    user: Annotated[ShortText, AfterValidator(_printable)] | None = Field(
        default=None, validate_default=True, description="the gate's own user there, for authzid and master"
    )
    secret_file: ConfigPath | None = Field(
        default=None,
        validate_default=True,
        description="the file with that user's password, one line, mode 0400, for authzid and master",
    )
    separator: Annotated[ShortText, AfterValidator(_printable)] | None = Field(
        default=None,
        validate_default=True,
        description="what stands between account and master user, for master",
        json_schema_extra={"without": "`*`"},
    )
    provider: ShortText | None = Field(
        default=None, validate_default=True, description="the name of a table [oauth2.NAME], for oauth2"
    )

    @field_validator("user", "secret_file", "separator", "provider")
    @classmethod
    def _as_the_kind_has_it(cls, value: T, info: ValidationInfo) -> T:
        kind, name = info.data.get("kind"), info.field_name or ""
        if kind is None:
            return value
        if value is None and name in _NEEDS[kind]:
            raise wrong("is missing", _HINTS[kind])
        if value is not None and name not in _NEEDS[kind] | _MAY.get(kind, frozenset()):
            raise wrong(f"has no meaning for a sign-in of kind {kind}", "take it out")
        return value


class SubmissionSignIn(SignIn):
    """How the gate signs in at the submission server, or that it need not."""

    kind: Literal["authzid", "master", "stored", "oauth2", "none"] = Field(  # type: ignore[assignment]
        description='"authzid": SASL PLAIN (RFC 4616) as the gate, on behalf of the account; '
        '"master": as the master user `user` beside the account, as in `alice*gate`; '
        '"stored": as the account itself, with the secret of `wicketgate account set-upstream`; '
        '"oauth2": as the account itself, with the token of `wicketgate account authorize`; '
        '"none": the server trusts whoever connects'
    )


class TrustedHeader(Section):
    """How a DAV server is told whom the gate serves: a field of every request, which it trusts."""

    kind: Literal["trusted-header"] = Field(
        description='"trusted-header": a field of each request names the account'
    )
    header: FieldName = Field(default="X-Remote-User", description="the name of that field")
