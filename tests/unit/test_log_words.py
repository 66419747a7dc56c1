"""The closed lists of the log."""

import re

import pytest

from auth.refusal import Reason, Refusal
from proxy.imap.conversation import _ENDS as OF_RELAYS
from proxy.log.words import (
    COUNTS_AS_GUESS,
    DISABLED,
    REASONS,
    TOO_MANY_TRIES,
    Drop,
    Event,
    SessionEnd,
    word_of,
)
from proxy.net.relay import RelayEnd


def test_every_reason_has_a_word_of_its_own():
    assert REASONS.keys() == set(Reason)
    assert len(set(REASONS.values()) | {DISABLED}) == len(Reason) + 1


@pytest.mark.parametrize("word", [*REASONS.values(), DISABLED, TOO_MANY_TRIES, *Event, *SessionEnd, *Drop])
def test_a_word_is_one_token(word):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", word)


@pytest.mark.parametrize("reason", Reason)
def test_only_a_wrong_secret_counts_as_a_guess(reason):
    refusal = Refusal(reason=reason)
    wrong = reason in (Reason.BAD_CREDENTIALS, Reason.NOT_APP_PASSWORD, Reason.TOO_MUCH_WORK)
    assert (word_of(refusal) in COUNTS_AS_GUESS) is wrong
    assert not (wrong and refusal.is_outage)


def test_a_right_secret_of_a_disabled_account_is_no_guess():
    refusal = Refusal(reason=Reason.BAD_CREDENTIALS, account_id="ac_1", cause="disabled")
    assert word_of(refusal) == "account-disabled"
    assert word_of(refusal) not in COUNTS_AS_GUESS


def test_what_was_not_looked_at_is_no_guess():
    assert TOO_MANY_TRIES not in COUNTS_AS_GUESS


def test_every_end_of_a_relay_has_its_word():
    assert OF_RELAYS.keys() == set(RelayEnd)
