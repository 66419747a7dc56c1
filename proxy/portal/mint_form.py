"""The form of a new app password: read whole, with every mistake at its field. Pure.

Values come from a browser, so any of them may be missing, doubled or made up. What was typed is given back
for the form to be shown again; it holds no secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import ip_interface, ip_network
from typing import Final, Self

from auth.checks import LABEL_CHARS, check_limits, checked_label
from auth.deed import AccountError, MintRequest, Problem
from auth.secret import Secret
from proxy.portal.sentences import DAY_S
from scopes.model import Limits, Network, Scope

EXPIRIES: Final = (
    ("", "never"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("180", "in 180 days"),
    ("365", "in 365 days"),
)
"""Days from now, and how they are called."""
MAY: Final = (
    ("all", "read, change and send"),
    ("read", "only read: it changes nothing and sends nothing"),
    ("send", "only send: it reads nothing; for printers and scripts"),
)
SCOPES: Final = (
    (Scope.MAIL, "mail", "to read and to send it"),
    (Scope.CONTACTS, "contacts", "address books"),
    (Scope.EVENTS, "events", "calendars and tasks"),
)
"""What there is to open."""
NETWORKS_MOST: Final = 16
"""More than anybody types; each is looked at in every sign-in."""
_TEXT_CHARS: Final = 1_000

FIELD_OF: Final[Mapping[Problem, str]] = {
    Problem.BAD_LABEL: "label",
    Problem.LABEL_TAKEN: "label",
    Problem.NO_SCOPES: "opens",
    Problem.BAD_LIMITS: "may",
    Problem.BAD_EXPIRY: "expires",
    Problem.TOO_MANY_APP_PASSWORDS: "",
}
"""Where in the form a deed's complaint belongs; a full house is about none of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintForm:
    """What was typed and chosen."""

    label: str = ""
    opens: tuple[str, ...] = ()
    expires: str = ""
    may: str = "all"
    networks: str = ""

    @classmethod
    def kept(cls, kept: Secret) -> Self:
        """Read what `to_keep` wrote."""
        typed = json.loads(kept.reveal())
        return cls(**(typed | {"opens": tuple(typed["opens"])}))

    def to_keep(self) -> Secret:
        """Write it down, to be shown again later."""
        return Secret(json.dumps(asdict(self)))


@dataclass(slots=True)
class _Read:
    """What a form is read to, and what is wrong with it by field."""

    errors: dict[str, str] = field(default_factory=dict)
    scopes: frozenset[Scope] = frozenset()
    networks: tuple[Network, ...] = ()


def filled(form: Mapping[str, str], lists: Mapping[str, Sequence[str]]) -> MintForm:
    """Take what a browser sent, as far as it can be shown again."""
    return MintForm(
        label=form.get("label", "")[:_TEXT_CHARS],
        opens=tuple(scope for scope in Scope if scope in lists.get("opens", ())),
        expires=form.get("expires", ""),
        may=form.get("may", "all"),
        networks=form.get("networks", "")[:_TEXT_CHARS],
    )


def asked(form: MintForm, now: float) -> MintRequest | dict[str, str]:
    """Give what is to be made, or what is wrong, by field."""
    read = _Read()
    label = _label(form.label, read)
    read.scopes = frozenset(map(Scope, form.opens))
    if not read.scopes:
        read.errors["opens"] = "Choose what it opens: at least one."
    expires_at = expiry(form.expires, now, read.errors)
    limits = _limits(form, read)
    if read.errors or limits is None:
        return read.errors
    return MintRequest(label=label, scopes=read.scopes, expires_at=expires_at, limits=limits)


def expiry(chosen: str, now: float, errors: dict[str, str]) -> int | None:
    """Give the end that was chosen; None for never."""
    if chosen not in dict(EXPIRIES):
        errors["expires"] = "Choose one of these."
        return None
    return int(now) + int(chosen) * DAY_S if chosen else None


def said(error: AccountError) -> str:
    """Say a complaint of the deed as sentences."""
    return " ".join(f"{words[0].upper()}{words[1:]}." for words in (error.message, error.hint))


def _label(typed: str, read: _Read) -> str:
    try:
        return checked_label(typed)
    except AccountError as error:
        what = f"Name the app or the device it is for, in 1 to {LABEL_CHARS} characters."
        read.errors["label"] = said(error) if typed.strip() else what
        return ""


def _limits(form: MintForm, read: _Read) -> Limits | None:
    networks = _networks(form.networks, read)
    if form.may not in dict(MAY):
        read.errors["may"] = "Choose one of these."
        return None
    limits = Limits(networks=networks, read_only=form.may == "read", send_only=form.may == "send")
    try:
        check_limits(limits, read.scopes)
    except AccountError as error:
        read.errors["may"] = said(error)
    return limits


def _networks(typed: str, read: _Read) -> tuple[Network, ...]:
    words = typed.replace(",", " ").replace(";", " ").split()
    found: dict[Network, None] = {}
    for word in words[: NETWORKS_MOST + 1]:
        network, complaint = _network(word)
        if network is None:
            read.errors["networks"] = complaint
            return ()
        found[network] = None
    if len(words) > NETWORKS_MOST:
        read.errors["networks"] = f"At most {NETWORKS_MOST} networks."
    return tuple(found)


def _network(word: str) -> tuple[Network | None, str]:
    """Read an address or a network such as `192.0.2.0/24`; give it, or what is wrong."""
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        network = None
    if network is None or "%" in word:
        return None, f"{word[:50]} is no address and no network. Write them as in 192.0.2.0/24."
    if ip_interface(word).ip != network.network_address:
        return None, f"{word} is an address within a network. Write {network}, or the address alone."
    return network, ""
