"""One message into several mailboxes: all or none, and each once, whatever was cut short before."""

from __future__ import annotations

import os

import pytest

from proxy.embedded.letterbox import Letterbox, Mail
from proxy.embedded.maildir import account_folder, make_home
from proxy.limits import EMBEDDED_JOURNAL_S
from support.delivering import BOB, MESSAGE, inbox, waiting
from support.embedded import ALICE

HEAD = b"Received: here\r\n"
CAROL = "carol@example.org"


class Renamer:
    """Renames as the system does; from a given one on it fails."""

    def __init__(self, fails_at: int) -> None:
        self._left = fails_at

    def __call__(self, source, target) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError
        source.rename(target)


class Died(BaseException):
    """What no handler of the product catches: the process is gone."""


def mail(*recipients: str, text: bytes = MESSAGE, sender: str = ALICE, account: str = ALICE) -> Mail:
    return Mail(account=account, sender=sender, recipients=recipients, text=bytearray(text))


def copies(root) -> list[int]:
    return [len(inbox(root, email)) for email in (ALICE, BOB, CAROL)]


def test_every_recipient_gets_a_copy_and_nothing_is_left_beside(tmp_path):
    box = Letterbox(tmp_path)
    key = box.take(mail(ALICE, BOB), HEAD)
    assert inbox(tmp_path, ALICE) == inbox(tmp_path, BOB) == [HEAD + MESSAGE]
    assert waiting(tmp_path) == [key]
    box.forget(key)
    box.forget(key)
    assert waiting(tmp_path) == []


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_what_fails_is_taken_back(tmp_path, fails_at):
    with pytest.raises(OSError):
        Letterbox(tmp_path, rename=Renamer(fails_at)).take(mail(ALICE, BOB, CAROL), HEAD)
    assert copies(tmp_path) == [0, 0, 0]
    assert list(tmp_path.glob("*/tmp/*")) == []
    Letterbox(tmp_path).take(mail(ALICE, BOB, CAROL), HEAD)
    assert copies(tmp_path) == [1, 1, 1]


def cut_short(root, renames: int, message: Mail) -> None:
    """A try whose process dies after so many renames."""

    def rename(source, target) -> None:
        nonlocal renames
        renames -= 1
        if renames < 0:
            raise Died
        source.rename(target)

    with pytest.raises(Died):
        Letterbox(root, rename=rename).take(message, HEAD)


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_try_that_was_cut_short_is_completed(tmp_path, renames):
    cut_short(tmp_path, renames, mail(ALICE, BOB, CAROL))
    cut_short(tmp_path, 0, mail(CAROL, BOB, ALICE))
    box = Letterbox(tmp_path)
    box.forget(box.take(mail(BOB, CAROL, ALICE), b"Received: again\r\n"))
    assert copies(tmp_path) == [1, 1, 1]
    assert waiting(tmp_path) == []
    box.take(mail(ALICE, BOB, CAROL), HEAD)
    assert copies(tmp_path) == [2, 2, 2]


def test_a_copy_that_was_read_meanwhile_counts_and_one_that_was_deleted_does_not(tmp_path):
    cut_short(tmp_path, 2, mail(ALICE, BOB, CAROL))
    alice, bob = (account_folder(tmp_path, email) for email in (ALICE, BOB))
    [seen] = alice.glob("new/*")
    seen.rename(alice / "cur" / f"{seen.name}:2,FS")
    [deleted] = bob.glob("new/*")
    deleted.unlink()
    Letterbox(tmp_path).take(mail(ALICE, BOB, CAROL), HEAD)
    assert copies(tmp_path) == [1, 1, 1]
    assert [path.name for path in alice.glob("cur/*")] == [f"{seen.name}:2,FS"]


@pytest.mark.parametrize(
    "other",
    [
        mail(ALICE, BOB, text=MESSAGE + b"\r\n"),
        mail(ALICE, BOB, sender=""),
        mail(ALICE, BOB, account=BOB),
        mail(ALICE),
        mail(ALICE, f"{BOB}{BOB}"),
    ],
)
def test_another_message_is_no_retry(tmp_path, other):
    assert other.key() != mail(ALICE, BOB).key()
    cut_short(tmp_path, 1, mail(ALICE, BOB))
    Letterbox(tmp_path).take(other, HEAD)
    assert len(inbox(tmp_path, ALICE)) == 2


def test_a_journal_counts_for_its_time_and_takes_its_leavings_along(tmp_path):
    cut_short(tmp_path, 1, mail(ALICE, BOB))
    [journal] = (tmp_path / ".delivery").iterdir()
    half = journal.with_name(f"{journal.name}.77.new")
    half.write_bytes(b"{")
    written = journal.stat().st_mtime
    os.utime(half, (written, written))
    foreign = tmp_path / ".delivery" / "wicketgate-lock"
    foreign.touch()
    os.utime(foreign, (0, 0))
    young = Letterbox(tmp_path, now=lambda: written + EMBEDDED_JOURNAL_S)
    young.forget(young.take(mail(CAROL), HEAD))
    assert len(waiting(tmp_path)) == 3
    old = Letterbox(tmp_path, now=lambda: written + EMBEDDED_JOURNAL_S + 1)
    old.forget(old.take(mail(CAROL), HEAD))
    assert waiting(tmp_path) == []
    assert foreign.exists()
    old.take(mail(ALICE, BOB), HEAD)
    assert copies(tmp_path) == [2, 1, 2]


def test_a_journal_that_cannot_be_read_is_none(tmp_path):
    box = Letterbox(tmp_path)
    box.folder.mkdir()
    for octets in (b"", b"[]", b"\xff"):
        (box.folder / mail(ALICE).key()).write_bytes(octets)
        box.take(mail(ALICE), HEAD)
        box.forget(mail(ALICE).key())
    assert copies(tmp_path)[0] == 3


def test_no_journal_no_message(tmp_path):
    box = Letterbox(tmp_path)
    box.folder.write_bytes(b"")
    with pytest.raises(OSError):
        box.take(mail(ALICE), HEAD)
    assert copies(tmp_path)[0] == 0


def test_what_cannot_be_taken_back_is_not_doubled(tmp_path):
    """Bob's mailbox fails, and Alice's copy was moved by a reader before it could be taken back."""
    bob = make_home(tmp_path, BOB)

    def rename(source, target) -> None:
        if target.is_relative_to(bob):
            [there] = account_folder(tmp_path, ALICE).glob("new/*")
            there.rename(there.parents[1] / "cur" / f"{there.name}:2,")
            raise OSError
        source.rename(target)

    with pytest.raises(OSError):
        Letterbox(tmp_path, rename=rename).take(mail(ALICE, BOB), HEAD)
    Letterbox(tmp_path).take(mail(ALICE, BOB), HEAD)
    assert copies(tmp_path) == [1, 1, 0]


def test_the_order_of_recipients_does_not_count():
    assert mail(ALICE, BOB).key() == mail(BOB, ALICE).key()
