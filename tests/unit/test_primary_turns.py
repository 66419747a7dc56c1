"""Whose primary password is looked at next: those who guess wait for those who do not."""

import asyncio

import pytest

from auth.hashing import Hasher
from auth.primaries import ASKED_DOUBTED, Asked, PrimaryPasswords
from auth.proving import Prover
from auth.secret import Secret
from auth.throttle import origin
from auth.turns import Asker
from support.mailboxes import Mailboxes
from support.office import ALICE, BOB, CHEAP, PRIMARY, office
from support.sockets import turns, until

GUESS = Secret("guess")
HERE, ELSEWHERE = "192.0.2.7", "2001:db8:1:2::3"


@pytest.fixture
def passwords():
    """Primary passwords, hashed one at a time; nobody has an account."""
    hasher = Hasher(primary=CHEAP, slots=2)
    yield PrimaryPasswords(None, hasher, None, None, None)
    hasher.close()


async def test_who_has_failed_waits_for_who_has_not(passwords):
    def guess(where: str, *, doubted: bool) -> asyncio.Task:
        asker = Asker(origin=origin(where), doubted=doubted)
        asked = Asked(name="nobody@example.org", account=None, where=where, asker=asker)
        return asyncio.create_task(passwords.check(asked, GUESS))

    crowd = [guess(f"192.0.2.{1 + n % 20}", doubted=True) for n in range(100)]
    await turns()
    newcomer = guess("198.51.100.1", doubted=False)
    await newcomer
    assert sum(task.done() for task in crowd) < 10
    assert not any(checked.right for checked in await asyncio.gather(*crowd))


async def test_nor_does_a_mail_server_answer_those_who_guess_alone(tmp_path):
    server = Mailboxes(held=asyncio.Event())
    async with office(tmp_path) as here:
        passwords = PrimaryPasswords(here.store, here.hasher, here.keys, here.clock, server)

        def guess(name: str, where: str, *, doubted: bool) -> asyncio.Task:
            asker = Asker(origin=origin(where), doubted=doubted)
            asked = Asked(name=name, account=None, where=where, asker=asker)
            return asyncio.create_task(passwords.check(asked, GUESS))

        crowd = [guess(f"x{n}@example.org", f"192.0.2.{n}", doubted=True) for n in range(40)]
        await turns()
        assert len(server.asked) == ASKED_DOUBTED
        newcomer = guess(ALICE, "198.51.100.1", doubted=False)
        await until(lambda: (ALICE, False) in server.asked)
        server.held.set()
        assert not any(checked.right for checked in await asyncio.gather(newcomer, *crowd))


async def test_an_address_is_doubted_from_a_try_that_came_to_nothing_until_it_is_forgiven(tmp_path):
    async with office(tmp_path) as here:
        await here.enrolled()
        await here.enrolled(BOB)
        prover = Prover(here.store, here.hasher, here.keys, here.clock)

        async def doubted(name: str, where: str) -> bool:
            seen = await prover.enter(name, where)
            await here.store.write(lambda tx: prover.tries.not_seen(tx, seen.subjects))
            return seen.asked.asker.doubted

        assert not await doubted(BOB, HERE)
        opened = await here.accounts.portal.begin(ALICE, PRIMARY, HERE)
        assert await doubted(BOB, HERE), "whatever was typed: it must not be told by the time it takes"
        assert not await doubted(BOB, ELSEWHERE)
        await here.accounts.portal.answer(opened.token, here.code(), HERE)
        assert not await doubted(BOB, HERE)


def test_a_site_takes_turns_as_one_and_the_command_line_as_nobody():
    assert origin(ELSEWHERE) == origin("2001:db8:1:ffff::1") != origin("2001:db8:2::1")
    assert origin(HERE) != origin("192.0.2.8")
    assert origin("command line") is None
