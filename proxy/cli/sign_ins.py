"""`wicketgate account sign-ins`: who came in by an account's app passwords, and who was refused.

Only a sign-in whose whole secret matched belongs to an account; what strangers guess is not listed here. The
history lies in a file that may be lost without harm, is kept for a month, and is written in batches, so the
last second may be missing.
"""

from __future__ import annotations

from typing import Any, Final

import click

from auth.store.rows import SignInRecord
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk
from proxy.cli.output import Moment, emit, json_option, note, say, table

PAGE: Final = 50
_HEADERS: Final = ("WHEN (UTC)", "OUTCOME", "APP PASSWORD", "SERVICE", "ADDRESS", "CLIENT")


@click.command(name="sign-ins")
@click.argument("email")
@click.option(
    "--limit", type=click.IntRange(min=1), default=PAGE, show_default=True, help="Show so many at most."
)
@json_option
@click.pass_obj
def sign_ins(invocation: Invocation, email: str, limit: int, as_json: bool) -> None:
    """Show the sign-ins of the last 30 days by app passwords of EMAIL, newest first."""
    with Desk(invocation.config()) as desk:
        rows = desk.run(desk.accounts.history(email))
        found: list[SignInRecord] = []
        for account_id in {row.account_id for row in rows}:
            found += desk.run(desk.store.sign_ins(account_id, limit + 1))
    found.sort(key=lambda record: record.at, reverse=True)
    shown, labels = found[:limit], {row.id: row.label for row in rows}
    if as_json:
        emit([sign_in_facts(record, labels) for record in shown])
    elif not shown:
        say("no sign-ins in the last 30 days")
    else:
        table(_HEADERS, [_cells(record, labels) for record in shown])
        if len(found) > limit:
            note("there are older ones; --limit shows more")


def use_facts(record: SignInRecord) -> dict[str, Any]:
    """Give one sign-in as JSON does."""
    return {
        "at": Moment(record.at).iso,
        "outcome": record.outcome,
        "service": record.service.value,
        "client": record.client_name,
        "address": record.peer,
    }


def refused_text(record: SignInRecord | None) -> str:
    """Say when, why, from where and by what client a sign-in was refused; `-` for none."""
    if record is None:
        return "-"
    where = f" from {record.peer}" if record.peer else ""
    client = f" ({record.client_name})" if record.client_name else ""
    return f"{Moment(record.at).text} {record.outcome}{where}{client}"


def sign_in_facts(record: SignInRecord, labels: dict[str, str]) -> dict[str, Any]:
    """Give one object of `account sign-ins --json`."""
    known = record.app_password_id or ""
    return use_facts(record) | {"app_password_id": record.app_password_id, "label": labels.get(known)}


def _cells(record: SignInRecord, labels: dict[str, str]) -> tuple[str, ...]:
    known = record.app_password_id or ""
    return (
        Moment(record.at).text,
        record.outcome,
        labels.get(known, known) or "-",
        record.service.value,
        record.peer or "-",
        record.client_name or "-",
    )
