"""`wicketgate account invite`: one-time links by which people come to the portal for the first time.

Where the config has [mail] they go out by mail, sent by the gate while it serves; else they are printed here,
and whoever reads them can come in as that person. A link is printed as soon as it is good, one a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypedDict, Unpack

import click

from auth.deed import AccountError
from auth.invitations import Invited
from config.models import Config
from proxy.cli.app import Invocation
from proxy.cli.desk import Desk, counted, operator
from proxy.cli.output import Moment, emit, fail_usage, json_option, note, say
from proxy.letters.words import invitation_link


class InviteOptions(TypedDict):
    """The options of `account invite`."""

    everybody: bool
    again: bool
    printed: bool
    as_json: bool


@click.command(short_help="Send or print one-time links to the portal.")
@click.argument("email", required=False)
@click.option("--all", "everybody", is_flag=True, help="Everybody without a second factor and an invitation.")
@click.option("--again", is_flag=True, help="With --all: also those whose invitation is good; it ends.")
@click.option("--print", "printed", is_flag=True, help="Print the links, and send no mail.")
@json_option
@click.pass_obj
def invite(invocation: Invocation, email: str | None, **options: Unpack[InviteOptions]) -> None:
    """Invite EMAIL, or --all: by a link that is good once, for 72 hours.

    Whoever opens it sets the primary password, or proves the one of the mailbox, and enrols a second factor.
    By mail where the config has [mail]; otherwise the links are printed, for you to hand over. A new link
    ends the one before.
    """
    if (email is None) == (not options["everybody"]):
        raise click.UsageError("say EMAIL or --all, and not both")
    if options["again"] and email is not None:
        raise click.UsageError("--again goes with --all; who is named is invited in any case")
    config = invocation.config()
    url = _portal(config)
    by_mail = config.mail is not None and not options["printed"]
    facts = []
    with Desk(config) as desk:
        meant, still = ((email,), ()) if email is not None else _everybody(desk, again=options["again"])
        for invited in _invitations(desk, meant, by_mail=by_mail, pass_over=email is None):
            link = None if by_mail else invitation_link(url, invited.token).reveal()
            facts.append(_facts(invited, link))
            if link is not None and not options["as_json"]:
                say(f"{invited.account.email}  {link}")
    if options["as_json"]:
        emit({"invited": facts, "still_invited": list(still)})
        return
    if not facts:
        say("nobody is to be invited")
    elif by_mail:
        whom = facts[0]["email"] if len(facts) == 1 else f"{len(facts)} people"
        say(f"invited {whom} by mail; it goes out while the gate serves")
    if still:
        earlier = counted(len(still), "earlier invitation")
        note(f"{earlier} still good and not sent again; --again makes new ones")


def _portal(config: Config) -> str:
    """Give the portal's address; without one an invitation leads nowhere."""
    if config.portal_url is None:
        hint = "write listen.portal, or portal.host beside listen.https, or server.portal_url"
        fail_usage("there is no portal to invite to", hint)
    return config.portal_url


def _everybody(desk: Desk, *, again: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give who is to be invited, and who is left with an invitation that is good."""
    found = desk.run(desk.accounts.invitations.all_to_invite())
    if again:
        return tuple(sorted((*found.without, *found.invited))), ()
    return found.without, found.invited


def _invitations(desk: Desk, emails: Iterable[str], *, by_mail: bool, pass_over: bool) -> Iterator[Invited]:
    """Invite one after the other. With `pass_over`, who came in or went in the same moment is left out."""
    for email in emails:
        try:
            yield desk.run(desk.accounts.invitations.invite(email, operator(), by_mail=by_mail))
        except AccountError as error:
            if not pass_over:
                raise
            note(f"{email} is not invited: {error}")


def _facts(invited: Invited, link: str | None) -> dict[str, Any]:
    return {
        "email": invited.account.email,
        "expires_at": Moment(invited.expires_at).iso,
        "by_mail": link is None,
        "link": link,
    }
