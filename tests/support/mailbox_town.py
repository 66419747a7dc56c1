"""People whose primary passwords a mail server keeps, and what they do first in every test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from auth.accounts import Actor, Fresh
from auth.secret import Secret
from auth.store.rows import ChangeKind
from support.mailboxes import Mailboxes, Stopwatch
from support.office import OPERATOR, PRIMARY, Office, office

ALICE = "alice@example.org"
CAROL = "carol@elsewhere.net"
NOBODY = "nobody@example.org"
WHERE = "192.0.2.7"
OWNER = Actor(kind="owner", name=ALICE, where=WHERE)
NEW = Secret("changed at the mail server")
WRONG = Secret("wrong horse battery")
NO_CODE = Secret("000000")


@asynccontextmanager
async def town(folder: Path, mailboxes: Mailboxes | None = None) -> AsyncIterator[tuple[Office, Mailboxes]]:
    """An office beside a mail server where Alice has a mailbox."""
    there = mailboxes or Mailboxes(passwords={ALICE: PRIMARY})
    async with office(folder, primaries=there, floor=Stopwatch().floor()) as here:
        yield here, there


async def settled(here: Office) -> None:
    """Let Alice be a person who has signed in before: her password is known, her second factor enrolled."""
    await here.accounts.add(ALICE, primary=None, actor=OPERATOR)
    await here.enrol(ALICE)
    await sign_in(here, PRIMARY)
    here.clock.now += 60


async def sign_in(here: Office, primary: Secret) -> Fresh:
    begun = await here.accounts.portal.begin(ALICE, primary, WHERE)
    opened = await here.accounts.portal.answer(begun.token, here.code(ALICE), WHERE)
    return Fresh(token=opened.token)


async def last(here: Office) -> tuple[ChangeKind, str]:
    entry = (await here.accounts.audit(ALICE))[-1]
    return entry.deed, entry.detail
