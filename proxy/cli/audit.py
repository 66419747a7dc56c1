"""`wicketgate audit`: who did what, to which account and app password, when and from where."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import click

from auth.store import queries
from auth.store.rows import AppPasswordRow, AuditEntry
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk
from proxy.cli.output import Moment, emit, json_option, say, table
from proxy.cli.times import since
from scopes.model import in_order

_AT_ONCE: Final = 500
"""Accounts asked for in one statement; SQLite takes some thousands of values."""
_HEADERS: Final = ("WHEN (UTC)", "WHO", "FROM", "ACCOUNT", "WHAT", "APP PASSWORD", "DETAIL")


@click.command()
@click.argument("email", required=False)
@click.option(
    "--since", "start", type=since, metavar="WHEN", help="Only from then on: 30d, 12w or 2026-03-01."
)
@json_option
@click.pass_obj
def audit(invocation: Invocation, email: str | None, start: int | None, as_json: bool) -> None:
    """Show the audit trail, of one account or of all, oldest first."""
    with Desk(invocation.config()) as desk:
        entries = desk.run(desk.accounts.audit(email, start))
        known = _app_passwords(desk, entries) if as_json else {}
    if as_json:
        emit([_facts(entry, known.get(entry.app_password_id or "")) for entry in entries])
    elif not entries:
        say("nothing was done")
    else:
        table(_HEADERS, [_cells(entry) for entry in entries])


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    who = f"{entry.actor_kind} {entry.actor_name}"
    app_password = entry.label or entry.app_password_id or "-"
    detail = entry.detail or "-"
    return (Moment(entry.at).text, who, entry.where, entry.email, entry.deed.value, app_password, detail)


def _app_passwords(desk: Desk, entries: Sequence[AuditEntry]) -> dict[str, AppPasswordRow]:
    """Give the app passwords that entries are about; what one opens never changes, so it is as then."""
    ids = sorted({entry.account_id for entry in entries if entry.app_password_id})
    known: dict[str, AppPasswordRow] = {}
    for start in range(0, len(ids), _AT_ONCE):
        look = partial(queries.app_passwords, account_ids=ids[start : start + _AT_ONCE])
        rows = desk.run(desk.store.read(look))
        known |= {row.id: row for row in rows}
    return known


def _facts(entry: AuditEntry, row: AppPasswordRow | None) -> dict[str, Any]:
    return {
        "at": Moment(entry.at).iso,
        "actor": {"kind": entry.actor_kind, "name": entry.actor_name, "where": entry.where},
        "deed": entry.deed.value,
        "account_id": entry.account_id,
        "email": entry.email,
        "app_password_id": entry.app_password_id,
        "label": entry.label,
        "selector": None if row is None else row.selector,
        "scopes": None if row is None else list(in_order(row.scopes)),
        "networks": None if row is None else [str(network) for network in row.limits.networks],
        "read_only": None if row is None else row.limits.read_only,
        "send_only": None if row is None else row.limits.send_only,
        "expires_at": None if row is None else Moment(row.expires_at).iso,
        "detail": entry.detail,
    }
