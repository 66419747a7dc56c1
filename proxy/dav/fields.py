"""Which header fields pass, in both directions: allow-lists, for what is not known cannot be trusted.

Neither the client's credentials, cookies and claims about itself go upstream, nor the server's cookies,
challenges and versions to the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from proxy.dav.ports import Fields

# RFC 9110, RFC 6638 §8.1 (Schedule-Reply). Depth, Destination, If and the like are made by the wall. No
# Accept-Encoding: bodies are looked at on their way. No Prefer: it changes what an answer holds.
_REQUEST: Final = (
    "accept",
    "accept-language",
    "if-modified-since",
    "if-unmodified-since",
    "schedule-reply",
    "user-agent",
)

# RFC 9110; RFC 6638 §8.2.
_RESPONSE: Final = frozenset(
    {
        "accept-ranges",
        "content-disposition",
        "content-language",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "location",
        "schedule-tag",
    }
)


def for_upstream(fields: Mapping[str, str]) -> Fields:
    """Give the fields of a client's request that go upstream as they are."""
    return tuple((name, fields[name]) for name in _REQUEST if name in fields)


def for_client(fields: Iterable[tuple[str, str]]) -> Fields:
    """Give the fields of the server's answer that may reach a client; the wall still rewrites Location."""
    return tuple((name, value) for name, value in fields if name in _RESPONSE)


def is_encoded(fields: Iterable[tuple[str, str]]) -> bool:
    """Whether the server has coded its body though nobody offered to decode it (RFC 9110 §8.4)."""
    return any(
        name == "content-encoding" and value.strip().lower() not in ("", "identity") for name, value in fields
    )
