"""Whose mailbox an address is: asked by the delivery child, answered by its parent, which has the store.

A question is `NUMBER ADDRESS`, its answer `NUMBER nobody`, `elsewhere`, `later` or `account EMAIL`, one line
each. The number joins the two: an answer that is late or missing never becomes the answer to another
question. Only addresses in the form of `auth.names.email_address` are asked about, so no question holds a
line end. Whatever goes wrong is `later`: an outage must not look like an address that does not exist.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from auth.fault import fault
from auth.names import canonical, email_address
from proxy.limits import EMBEDDED_ANSWER_S, EMBEDDED_LOOKUP_S

_LOG: Final = logging.getLogger("wicketgate.embedded")


class Found(StrEnum):
    """What became of a look-up."""

    ACCOUNT = "account"
    NOBODY = "nobody"
    """The domain is one of ours, the address is nobody's."""
    ELSEWHERE = "elsewhere"
    """No account has an address in that domain."""
    LATER = "later"
    """It could not be found out."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets what is sent to an address."""

    found: Found
    email: str = ""
    """The account's email where there is one: it names the mailbox."""


Lookup = Callable[[str], Awaitable[Recipient]]
"""Finds the recipient for an address (canonical). What it raises is an outage."""


class Mailboxes(Protocol):
    """What the look-up asks of the store, `auth.store.store.Store`."""

    async def mailbox(self, address: str) -> str | None:
        """Give the email of the account that has `address` as email or alias."""

    async def serves_domain(self, domain: str) -> bool:
        """Tell whether some account has an address in `domain`."""


def lookup_in(mailboxes: Mailboxes) -> Lookup:
    """Look recipients up in the store: by email and alias. Mail for a disabled account is kept for it."""

    async def lookup(address: str) -> Recipient:
        email = await mailboxes.mailbox(address)
        if email is not None:
            return Recipient(Found.ACCOUNT, email)
        served = await mailboxes.serves_domain(address.rpartition("@")[2])
        return Recipient(Found.NOBODY if served else Found.ELSEWHERE)

    return lookup


def answering(lookup: Lookup, *, wait_s: float = EMBEDDED_LOOKUP_S) -> Callable[[bytes], Awaitable[bytes]]:
    """Answer a child's questions by `lookup`; `ValueError` for a line that is none."""

    async def answer(question: bytes) -> bytes:
        number, _, address = question.decode("utf-8").partition(" ")
        if not (number.isascii() and number.isdigit()) or email_address(address) != address:
            raise ValueError("not a question about an address")
        try:
            async with asyncio.timeout(wait_s):
                found = await lookup(address)
        except Exception as outage:  # noqa: BLE001 - the child waits, and must not say that there is nobody
            _LOG.warning("a recipient cannot be looked up: %s", fault(outage))
            found = Recipient(Found.LATER)
        if found.found is Found.ACCOUNT and canonical(found.email) != found.email:
            raise ValueError("not the email of an account")
        return f"{number} {found.found} {found.email}".rstrip().encode()

    return answer


class Questions:
    """The child's side. `write` takes a line for the parent, `heard` gets each line that comes back."""

    def __init__(self, write: Callable[[bytes], object], *, wait_s: float = EMBEDDED_ANSWER_S) -> None:
        self._write = write
        self._wait_s = wait_s
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[Recipient]] = {}

    async def ask(self, address: str) -> Recipient:
        """Ask about a canonical address; an answer that does not come in time is `later`."""
        if email_address(address) != address:
            raise ValueError("not an address in its canonical form")
        number = str(next(self._numbers))
        answer: asyncio.Future[Recipient] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            self._write(f"{number} {address}\n".encode())
            async with asyncio.timeout(self._wait_s):
                return await answer
        except TimeoutError:
            return Recipient(Found.LATER)
        finally:
            del self._open[number]

    def heard(self, line: bytes) -> None:
        """Take an answer; one to no open question, or in no known form, is dropped."""
        number, word, email = [*line.decode("utf-8", "replace").split(), "", "", ""][:3]
        waiting = self._open.get(number)
        if waiting is None or waiting.done() or word not in set(Found):
            return
        if (word == Found.ACCOUNT) == bool(email):
            waiting.set_result(Recipient(Found(word), email))
