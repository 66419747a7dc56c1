"""`wicketgate password list` and `password history`: what is active, and what was and why it ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

from auth.store.errors import StoreUnavailable
from auth.store.rows import AppPasswordRow, LastUse, SignInRecord
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted
from proxy.cli.output import Moment, emit, json_option, note, say, table
from proxy.cli.sign_ins import refused_text, use_facts
from proxy.cli.times import DAY_S
from scopes.model import Limits, Scope, in_order

SOON_DAYS: Final = 14
_ACTIVE: Final = (
    "SELECTOR",
    "LABEL",
    "SCOPES",
    "CREATED (UTC)",
    "LAST USED (UTC)",
    "EXPIRES (UTC)",
    "REMARKS",
)
_ALL: Final = (
    "ID",
    "SELECTOR",
    "LABEL",
    "SCOPES",
    "CREATED (UTC)",
    "ENDED (UTC)",
    "WHY",
    "LAST REFUSED (UTC)",
)

Uses = Mapping[str, Sequence[LastUse]] | None
"""The last uses by app password; None when they cannot be read, which is not the same as never used."""
Refused = Mapping[str, SignInRecord] | None
"""The last refusals likewise."""


@click.command(name="list")
@click.argument("email")
@json_option
@click.pass_obj
def list_active(invocation: Invocation, email: str, as_json: bool) -> None:
    """List the active app passwords of EMAIL, with what expires within 14 days."""
    with Desk(invocation.config()) as desk:
        rows = desk.run(desk.accounts.active(email))
        uses = _uses(desk, rows)
    now = time.time()
    if as_json:
        emit([active_facts(row, uses, now) for row in rows])
    elif not rows:
        say("no active app passwords")
    else:
        table(_ACTIVE, [active_cells(row, uses, now) for row in rows])
        soon = [row for row in rows if expires_soon(row, now)]
        if soon:
            say()
            say(f"{counted(len(soon), 'app password')} will expire within {SOON_DAYS} days")


@click.command(short_help="List every app password EMAIL ever had, and what ended it.")
@click.argument("email")
@json_option
@click.pass_obj
def history(invocation: Invocation, email: str, as_json: bool) -> None:
    """List every app password EMAIL ever had, what ended it, and when it was last refused.

    An app that still tries an ended one is seen by its last refusal, from the last 30 days.
    """
    with Desk(invocation.config()) as desk:
        rows = desk.run(desk.accounts.history(email))
        uses, refused = _uses(desk, rows), _refused(desk, rows)
    now = time.time()
    if as_json:
        emit([history_facts(row, uses, refused, now) for row in rows])
    elif not rows:
        say("there never was an app password")
    else:
        table(_ALL, [history_cells(row, refused, now) for row in rows])


def expires_soon(row: AppPasswordRow, now: float) -> bool:
    """Whether an active app password will expire within 14 days."""
    return row.expires_at is not None and now < row.expires_at <= now + SOON_DAYS * DAY_S


def ending(row: AppPasswordRow, now: float) -> tuple[str, int | None, str]:
    """Give state, time and cause of an app password's end: `active`, `revoked` or `expired`.

    What was revoked has ended whatever the clock says now; where it had expired before that, that is its end.
    """
    expires = row.expires_at
    if row.revoked_at is not None:
        if expires is not None and expires < row.revoked_at:
            return "expired", expires, "expired"
        return "revoked", row.revoked_at, row.revoked_why.value if row.revoked_why else "revoked"
    if expires is not None and expires <= now:
        return "expired", expires, "expired"
    return "active", None, ""


def scope_words(scopes: Iterable[Scope]) -> str:
    """Write scopes in their one order: `mail, contacts, events`."""
    return ", ".join(in_order(scopes))


def limit_words(limits: Limits) -> list[str]:
    """Say what narrows an app password beyond its scopes, one limit after the other."""
    words = []
    if limits.read_only:
        words.append("read-only")
    if limits.send_only:
        words.append("send-only")
    if limits.networks:
        words.append("only from " + ", ".join(map(str, limits.networks)))
    return words


def limit_facts(limits: Limits) -> dict[str, Any]:
    """Give the same as fields."""
    return {
        "networks": [str(network) for network in limits.networks],
        "read_only": limits.read_only,
        "send_only": limits.send_only,
    }


def active_cells(row: AppPasswordRow, uses: Uses, now: float) -> tuple[str, ...]:
    """One line of `password list`."""
    expires = "never" if row.expires_at is None else Moment(row.expires_at).text
    created = Moment(row.created_at).text
    return (
        row.selector,
        row.label,
        scope_words(row.scopes),
        created,
        _last_used(row, uses),
        expires,
        _remarks(row, now) or "-",
    )


def history_cells(row: AppPasswordRow, refused: Refused, now: float) -> tuple[str, ...]:
    """One line of `password history`."""
    state, ended, why = ending(row, now)
    cause = "; ".join(part for part in (why or state, _shown(row)) if part)
    return (
        row.id,
        row.selector,
        row.label,
        scope_words(row.scopes),
        Moment(row.created_at).text,
        Moment(ended).text,
        cause,
        "unknown" if refused is None else refused_text(refused.get(row.id)),
    )


def active_facts(row: AppPasswordRow, uses: Uses, now: float) -> dict[str, Any]:
    """One object of `password list --json`."""
    used = None if uses is None else uses.get(row.id, ())
    return {
        "id": row.id,
        "label": row.label,
        "selector": row.selector,
        "scopes": list(in_order(row.scopes)),
        **limit_facts(row.limits),
        "created_at": Moment(row.created_at).iso,
        "created_by": row.created_by,
        "perhaps_never_shown": row.shown_at is None,
        "expires_at": Moment(row.expires_at).iso,
        "expires_soon": expires_soon(row, now),
        "replaces": row.replaces,
        "last_used_at": Moment(used[0].at).iso if used else None,
        "last_used": None if used is None else [_use_facts(use) for use in used],
        "last_used_known": used is not None,
    }


def history_facts(row: AppPasswordRow, uses: Uses, refused: Refused, now: float) -> dict[str, Any]:
    """One object of `password history --json`."""
    state, ended, why = ending(row, now)
    facts = active_facts(row, uses, now)
    if state != "active":
        facts["expires_soon"] = False
    last = None if refused is None else refused.get(row.id)
    return facts | {
        "state": state,
        "ended_at": Moment(ended).iso,
        "ended_why": why or None,
        "last_refused": None if last is None else use_facts(last),
        "last_refused_known": refused is not None,
    }


def _uses(desk: Desk, rows: Sequence[AppPasswordRow]) -> Uses:
    """Give the last uses; None, with a note, when the activity file cannot be read."""
    try:
        return desk.run(desk.store.last_used([row.id for row in rows]))
    except StoreUnavailable:
        note("when they were last used cannot be read now")
        return None


def _refused(desk: Desk, rows: Sequence[AppPasswordRow]) -> Refused:
    """Give the last refusals; None, with a note, when the activity file cannot be read."""
    try:
        return desk.run(desk.store.last_refused({row.account_id for row in rows}))
    except StoreUnavailable:
        note("when they were last refused cannot be read now")
        return None


def _last_used(row: AppPasswordRow, uses: Uses) -> str:
    if uses is None:
        return "unknown"
    used = uses.get(row.id, ())
    return Moment(used[0].at).text if used else "never"


def _use_facts(use: LastUse) -> dict[str, Any]:
    return {
        "at": Moment(use.at).iso,
        "service": use.service.value,
        "client": use.client_name,
        "address": use.peer,
    }


def _remarks(row: AppPasswordRow, now: float) -> str:
    parts = []
    if row.expires_at is not None and expires_soon(row, now):
        days = round((row.expires_at - now) / DAY_S)
        parts.append(f"expires in {counted(days, 'day')}" if days else "expires in less than a day")
    if row.replaces is not None:
        parts.append("not used yet; takes the place of the older one then")
    return "; ".join([*parts, *limit_words(row.limits), *filter(None, [_shown(row)])])


def _shown(row: AppPasswordRow) -> str:
    return "perhaps never shown" if row.shown_at is None else ""
