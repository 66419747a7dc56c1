"""A new app password on standard output, once.

It was committed before. It is printed and flushed, and only then noted as shown.
"""

from __future__ import annotations

from typing import Any, Final

from auth.accounts import Minted
from auth.names import canonical
from auth.store.errors import StoreUnavailable
from proxy.cli.desk import Desk
from proxy.cli.output import Moment, OutputLost, abandon_output, emit, fail, finish_output, note, plain, say
from proxy.cli.password_lists import limit_facts, limit_words, scope_words
from scopes.model import in_order

_NOT_SHOWN_HINT: Final = "it is listed as perhaps never shown; revoke it by its id and create another"


def show_once(desk: Desk, email: str, minted: Minted, *, as_json: bool) -> None:
    """Print what was committed, flush it, then note that it was shown."""
    try:
        if as_json:
            emit(_facts(minted))
        else:
            _print(email, minted)
        shown = finish_output()
    except (OSError, OutputLost):
        abandon_output()
        shown = False
    if not shown:
        fail(f"app password {minted.id} was created and could not be shown", _NOT_SHOWN_HINT)
    try:
        desk.run(desk.accounts.mark_shown(minted.id))
    except StoreUnavailable:
        note("the password is good, but the store did not take the note that it was shown")


def tell_of_change(desk: Desk, minted: Minted) -> None:
    """Say what ended because the primary password was another one than before, once it is cut."""
    if minted.revocation is None:
        return
    cut = desk.cut(minted.revocation)
    note(f"the primary password was changed at the mail server; {cut.text}")
    cut.warn()


def _print(email: str, minted: Minted) -> None:
    """Show an app password to a person."""
    until = [] if minted.expires_at is None else [f"until {Moment(minted.expires_at).text} UTC"]
    may = "; ".join([scope_words(minted.scopes), *limit_words(minted.limits), *until])
    say(f"{plain(minted.label)} ({may}), signing in as {plain(canonical(email) or email)}:")
    say("")
    say(f"    {minted.password.reveal()}")
    say("")
    say("It is not shown again. Hyphens, spaces and capitals do not matter when it is typed.")


def _facts(minted: Minted) -> dict[str, Any]:
    facts = {
        "id": minted.id,
        "label": minted.label,
        "selector": minted.selector,
        "scopes": list(in_order(minted.scopes)),
        **limit_facts(minted.limits),
        "expires_at": Moment(minted.expires_at).iso,
        "password": minted.password.reveal(),
    }
    if minted.old_ends_at is not None:
        facts["old_ends_at"] = Moment(minted.old_ends_at).iso
    return facts
