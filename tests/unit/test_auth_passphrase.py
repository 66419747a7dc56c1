"""A box under a passphrase opens with that passphrase, in that place, unharmed, and not otherwise."""

import pytest

from auth.passphrase import Terms, WrongPassphrase, lock, new_terms, unlock
from auth.secret import Secret

TERMS = Terms(salt=b"s" * 16, cost=2)
GIVEN = Secret("correct horse battery")
TEXT = b"the key"
BOX = lock(GIVEN, TERMS, TEXT, b"here")


def test_it_opens_with_the_passphrase():
    assert unlock(GIVEN, TERMS, BOX, b"here") == TEXT
    assert TEXT not in BOX


def test_two_boxes_of_the_same_differ():
    assert lock(GIVEN, TERMS, TEXT, b"here") != BOX
    assert new_terms().salt != new_terms().salt


@pytest.mark.parametrize(
    ("given", "terms", "place"),
    [
        (Secret("Correct horse battery"), TERMS, b"here"),
        (GIVEN, Terms(salt=b"t" * 16, cost=2), b"here"),
        (GIVEN, Terms(salt=b"s" * 16, cost=4), b"here"),
        (GIVEN, TERMS, b"there"),
    ],
)
def test_it_opens_with_nothing_else(given, terms, place):
    with pytest.raises(WrongPassphrase):
        unlock(given, terms, BOX, place)


def test_no_octet_of_it_may_differ_or_be_missing():
    for at in range(len(BOX)):
        changed = bytearray(BOX)
        changed[at] ^= 1
        for harmed in (bytes(changed), BOX[:at]):
            with pytest.raises(WrongPassphrase):
                unlock(GIVEN, TERMS, harmed, b"here")


@pytest.mark.parametrize(
    "wrong",
    [{"cost": 3}, {"cost": 1}, {"cost": 0}, {"cost": -2}, {"cost": 2**21}, {"blocks": 0}, {"blocks": 17},
     {"lanes": 0}, {"lanes": 5}, {"salt": b""}],
)  # fmt: skip
def test_terms_that_nobody_writes_are_refused(wrong):
    with pytest.raises(ValueError, match="not the terms"):
        Terms(**({"salt": b"s" * 16} | wrong))


def test_todays_terms_cost_what_they_should():
    terms = new_terms()
    assert terms.cost * terms.blocks * 128 == 128 * 2**20, "octets of memory"
