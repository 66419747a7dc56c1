"""`wicketgate audit`: who did what, to which account and app password, when and from where."""

from __future__ import annotations

from typing import Any, Final

import click

from auth.store.rows import AuditEntry
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk
from proxy.cli.output import Moment, emit, json_option, say, table
from proxy.cli.times import since

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
    if as_json:
        emit([_facts(entry) for entry in entries])
    elif not entries:
        say("nothing was done")
    else:
        table(_HEADERS, [_cells(entry) for entry in entries])


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    who = f"{entry.actor_kind} {entry.actor_name}"
    app_password = entry.label or entry.app_password_id or "-"
    detail = entry.detail or "-"
    return (Moment(entry.at).text, who, entry.where, entry.email, entry.deed.value, app_password, detail)


def _facts(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": Moment(entry.at).iso,
        "actor": {"kind": entry.actor_kind, "name": entry.actor_name, "where": entry.where},
        "deed": entry.deed.value,
        "account_id": entry.account_id,
        "email": entry.email,
        "app_password_id": entry.app_password_id,
        "label": entry.label,
        "detail": entry.detail,
    }
