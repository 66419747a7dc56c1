"""The delivery child when the disk fails or it dies: a message is nowhere or everywhere, and once."""

from __future__ import annotations

import asyncio
import smtplib

import pytest

from proxy.embedded.children import EmbeddedDelivery
from proxy.embedded.maildir import account_folder, make_home
from support.delivering import BOB, House, inbox, sent, waiting
from support.embedded import ALICE, connect
from support.waiting import eventually


@pytest.fixture
def root(tmp_path):
    return tmp_path / "mail"


@pytest.fixture
async def delivery(root):
    embedded = EmbeddedDelivery(root, House().lookup)
    await embedded.start()
    yield embedded
    await embedded.stop()


@pytest.mark.parametrize("part", ["tmp", "new"])
async def test_one_mailbox_that_cannot_be_written_fails_the_whole_message(delivery, root, part):
    home = make_home(root, BOB)
    (home / part).rmdir()
    (home / part).write_bytes(b"no folder")
    assert (await sent(delivery, [ALICE, BOB])).startswith(b"451 4.3.0 ")
    assert inbox(root, ALICE) == []
    (home / part).unlink()
    assert (await sent(delivery, [ALICE, BOB])).startswith(b"250 ")
    assert (len(inbox(root, ALICE)), len(inbox(root, BOB))) == (1, 1)
    await eventually(lambda: not waiting(root))


KILLED = """
import os, signal, sys
from proxy.embedded import delivery
calls = 0
def rename(source, target):
    global calls
    calls += 1
    if calls > {whole}:
        os.kill(os.getpid(), signal.SIGKILL)
    os.rename(source, target)
sys.exit(delivery.main(sys.argv[1:], rename=rename))
"""


class KillsOnce:
    """Makes processes as asyncio does; the first one kills itself after so many renames."""

    def __init__(self, whole: int) -> None:
        self._program = KILLED.format(whole=whole)

    async def __call__(self, *command, **options):
        program, self._program = self._program, None
        if program is not None:
            at = command.index("-m")
            command = (*command[:at], "-c", program, *command[at + 2 :])
        return await asyncio.create_subprocess_exec(*command, **options)


@pytest.mark.parametrize("whole", [0, 1, 2])
async def test_a_crash_between_two_mailboxes_doubles_nothing(root, whole):
    house = House()
    people = [ALICE, BOB, "carol@example.org"]
    house.names["carol@example.org"] = "carol@example.org"
    delivery = EmbeddedDelivery(root, house.lookup, spawn=KillsOnce(whole))
    await delivery.start()
    try:
        dead = delivery.pid
        with pytest.raises(smtplib.SMTPServerDisconnected):
            await sent(delivery, people)
        assert sum(len(inbox(root, email)) for email in people) == whole
        await eventually(lambda: delivery.pid not in (None, dead) and answers(delivery))
        read = account_folder(root, ALICE)
        for path in read.glob("new/*"):  # a reader has seen it meanwhile
            path.rename(read / "cur" / f"{path.name}:2,S")
        assert (await sent(delivery, people)).startswith(b"250 ")
        assert [len(inbox(root, email)) for email in people] == [1, 1, 1]
        await eventually(lambda: not waiting(root))
        assert (await sent(delivery, people)).startswith(b"250 ")
        assert [len(inbox(root, email)) for email in people] == [2, 2, 2]
    finally:
        await delivery.stop()


def answers(delivery: EmbeddedDelivery) -> bool:
    try:
        connect(delivery.socket_path).close()
    except OSError:
        return False
    return True
