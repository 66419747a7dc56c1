"""Scopes are exactly three and are always named in the same order."""

from itertools import permutations

import pytest

from scopes.model import Limits, Scope, in_order


def test_there_are_exactly_three():
    assert [scope.value for scope in Scope] == ["mail", "contacts", "events"]


@pytest.mark.parametrize("given", list(permutations(Scope)))
def test_they_are_named_in_one_order(given):
    assert list(in_order(given)) == [Scope.MAIL, Scope.CONTACTS, Scope.EVENTS]


def test_what_is_not_there_is_not_named():
    assert list(in_order({Scope.EVENTS, Scope.MAIL})) == [Scope.MAIL, Scope.EVENTS]
    assert list(in_order(())) == []


def test_nothing_is_limited_unless_it_is_said():
    assert (Limits().networks, Limits().read_only, Limits().send_only) == ((), False, False)


def test_reading_alone_and_sending_alone_exclude_each_other():
    with pytest.raises(ValueError, match="cannot be"):
        Limits(read_only=True, send_only=True)
