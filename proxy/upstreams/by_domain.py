"""The upstream of each account, by the domain of its primary email."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from proxy.upstreams.origin import Origin
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant

R_co = TypeVar("R_co", covariant=True)


class Upstream(Protocol[R_co]):
    """One upstream of a mail protocol."""

    async def sign_in(self, grant: Grant, origin: Origin | None) -> R_co:
        """Sign in for the grant's account, whose client came from `origin`. Raises `UpstreamFailure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDomain(Generic[R_co]):
    """All upstreams of one protocol."""

    usual: Upstream[R_co] | None
    """For domains that have none of their own; None: such accounts are not served."""
    by_domain: Mapping[str, Upstream[R_co]]
    """By domain in ASCII and lower case."""

    async def sign_in(self, grant: Grant, origin: Origin | None) -> R_co:
        """Sign in at the account's own upstream. Raises `UpstreamFailure`.

        Without an `origin` there is no client: the gate signs in for itself.
        """
        domain = domain_of(grant.email)
        upstream = self.by_domain.get(domain, self.usual)
        if upstream is None:
            raise UpstreamFailure(f"no server behind is named for the domain {domain or '(none)'}")
        return await upstream.sign_in(grant, origin)


def domain_of(email: str) -> str:
    """Give the domain of an address as the config writes it, an international one in its xn-- form.

    Of a name without @ it is empty. No label is mapped to another (RFC 5891 §4.4, §5.5): `straße.example` and
    `strasse.example` are two domains, and may be two owners.
    """
    labels = email.rpartition("@")[2].lower().split(".") if "@" in email else []
    return ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}" for label in labels
    )
