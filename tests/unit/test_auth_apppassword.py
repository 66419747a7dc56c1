"""The shape of app passwords: made evenly, read back however they were pasted."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.apppassword import ALPHABET, LENGTH, generate, looks_like_one, parse, verifier_message
from auth.secret import Secret

ONE = "k7mq2xwdhnrp4tvc9zsa"

plain = st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH)
decoration = st.text("- \t\r\n\u00a0\u2003\u00ad\u2010\u2011", max_size=4)


def test_the_alphabet_has_no_character_read_for_another():
    assert len(set(ALPHABET)) == 31
    assert set(ALPHABET) == set(string.ascii_lowercase + string.digits) - set("ilo01")


def test_generate_draws_every_character_from_the_whole_alphabet():
    asked = []

    def randbelow(bound):
        asked.append(bound)
        return len(asked) - 1

    made = generate(randbelow)
    assert asked == [31] * 20
    assert made.text().reveal() == ALPHABET[:20]
    assert made.selector == "abcd"
    assert made.grouped().reveal() == "abcd-efgh-jkmn-pqrs-tuvw"


def test_two_are_never_alike():
    assert len({generate().text().reveal() for _ in range(100)}) == 100


@given(plain, st.lists(decoration, min_size=LENGTH + 1, max_size=LENGTH + 1), st.booleans())
def test_decoration_and_capitals_do_not_matter(text, between, upper):
    typed = "".join(gap + char for gap, char in zip(between, [*text, ""], strict=True))
    found = parse(Secret(typed.upper() if upper else typed))
    assert found is not None
    assert found.text().reveal() == text
    assert (found.selector, found.verifier.reveal()) == (text[:4], text[4:])
    assert parse(found.grouped()) == found


@given(st.text(max_size=40) | st.text(ALPHABET + "ilo01", max_size=30))
def test_parse_never_raises_and_takes_only_the_shape(text):
    found = parse(Secret(text))
    kept = [char for char in text if not char.isspace() and char not in "-\u00ad\u2010\u2011"]
    fits = len(kept) == 20 and all(char in ALPHABET + ALPHABET.upper() for char in kept)
    assert (found is not None) == fits
    assert looks_like_one(text) == fits


@given(st.binary(max_size=60))
def test_octets_from_the_wire_never_raise(octets):
    parse(Secret.from_wire(octets))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ONE[:-1],
        ONE + "a",
        ONE[:-1] + "0",
        ONE[:-1] + "l",
        ONE[:-1] + "\u212a",  # Kelvin sign, whose lower case is k
        ONE[:-1] + "\uff41",  # full-width a
        ONE[:-1] + "\u0430",  # Cyrillic a
        ONE + "\0",
        ONE[:10] + "_" + ONE[10:],
        ONE + " " * 300,
        "correct horse battery staple",
    ],
)
def test_another_shape_is_another_thing(text):
    assert parse(Secret(text)) is None


def test_nothing_is_shown():
    made = parse(Secret(ONE))
    assert ONE[4:] not in f"{made!r} {made.text()} {made.grouped()!r}"


def test_the_message_to_hash_binds_account_selector_and_verifier():
    messages = {
        verifier_message("ac_1", "abcd", Secret("x" * 16)),
        verifier_message("ac_2", "abcd", Secret("x" * 16)),
        verifier_message("ac_1", "abce", Secret("x" * 16)),
        verifier_message("ac_1", "abcd", Secret("y" * 16)),
        verifier_message("ac_1a", "bcd", Secret("x" * 16)),
    }
    assert len(messages) == 5
    assert all(b"wicketgate/app/1" in message for message in messages)
