"""The values of a roster, each row checked by itself and all against each other. Pure.

What is wrong is told with the line of its row and the column, all of it at once. Values are repeated only
where they are known to be no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from auth.checks import checked_alias, checked_email
from auth.deed import AccountError
from auth.identities import check_login, check_secret
from auth.roster import Fault, Roster, Row, Upstream
from auth.secret import Secret
from scopes.model import Identity, IdentityKind, Service

T = TypeVar("T")

_COLUMNS: Final[Mapping[Service, str]] = {
    Service.IMAP: "imap_login, imap_secret",
    Service.SUBMISSION: "smtp_login, smtp_secret",
}


class Logins(Protocol):
    """How the config calls accounts at the servers behind."""

    def __call__(self, email: str, service: Service) -> str:
        """Give the login there. Raises AccountError where nothing can be set for this service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who somebody is to be at one server behind."""

    identity: Identity
    secret: Secret | None
    """For the kind `stored` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A row with its values as they are stored."""

    line: int
    email: str
    aliases: tuple[str, ...]
    upstream: Mapping[Service, Told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All rows that are right, and what is wrong with the others."""

    rows: tuple[Wanted, ...]
    faults: tuple[Fault, ...]


def checked(roster: Roster, logins: Logins) -> Checked:
    """Check every row."""
    faults = list(roster.faults)
    rows: list[Wanted] = []
    first: dict[str, int] = {}
    for row in roster.rows:
        found = _Row(row, logins).values(faults)
        if found is None:
            continue
        rows.append(found)
        for name in (found.email, *found.aliases):
            if (line := first.setdefault(name, row.line)) != row.line:
                what = f"{name} stands in line {line} already"
                faults.append(Fault(line=row.line, what=what, hint="take it out of one of the two"))
    return Checked(rows=tuple(rows), faults=tuple(faults))


@dataclass(slots=True)
class _Row:
    """One row being checked."""

    row: Row
    logins: Logins
    faults: list[Fault] = field(default_factory=list)

    def values(self, faults: list[Fault]) -> Wanted | None:
        """Give its values, or add to `faults` all that is wrong with them."""
        row = self.row
        email = self._tried("email", partial(checked_email, row.email))
        aliases = {self._tried("aliases", partial(checked_alias, alias)) for alias in row.aliases}
        upstream = {}
        if email is not None:
            for service, told in row.upstream.items():
                found = self._tried(_COLUMNS[service], partial(self._told, email, service, told))
                if found is not None:
                    upstream[service] = found
        faults += self.faults
        if self.faults or email is None:
            return None
        others = tuple(sorted(alias for alias in aliases if alias is not None and alias != email))
        return Wanted(line=row.line, email=email, aliases=others, upstream=upstream)

    def _told(self, email: str, service: Service, told: Upstream) -> Told:
        usual = self.logins(email, service)
        identity = Identity(
            login=told.login or usual,
            kind=IdentityKind.LOGIN if told.secret is None else IdentityKind.STORED,
        )
        check_login(identity.login)
        check_secret(told.secret)
        return Told(identity=identity, secret=told.secret)

    def _tried(self, column: str, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except AccountError as error:
            what = f"{column}: {error.message}"
            if all(fault.what != what for fault in self.faults):
                self.faults.append(Fault(line=self.row.line, what=what, hint=error.hint))
        return None
