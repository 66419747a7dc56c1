"""Who has to wait: wrong app passwords by address, wrong primary passwords and codes by count.

An app password cannot be guessed, so its failures are counted per address only, to ration work: a delay of
at most two seconds, and another word for a *wrong* secret from an address that has failed too often. A right
secret is never refused for the failures of others, so nobody can be locked out. The same wrong secret from
one address counts once: a phone that keeps trying an old password does no harm to its neighbours.

Primary passwords and codes are chosen by people and can be guessed. Their counts live in the store, where all
workers see them; here is only the policy. Time comes in; nothing sleeps, and every map has an end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from auth.recent import Recent
from auth.turns import Asker
from scopes.model import IPAddress, Network

DELAY_MOST_S: Final = 2.0
"""The longest any sign-in is held back; clients give up after ten seconds or more."""
DELAY_STEP_S: Final = 0.1
"""Added for each failure beyond the free ones."""
FREE_FAILURES: Final = 10.0
"""Of one address: a family's phones after someone revoked the wrong password."""
LIMIT_FAILURES: Final = 60.0
"""Of one address: beyond it a wrong secret is told that there is too much work."""
SITE_FACTOR: Final = 4.0
"""An IPv6 /48 may fail this many times as often as one /64 in it."""
FORGIVEN_PER_S: Final = 0.1
"""One failure is forgotten every ten seconds, all of a full address in ten minutes."""
KNOWN_WRONG_S: Final = 3_600.0
"""The same wrong secret counts again after an hour."""
DOUBT_S: Final = 600.0
"""After its last wrong secret, a repeated one too, a network is doubted for this long."""
ADDRESSES_MOST: Final = 20_000
WRONG_MOST: Final = 50_000
"""Bounds of the two maps, about 10 MB in all when full; the entry longest unused goes first."""


@dataclass(frozen=True, slots=True)
class _Count:
    failures: float
    at: float

    def left(self, now: float) -> float:
        return max(0.0, self.failures - FORGIVEN_PER_S * max(0.0, now - self.at))


def prefixes(address: IPAddress) -> tuple[Network, ...]:
    """Give the networks failures of `address` are counted for: /32, or /64 and /48.

    An IPv4 address inside IPv6 (`::ffff:…`) counts as IPv4.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    lengths = (64, 48) if isinstance(address, IPv6Address) else (32,)
    return tuple(ip_network((address, length), strict=False) for length in lengths)


def origin(where: str) -> Network | None:
    """Give what takes turns with others for who is at this address; None where it is no address."""
    try:
        return prefixes(ip_address(where))[-1]
    except ValueError:  # the command line, a Unix socket
        return None


class AddressThrottle:
    """Failures of app passwords by address. Times are monotonic seconds; no address (None) never waits."""

    def __init__(self, *, addresses: int = ADDRESSES_MOST, wrong: int = WRONG_MOST) -> None:
        self._counts: Recent[Network, _Count] = Recent(addresses)
        self._wrong: Recent[tuple[Network, bytes], float] = Recent(wrong)
        self._last: Recent[Network, float] = Recent(addresses)

    def failure(self, address: IPAddress | None, secret_digest: bytes, now: float) -> None:
        """Count a wrong secret, known by a keyed digest of name and secret; a repeated one counts once."""
        if address is None:
            return
        networks = prefixes(address)
        for network in networks:
            self._last.put(network, now)
        known = (networks[0], secret_digest)
        counted_at = self._wrong.get(known)
        if counted_at is not None and now - counted_at < KNOWN_WRONG_S:
            return
        self._wrong.put(known, now)
        for network in networks:
            self._counts.put(network, _Count(self._left(network, now) + 1.0, now))

    def delay(self, address: IPAddress | None, now: float) -> float:
        """Seconds to hold back a sign-in from `address` before it costs anything; 0 to 2."""
        return min(DELAY_MOST_S, DELAY_STEP_S * max(0.0, self._load(address, now) - FREE_FAILURES))

    def asker(self, address: IPAddress | None, now: float) -> Asker:
        """Say on whose behalf a sign-in from `address` is looked at.

        A site is one origin. One wrong secret is doubt enough, also the same one again, which costs as much:
        it only means to go behind those who sent none.
        """
        if address is None:
            return Asker()
        networks = prefixes(address)
        failed = [at for network in networks if (at := self._last.get(network)) is not None]
        return Asker(origin=networks[-1], doubted=any(now - at < DOUBT_S for at in failed))

    def over_limit(self, address: IPAddress | None, now: float) -> bool:
        """Tell whether wrong secrets from `address` are to be answered with "too much work"."""
        return self._load(address, now) >= LIMIT_FAILURES

    def _load(self, address: IPAddress | None, now: float) -> float:
        """Failures of the nearest network, or of the wider one by its measure: whichever weighs more."""
        if address is None:
            return 0.0
        near, *wider = prefixes(address)
        return max(self._left(near, now), *(self._left(network, now) / SITE_FACTOR for network in wider), 0.0)

    def _left(self, network: Network, now: float) -> float:
        count = self._counts.get(network)
        return 0.0 if count is None else count.left(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """How failures of primary passwords and codes make the next try wait. Times in seconds."""

    free: int
    """Failures without any wait."""
    lock_after: int
    """From this many on, every try is refused for `lock_s`."""
    lock_s: float
    forget_s: float
    """After this long without a failure the count starts again."""
    forgiven_s: float = math.inf
    """For each time this long since the last failure, the next one counts on from one less."""


PER_ACCOUNT: Final = Ladder(free=3, lock_after=10, lock_s=900.0, forget_s=86_400.0)
"""Waits of 1, 2, 4 … 64 s, then 15 minutes a try: about 100 guesses a day. App passwords are not touched."""
PER_ADDRESS: Final = Ladder(free=20, lock_after=50, lock_s=900.0, forget_s=3_600.0, forgiven_s=120.0)
"""An office shares one address, and mistypes all day; only a sweep over many accounts gets here, with some
450 guesses a day after the first 50."""
STEP_MOST_S: Final = 64.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """The try may go on."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The try is refused unseen."""

    seconds: float
    """Until the next one is looked at; more than 0."""


def primary_verdict(
    failures: int, last_failure_at: float | None, now: float, ladder: Ladder = PER_ACCOUNT
) -> Allowed | Wait:
    """Decide whether a primary password or code may be tried at `now`.

    Times are seconds since 1970-01-01 UTC. A clock set back makes a wait last no longer than it was.
    """
    if last_failure_at is None or now - last_failure_at >= ladder.forget_s or failures < ladder.free:
        return Allowed()
    if failures >= ladder.lock_after:
        wait = ladder.lock_s
    else:
        wait = min(STEP_MOST_S, math.ldexp(1.0, failures - ladder.free))
    left = wait - max(0.0, now - last_failure_at)
    return Wait(left) if left > 0 else Allowed()


def failures_carried(
    failures: int, last_failure_at: float | None, now: float, ladder: Ladder = PER_ACCOUNT
) -> int:
    """Give how many of the stored failures still count; a new one is added to this."""
    if last_failure_at is None or now - last_failure_at >= ladder.forget_s:
        return 0
    return max(0, failures - int(max(0.0, now - last_failure_at) // ladder.forgiven_s))


def failures_counted(
    failures: int, last_failure_at: float | None, now: float, ladder: Ladder
) -> tuple[int, float]:
    """Count one more; gives what to store: the count, and the time it is counted from.

    While there is no wait, what has passed towards the next forgiveness is kept. Else right tries, which are
    counted and taken back, would put it off for ever at a busy address.
    """
    count = failures_carried(failures, last_failure_at, now, ladder) + 1
    if last_failure_at is None or not 1 < count < ladder.free or math.isinf(ladder.forgiven_s):
        return count, now
    return count, now - max(0.0, now - last_failure_at) % ladder.forgiven_s
