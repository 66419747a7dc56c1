"""One OAuth 2 provider, and the one request that can be made to it: a form by POST, answered by JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from auth.secret import Secret


class Flow(StrEnum):
    """How a person lets the gate in: with a code shown here, or in a browser that is sent back here."""

    DEVICE = "device"
    """RFC 8628."""
    BROWSER = "browser"
    """RFC 6749 §4.1 with RFC 7636 and RFC 8252."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where a provider is, and what it knows us as."""

    name: str
    """As in `[oauth2.NAME]`."""
    token_endpoint: str
    authorization_endpoint: str | None = None
    device_endpoint: str | None = None
    scopes: tuple[str, ...]
    client_id: str
    client_secret: Secret | None = None
    """None for a public client."""
    redirect_host: Literal["127.0.0.1", "localhost"] = "127.0.0.1"
    """RFC 8252 §8.3 advises the address; Microsoft leaves the port open for the name alone."""
    asked_for: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What else the provider wants to hear before it gives a refresh token."""

    @property
    def flows(self) -> tuple[Flow, ...]:
        """What it offers, the one to be preferred first."""
        offered = ((Flow.BROWSER, self.authorization_endpoint), (Flow.DEVICE, self.device_endpoint))
        return tuple(flow for flow, endpoint in offered if endpoint is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A form to be sent to an endpoint. It may hold secrets."""

    url: str
    form: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whole. It may hold secrets."""

    status: int
    body: bytes = field(repr=False)


Post = Callable[[Request], Awaitable[Answer]]
"""Makes one request. Raises `UpstreamFailure` when no whole answer comes."""
