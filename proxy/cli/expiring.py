"""`wicketgate password expiring`: what will end soon, of all accounts."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from auth.expiring import expires_within
from auth.store.expiring import Expiring
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk
from proxy.cli.output import Moment, emit, json_option, say, table
from proxy.cli.password_lists import SOON_DAYS, scope_words
from proxy.cli.times import span_seconds
from scopes.model import in_order

_COLUMNS: Final = ("EMAIL", "SELECTOR", "LABEL", "SCOPES", "EXPIRES (UTC)", "REMARKS")


def _span(text: str) -> int:
    """Read days or weeks, in seconds. Raises click.BadParameter."""
    seconds = span_seconds(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is no span of time; write days or weeks: 14d or 2w")
    return seconds


@click.command(short_help="List what will expire soon, of all accounts.")
@click.option(
    "--within", type=_span, default=f"{SOON_DAYS}d", show_default=True, metavar="SPAN", help="As 14d or 2w."
)
@json_option
@click.pass_obj
def expiring(invocation: Invocation, within: int, as_json: bool) -> None:
    """List the app passwords of all enabled accounts that will expire soon, the next one first.

    Their owners are warned 14, 3 and 1 days before where the config has [mail]; those of service accounts
    are not, for nobody reads their mail.
    """
    now = time.time()
    with Desk(invocation.config()) as desk:
        found = desk.run(desk.store.read(lambda tx: expires_within(tx, now, within)))
    if as_json:
        emit([_facts(each) for each in found])
    elif not found:
        say("nothing expires within that time")
    else:
        table(_COLUMNS, [_cells(each) for each in found])


def _facts(each: Expiring) -> dict[str, Any]:
    row = each.row
    return {
        "email": each.email,
        "kind": "service" if each.is_service else "person",
        "id": row.id,
        "label": row.label,
        "selector": row.selector,
        "scopes": list(in_order(row.scopes)),
        "expires_at": Moment(row.expires_at).iso,
        "renewed": each.renewed,
    }


def _cells(each: Expiring) -> tuple[str, ...]:
    row = each.row
    remarks = [
        *(["service account"] if each.is_service else []),
        *(["renewed, its successor was not used yet"] if each.renewed else []),
    ]
    end = Moment(row.expires_at).text
    return each.email, row.selector, row.label, scope_words(row.scopes), end, "; ".join(remarks) or "-"
