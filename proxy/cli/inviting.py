"""`wicketgate account invite`: one-time links by which people come to the portal for the first time.

Where the config has [mail] they go out by mail, sent by the gate while it serves; else they are printed here,
and whoever reads them can come in as that person. A link is printed as soon as it is good, one a line.
"""

from __future__ import annotations

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
    _Round(url, by_mail=by_mail, as_json=options["as_json"]).go(config, email, again=options["again"])


def _portal(config: Config) -> str:
    """Give the portal's address; without one an invitation leads nowhere."""
    if config.portal_url is None:
        hint = "write listen.portal, or portal.host beside listen.https, or server.portal_url"
        fail_usage("there is no portal to invite to", hint)
    return config.portal_url


class _Round:
    """One round of invitations."""

    def __init__(self, url: str, *, by_mail: bool, as_json: bool) -> None:
        self._url = url
        self._by_mail = by_mail
        self._as_json = as_json
        self._facts: list[dict[str, Any]] = []

    def go(self, config: Config, email: str | None, *, again: bool) -> None:
        """Invite whoever is meant, and say so."""
        still: tuple[str, ...] = ()
        with Desk(config) as desk:
            if email is not None:
                invited = desk.run(self._one(desk, email))
                email = invited.account.email
                self._tell(invited)
            else:
                found = desk.run(desk.accounts.invitations.all_to_invite())
                wanted, still = (found.without, found.invited)
                if again:
                    wanted, still = tuple(sorted((*wanted, *still))), ()
                for each in wanted:
                    self._one_of_many(desk, each)
        if self._as_json:
            emit({"invited": self._facts, "still_invited": list(still)})
        elif self._by_mail:
            self._conclude(email)
        elif not self._facts:
            say("nobody is to be invited")
        if still and not self._as_json:
            note(
                f"{counted(len(still), 'invitation')} of before not used yet and good; --again makes new ones"
            )

    async def _one(self, desk: Desk, email: str) -> Invited:
        return await desk.accounts.invitations.invite(email, operator(), by_mail=self._by_mail)

    def _one_of_many(self, desk: Desk, email: str) -> None:
        """Invite one; who came in or went in the same moment is passed over."""
        try:
            self._tell(desk.run(self._one(desk, email)))
        except AccountError as error:
            note(f"{email} is not invited: {error}")

    def _tell(self, invited: Invited) -> None:
        link = None if self._by_mail else invitation_link(self._url, invited.token).reveal()
        self._facts.append(
            {
                "email": invited.account.email,
                "expires_at": Moment(invited.expires_at).iso,
                "by_mail": self._by_mail,
                "link": link,
            }
        )
        if link is not None and not self._as_json:
            say(f"{invited.account.email}  {link}")

    def _conclude(self, email: str | None) -> None:
        whom = counted(len(self._facts), "person") if email is None else email
        if len(self._facts) != 1 and email is None:
            whom = f"{len(self._facts)} people"
        say(f"invited {whom} by mail; it goes out while the gate serves")
