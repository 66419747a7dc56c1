"""Scopes are exactly three and are always named in the same order."""

from itertools import permutations

import pytest

from scopes.model import Scope, in_order


def test_there_are_exactly_three():
    assert [scope.value for scope in Scope] == ["mail", "contacts", "events"]


@pytest.mark.parametrize("given", list(permutations(Scope)))
def test_they_are_named_in_one_order(given):
    assert list(in_order(given)) == [Scope.MAIL, Scope.CONTACTS, Scope.EVENTS]


def test_what_is_not_there_is_not_named():
    assert list(in_order({Scope.EVENTS, Scope.MAIL})) == [Scope.MAIL, Scope.EVENTS]
    assert list(in_order(())) == []
