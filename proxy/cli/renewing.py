"""`wicketgate password renew`: a successor, shown once as `password create` does."""

from __future__ import annotations

import time
from typing import Final, TypedDict, Unpack

import click

from auth.minting import may_have_one
from auth.renewing import to_renew, usual_end
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk
from proxy.cli.output import Moment, json_option, note
from proxy.cli.showing import show_once
from proxy.cli.times import expiry
from proxy.cli.vouching import Vouching, proof_options

_NEVER: Final = "never"


class RenewOptions(TypedDict):
    """The options of `password renew`."""

    expires: int | str | None
    primary_file: str | None
    code: str | None
    as_operator: bool
    as_json: bool


def _end(text: str) -> int | str:
    """Read when the successor ends. Raises click.BadParameter."""
    return text if text == _NEVER else expiry(text)


@click.command(short_help="Make a successor of an app password that will expire.")
@click.argument("email")
@click.argument("which", metavar="ID-LABEL-OR-SELECTOR")
@click.option(
    "--expires",
    type=_end,
    metavar="WHEN",
    help="30d, 12w, a date such as 2027-03-01 (UTC), or never. Without it, as long as the old one was given.",
)
@proof_options
@json_option
@click.pass_obj
def renew(invocation: Invocation, email: str, which: str, **options: Unpack[RenewOptions]) -> None:
    """Make a successor of an app password of EMAIL that will expire, and show it, once.

    It has the same label, scopes and limits. The old one works until the new one is first used, at most 7
    days past its end. Proof is asked for as in password create.
    """
    vouching = Vouching(options["primary_file"], options["code"], options["as_operator"])
    with Desk(invocation.config()) as desk:
        account = desk.run(desk.accounts.find(email))
        may_have_one(account)
        now = time.time()
        old = to_renew(desk.run(desk.accounts.history(account.email)), which.strip(), account.email, now)
        said = options["expires"]
        end = usual_end(old, now) if said is None else said if isinstance(said, int) else None
        actor, proof = vouching.who(account, email)
        minted = desk.run(desk.accounts.renew(email, old.id, end, actor, proof))
        show_once(desk, email, minted, as_json=options["as_json"])
        latest = Moment(minted.old_ends_at).text
        note(f"the old one ends when this one is first used, and on {latest} UTC at the latest")
