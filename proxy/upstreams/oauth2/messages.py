"""What is asked of an OAuth 2 provider, and how its answers are read. Pure.

RFC 6749 (authorization code, refresh), RFC 7636 (PKCE), RFC 8628 (device code). Client id and secret go in
the form, as both Google and Microsoft document it (RFC 6749 §2.3.1). An answer is tokens, a refusal by the
one word that the provider gives for it, or `BadAnswer`, which is an outage: a gateway's page must never pass
for a refusal. No text of an answer goes anywhere but into the log, and none that may hold a token.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from auth.oauth_tokens import GivenToken
from auth.secret import Secret
from proxy.upstreams.oauth2.provider import Answer, Provider, Request

T = TypeVar("T")

TOKEN_OCTETS: Final = 8_192
"""Of an access or refresh token; Microsoft's have 2,000 to 4,000, and SASL takes 12,288 in base64."""
ASSUMED_LIFETIME_S: Final = 300.0
"""Of an access token whose lifetime is not said; RFC 6749 §5.1 only recommends to say it."""
LONGEST_LIFETIME_S: Final = 86_400.0
"""Believed of an access token; Google says one hour, Microsoft one to 24."""
POLL_S: Final = 5.0
"""RFC 8628 §3.2: between two polls when the provider names no interval."""
SLOW_DOWN_S: Final = 5.0
"""RFC 8628 §3.5: added to the interval at each `slow_down`."""
SHORTEST_POLL_S: Final = 1.0
"""Whatever the provider says: a person types no faster."""
LONGEST_POLL_S: Final = 60.0
LONGEST_DEVICE_S: Final = 1_800.0
"""For a person to type a code; Google says 30 minutes, Microsoft 15."""

_TOKEN: Final = re.compile(r"[!-~]+\Z")
"""RFC 6749 appendix A.12 and A.17, less the space that RFC 6750 §2.1 forbids."""
_ERROR: Final = re.compile(r"[ !#-\[\]-~]{1,100}\Z")
"""RFC 6749 §5.2."""
_SHOWN: Final = re.compile(r"[!-~]{1,500}\Z")
"""A user code or an address that a person is shown."""
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

TOKEN_REFUSED: Final = frozenset(
    {"invalid_grant", "interaction_required", "consent_required", "login_required"}
)
"""The refresh token is of no use any more: RFC 6749 §5.2, and OpenID Connect Core §3.1.2.6, whose words
Microsoft uses. Only the person can mend it."""
_OUTAGES: Final = frozenset({"server_error", "temporarily_unavailable"})
"""RFC 6749 §4.1.2.1; some providers say them at the token endpoint too."""


class BadAnswer(Exception):  # noqa: N818 - an outage of another server, not an error of ours
    """Neither tokens nor a refusal. The text is for the log, and quotes no more than status and error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The provider said no, by this word of RFC 6749 §5.2 or RFC 8628 §3.5."""

    error: str

    @property
    def needs_the_person(self) -> bool:
        """Whether the refresh token is refused, and not us or the request."""
        return self.error in TOKEN_REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a provider gave."""

    access: Secret
    lifetime_s: float
    """Of the access token, from the moment the provider was asked."""
    refresh: Secret | None = None
    """None when the one that was used goes on being good."""
    refresh_lifetime_s: float | None = None
    """Of that, where it is said; Google says it where it has an end, as for a client that is in testing."""

    def given(self, now: float) -> GivenToken | None:
        """Give the refresh token as it is stored; `now` is in seconds since 1970-01-01 UTC."""
        if self.refresh is None:
            return None
        lifetime_s = self.refresh_lifetime_s
        expires_at = None if lifetime_s is None else int(now + lifetime_s)
        return GivenToken(secret=self.refresh, expires_at=expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """RFC 8628 §3.2: what a person types where, and what we poll with."""

    device_code: Secret
    user_code: str
    address: str
    lifetime_s: float
    interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An authorization request of ours: its address, and what its answer is checked and used with."""

    url: str
    state: str = field(repr=False)
    verifier: Secret
    redirect_uri: str


# --- requests -----------------------------------------------------------------------------------------------


def refresh_request(provider: Provider, refresh: Secret) -> Request:
    """RFC 6749 §6. The scopes are those that were granted at first."""
    return _request(
        provider, provider.token_endpoint, grant_type="refresh_token", refresh_token=refresh.reveal()
    )


def code_request(provider: Provider, begun: Begun, code: Secret) -> Request:
    """RFC 6749 §4.1.3, RFC 7636 §4.5."""
    return _request(
        provider,
        provider.token_endpoint,
        grant_type="authorization_code",
        code=code.reveal(),
        redirect_uri=begun.redirect_uri,
        code_verifier=begun.verifier.reveal(),
    )


def device_request(provider: Provider) -> Request:
    """RFC 8628 §3.1."""
    if provider.device_endpoint is None:
        raise ValueError("no device endpoint")
    return _request(provider, provider.device_endpoint, scope=" ".join(provider.scopes))


def poll_request(provider: Provider, code: DeviceCode) -> Request:
    """RFC 8628 §3.4."""
    device_code = code.device_code.reveal()
    return _request(provider, provider.token_endpoint, grant_type=_DEVICE_GRANT, device_code=device_code)


def begin(provider: Provider, redirect_uri: str, login: str, *, state: str, verifier: str) -> Begun:
    """RFC 6749 §4.1.1 with PKCE (RFC 7636 §4.3). `state` and `verifier` are random, 43 characters each."""
    if provider.authorization_endpoint is None:
        raise ValueError("no authorization endpoint")
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": state,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
        "login_hint": login,
        **provider.asked_for,
    }
    joint = "&" if urlsplit(provider.authorization_endpoint).query else "?"
    url = f"{provider.authorization_endpoint}{joint}{urlencode(asked)}"
    return Begun(url=url, state=state, verifier=Secret(verifier), redirect_uri=redirect_uri)


def _request(provider: Provider, url: str, **form: str) -> Request:
    secret = provider.client_secret
    known = {} if secret is None else {"client_secret": secret.reveal()}
    return Request(url=url, form={"client_id": provider.client_id, **known, **form})


def _challenge(verifier: str) -> str:
    """RFC 7636 §4.2."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


# --- answers ------------------------------------------------------------------------------------------------


def read_tokens(answer: Answer) -> Tokens | Refused:
    """RFC 6749 §5.1 and §5.2. Raises BadAnswer."""
    told = _object(answer)
    if refused := _refused(answer, told):
        return refused
    if str(told.get("token_type", "")).lower() != "bearer":
        raise BadAnswer("gave a token that is no bearer token")
    refresh = told.get("refresh_token")
    return Tokens(
        access=_token(told.get("access_token"), "access token"),
        lifetime_s=min(_seconds(told, "expires_in", ASSUMED_LIFETIME_S), LONGEST_LIFETIME_S),
        refresh=None if refresh is None else _token(refresh, "refresh token"),
        refresh_lifetime_s=_seconds(told, "refresh_token_expires_in", None),
    )


def read_device_code(answer: Answer) -> DeviceCode | Refused:
    """RFC 8628 §3.2; `verification_url` is what Google calls it. Raises BadAnswer."""
    told = _object(answer)
    if refused := _refused(answer, told):
        return refused
    address = told.get("verification_uri", told.get("verification_url"))
    user_code = told.get("user_code")
    shown = all(isinstance(word, str) and _SHOWN.match(word) for word in (address, user_code))
    if not shown or not str(address).startswith("https://"):
        raise BadAnswer("gave no code, or no address, that can be shown")
    return DeviceCode(
        device_code=_token(told.get("device_code"), "device code"),
        user_code=str(user_code),
        address=str(address),
        lifetime_s=min(_seconds(told, "expires_in", LONGEST_DEVICE_S), LONGEST_DEVICE_S),
        interval_s=max(SHORTEST_POLL_S, min(_seconds(told, "interval", POLL_S), LONGEST_POLL_S)),
    )


def read_redirect(target: str, begun: Begun) -> Secret | Refused | None:
    """Read the address a browser was sent back to: the code, or why there is none (RFC 6749 §4.1.2).

    None for what answers no request of ours: another state, or none.
    """
    try:
        told = parse_qs(urlsplit(target.strip()).query, max_num_fields=20)
    except ValueError:
        return None
    state, code, error = (_only(told, name) for name in ("state", "code", "error"))
    if not compare_digest(state.encode(), begun.state.encode()):
        return None
    if error:
        return Refused(error=error if _ERROR.match(error) else "an error that cannot be shown")
    return Secret(code) if _is_token(code) else None


def _only(told: dict[str, list[str]], name: str) -> str:
    """Give a parameter that stands there once; RFC 6749 §3.1 forbids to repeat one."""
    values = told.get(name, [])
    return values[0] if len(values) == 1 else ""


def _object(answer: Answer) -> dict[str, Any]:
    """Read the body as a JSON object."""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise BadAnswer(f"answered {answer.status}, and not in JSON")
    return told


def _refused(answer: Answer, told: dict[str, Any]) -> Refused | None:
    """Give the refusal, None for what should be good news. 5xx and 429 are an outage whatever they say."""
    error = told.get("error")
    if answer.status >= 500 or answer.status == 429:
        raise BadAnswer(f"answered {answer.status}")
    if error is None and answer.status == 200:
        return None
    if not isinstance(error, str) or not _ERROR.match(error):
        raise BadAnswer(f"answered {answer.status} without a reason")
    if error in _OUTAGES:
        raise BadAnswer(f"answered {answer.status} {error}")
    return Refused(error=error)


def _is_token(value: str) -> bool:
    return len(value) <= TOKEN_OCTETS and _TOKEN.match(value) is not None


def _token(value: object, what: str) -> Secret:
    if not isinstance(value, str) or not _is_token(value):
        raise BadAnswer(f"gave no {what} that can be used")
    return Secret(value)


def _seconds(told: dict[str, Any], key: str, otherwise: T) -> float | T:
    """Read a number of seconds; some providers write it in quotes."""
    value = told.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return otherwise
    return float(value)
