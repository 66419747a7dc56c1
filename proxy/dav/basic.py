"""Credentials of a request: Basic (RFC 7617), read strictly. Pure; nothing is verified here.

The user's name is UTF-8, as our challenge says, and ends at the first colon. What is not of this form is no
credentials at all: the client is asked for some, and no gate is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from auth import sasl
from proxy.dialog import client_name
from proxy.entrance import Asked

_BASIC: Final = re.compile(r"(?i:basic) +([A-Za-z0-9+/]+=*)")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")  # RFC 7617 §2: in neither


def asked(fields: Mapping[str, str]) -> Asked | None:
    """Give whom a request says it comes from; None when it does not say so in our form."""
    found = _BASIC.fullmatch(fields.get("authorization", ""))
    if found is None:
        return None
    try:
        octets = sasl.decode_base64(found[1].encode("ascii"))
        name, colon, secret = octets.partition(b":")
        if not colon or _CONTROL.search(octets):
            return None
        known = sasl.credentials(name, secret)
    except sasl.SaslError:
        return None
    return Asked(name=known.name, secret=known.secret)


def introduced(asked: Asked, fields: Mapping[str, str]) -> Asked:
    """Give the same with what the client calls itself, for the history: not needed for every request."""
    return replace(asked, client_name=agent(fields))


def agent(fields: Mapping[str, str]) -> str:
    """Give what the client calls itself; empty when it does not say."""
    return client_name(fields.get("user-agent", "").encode("latin-1"))
