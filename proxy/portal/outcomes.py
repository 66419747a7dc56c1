"""What came of a sign-in, in words for its owner: one table from outcome to sentence and advice. Pure.

The table is total over `auth.refusal.Reason`. An advice is empty where there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth.refusal import Reason
from auth.store.rows import GRANTED, AppPasswordRow, SignInRecord
from proxy.portal import words
from proxy.portal.ends import which_ended
from proxy.portal.sentences import Name, Sentence, listed
from scopes.model import Service

Told = tuple[Sentence, str]
"""What happened, and what to do about it."""

_SERVER: Final[Mapping[Service, str]] = MappingProxyType(
    {
        Service.IMAP: "The mail server",
        Service.SUBMISSION: "The server that sends mail",
        Service.DAV: "The server of contacts and events",
    }
)
_WANTED: Final[Mapping[Service, str]] = MappingProxyType(
    {Service.IMAP: "mail", Service.SUBMISSION: "mail", Service.DAV: "contacts or events"}
)
_NEW_OR_OUT: Final = (
    "If you still use that app, give it a new app password, or take the account out of it. "
    "Nobody gets in with this one."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A sign-in, once or often, as a sentence is made of it."""

    record: SignInRecord
    """The newest."""
    row: AppPasswordRow | None
    """Its app password, where that is known."""
    persists: bool
    """Whether it is still being tried."""
    now: float

    @property
    def label(self) -> Sentence:
        """The app password by its label."""
        return Sentence("an app password" if self.row is None else Name(self.row.label))

    @property
    def it(self) -> Sentence:
        """The same, at the beginning of a sentence."""
        return Sentence("An app password") if self.row is None else Sentence("The app password ") + self.label

    @property
    def app(self) -> Sentence:
        """The app, in its owner's words."""
        return words.owner_of(self.record.client_name)

    @property
    def use(self) -> str:
        """What it wanted to do."""
        return words.USE[self.record.service]


def told(case: Case) -> Told:
    """Say what came of it."""
    return _TOLD.get(case.record.outcome, _refused)(case)


def _granted(case: Case) -> Told:
    client = words.client(case.record.client_name)  # here it is let in, so only its own word is given
    return client + Sentence(f" {words.USED[case.record.service]} with ") + case.label + Sentence("."), ""


def _tried(case: Case) -> Sentence:
    return case.app + Sentence(" keeps trying " if case.persists else " tried ") + case.label


def _ended(case: Case) -> Told:
    which = Sentence() if case.row is None else which_ended(case.row, case.now)
    return _tried(case) + (which or Sentence(", which has ended")) + Sentence("."), _NEW_OR_OUT


def _wrong_scope(case: Case) -> Told:
    opens = "something else" if case.row is None else words.opens(case.row.scopes)
    wanted = _WANTED[case.record.service]
    what = case.it + Sentence(f" opens {opens}, not {wanted}. ") + case.app
    return what + Sentence(f" tried to {case.use} with it."), (
        f"Generate one that opens {wanted} for that app."
    )


def _read_only(case: Case) -> Told:
    what = case.it + Sentence(" only reads. ") + case.app + Sentence(" tried to send mail with it.")
    return what, "If that app should send too, generate one for it without “only read”."


def _send_only(case: Case) -> Told:
    what = case.it + Sentence(" only sends. ") + case.app
    return what + Sentence(f" tried to {case.use} with it."), (
        "If that app should read too, generate one for it without “only send”."
    )


def _address(case: Case) -> Told:
    networks = () if case.row is None else case.row.limits.networks
    within = listed(map(str, networks)) if networks else "other networks"
    place = case.record.peer or "somewhere without an address"
    what = case.it + Sentence(f" is good from {within} only. It was tried from {place}.")
    return what, "If that was not you, somebody else has it: revoke it and generate another."


def _unavailable(case: Case) -> Told:
    what = Sentence(f"{_SERVER[case.record.service]} did not answer.")
    return what, "Nothing is wrong with your app passwords, and apps try again by themselves."


def _upstream_refused(case: Case) -> Told:
    what = Sentence(f"{_SERVER[case.record.service]} did not let Wicketgate in for you.")
    return what, "Nothing is wrong with your app passwords. See what Connections says of that server."


def _fault(case: Case) -> Told:
    what = case.app + Sentence(" was not let in, because something went wrong here.")
    return what, "Your app did nothing wrong. If it goes on, tell whoever runs this server."


def _disabled(case: Case) -> Told:
    return _tried(case) + Sentence(" while your account was disabled."), ""


def _refused(case: Case) -> Told:
    return _tried(case) + Sentence(" and was not let in."), ""


_TOLD: Final[Mapping[str, Callable[[Case], Told]]] = MappingProxyType(
    {
        GRANTED: _granted,
        Reason.BAD_CREDENTIALS: _disabled,  # the whole secret matched, or it would be in nobody's history
        Reason.NOT_APP_PASSWORD: _refused,  # in nobody's history
        Reason.REVOKED: _ended,
        Reason.EXPIRED: _ended,
        Reason.WRONG_SCOPE: _wrong_scope,
        Reason.READ_ONLY: _read_only,
        Reason.SEND_ONLY: _send_only,
        Reason.ADDRESS_NOT_ALLOWED: _address,
        Reason.TOO_MUCH_WORK: _refused,  # in nobody's history
        Reason.UNAVAILABLE: _unavailable,
        Reason.UPSTREAM_REFUSED: _upstream_refused,
        Reason.BUG: _fault,
    }
)
