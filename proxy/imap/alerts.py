"""Warnings of an end that comes near, said at sign-in: `* OK [ALERT] …` before the tagged OK. RFC 9051 §7.1.

Mail programs must show an alert to the person, so it is said once a day to each address that an app password
signs in from, and not on each of the five connections that a program opens at its start. What was said is
remembered by this process alone, and forgotten with it. Whether the app password was renewed already is not
looked up for it: the words fit both.
"""

from __future__ import annotations

from typing import Final

from auth.expiring import SOON_S
from auth.recent import Recent
from proxy.failures import House
from proxy.letters.words import day
from scopes.model import Grant, IPAddress

REMEMBERED: Final = 10_000
"""App passwords and addresses; beyond them somebody may be told twice a day."""
AGAIN_S: Final = 86_400.0


class Alerts:
    """What was said lately, and what is to be said."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._said: Recent[tuple[str, IPAddress | None], float] = Recent(most)

    def due(self, grant: Grant, peer: IPAddress | None, house: House, now: float) -> str:
        """Give the alert for a sign-in that is let in now, and take it for said; empty for none."""
        alert = expiry_alert(grant, house, now)
        said_at = self._said.get((grant.app_password_id, peer))
        if not alert or (said_at is not None and 0 <= now - said_at < AGAIN_S):
            return ""
        self._said.put((grant.app_password_id, peer), now)
        return alert


def expiry_alert(grant: Grant, house: House, now: float) -> str:
    """Say that an app password ends within 14 days, in printable ASCII (RFC 9051 §9); else nothing."""
    if grant.expires_at is None or not 0 < grant.expires_at - now <= SOON_S:
        return ""
    called = f'"{grant.label}" ' if _is_plain(grant.label) else ""
    page = house.page
    do = f"renew it at {page}" if page and _is_plain(page) else f"ask whoever runs {house.host} for another"
    what = f"the app-specific password {called}of this app expires on {day(grant.expires_at)}"
    return f"{what}: type in the new one if you have it, else {do}"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
