"""What accounts have authorised at OAuth 2 providers, as `account show` and `account authorize` tell it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from auth.store.oauth_tokens import TokenRow
from proxy.cli.output import Moment


def authorisation_facts(rows: Iterable[TokenRow]) -> list[dict[str, Any]]:
    """Give them as JSON does; never a token."""
    return [
        {
            "provider": row.provider,
            "updated_at": Moment(row.updated_at).iso,
            "expires_at": Moment(row.expires_at).iso,
            "refused_at": Moment(row.refused_at).iso,
        }
        for row in rows
    ]


def authorisation_text(rows: Iterable[TokenRow]) -> str:
    """Give the same on one line."""
    return ", ".join(f"{row.provider} ({_state(row)})" for row in rows) or "-"


def shown_until(rows: Iterable[TokenRow], provider: str) -> str:
    """Say when what was authorised at a provider ends; empty where it said nothing."""
    ends = [row.expires_at for row in rows if row.provider == provider]
    return "" if not ends or ends[0] is None else Moment(ends[0]).text


def _state(row: TokenRow) -> str:
    if row.refused_at is not None:
        return f"refused since {Moment(row.refused_at).text} UTC: authorize again"
    if row.expires_at is not None:
        return f"until {Moment(row.expires_at).text} UTC"
    return f"renewed {Moment(row.updated_at).text} UTC"
