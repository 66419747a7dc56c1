"""Codes and recovery codes: right, late, replayed, mistyped."""

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.apppassword import looks_like_one
from auth.seal import KeyRing
from auth.secret import Secret
from auth.totp import (
    matching_step,
    new_recovery_codes,
    new_seed,
    normalise_recovery,
    provisioning_uri,
    recovery_digest,
)

SEED = Secret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
"""The seed of RFC 6238, appendix B."""


def code(step):
    return Secret(pyotp.TOTP(SEED.reveal()).generate_otp(step))


@pytest.mark.parametrize(
    ("now", "digits"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_vectors_of_the_standard(now, digits):
    assert matching_step(SEED, Secret(digits), now, None) == now // 30


@pytest.mark.parametrize(("offset", "found"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_either_side(offset, found):
    step = matching_step(SEED, code(1000 + offset), 1000 * 30 + 29.9, None)
    assert step == (1000 + offset if found else None)


@pytest.mark.parametrize(
    ("last", "found"), [(None, True), (998, True), (999, True), (1000, False), (1001, False)]
)
def test_a_used_step_and_those_before_it_are_replays(last, found):
    assert matching_step(SEED, code(1000), 30_000.0, last) == (1000 if found else None)


def test_at_the_first_step_of_all_there_is_none_before():
    assert matching_step(SEED, code(0), 0.0, None) == 0


@pytest.mark.parametrize("typed", ["287 082", " 287082\n", "28 70 82", "287\u00a0082"])
def test_spaces_do_not_matter(typed):
    assert matching_step(SEED, Secret(typed), 59, None) == 1


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "28708",
        "2870820",
        "-287082",
        "287-082",
        "\u0662\u0668\u0667\u0660\u0668\u0662",
        "\uff12\uff18\uff17\uff10\uff18\uff12",
        "x" * 10_000,
    ],
)
def test_another_shape_matches_nothing(typed):
    assert matching_step(SEED, Secret(typed), 59, None) is None


@given(st.text(max_size=12))
def test_no_text_raises(typed):
    matching_step(SEED, Secret(typed), 59, None)


def test_two_steps_with_the_same_code_count_as_the_later_one():
    """About once in half a million; were the earlier step taken, the code could be used once more."""
    assert code(153_567) == code(153_569)
    now = 153_568 * 30.0
    assert matching_step(SEED, code(153_567), now, None) == 153_569
    assert matching_step(SEED, code(153_567), now, 153_567) == 153_569
    assert matching_step(SEED, code(153_567), now, 153_569) is None


def test_a_seed_is_160_bits_of_base32():
    seed = new_seed(lambda size: bytes(range(size)))
    assert seed.reveal() == "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT"
    assert new_seed() != new_seed()


def test_the_uri_names_issuer_and_address():
    uri = provisioning_uri(SEED, "alice@example.org", "Wicketgate (demo)").reveal()
    assert uri.startswith("otpauth://totp/Wicketgate%20%28demo%29:alice%40example.org?")
    assert f"secret={SEED.reveal()}" in uri
    assert pyotp.parse_uri(uri).generate_otp(1) == "287082"


def test_recovery_codes_are_apart_from_each_other_and_from_app_passwords():
    codes = [made.reveal() for made in new_recovery_codes()]
    assert len(set(codes)) == 10
    for made in codes:
        assert len(made) == 19
        assert made.count("-") == 3
        assert not looks_like_one(made)
        assert normalise_recovery(Secret(made)).reveal() == made.replace("-", "")


def test_every_bit_of_a_recovery_code_counts():
    made = {
        new_recovery_codes(1, lambda size, bit=bit: (1 << bit).to_bytes(size, "big"))[0].reveal()
        for bit in range(80)
    }
    assert len(made) == 80


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("0123-4567-89ab-cdef", "0123456789abcdef"),
        (" 0123 4567 89AB CDEF\n", "0123456789abcdef"),
        ("OoIi-Ll67-89ab-cdef", "0011116789abcdef"),
    ],
)
def test_recovery_codes_are_read_as_people_type(typed, plain):
    assert normalise_recovery(Secret(typed)).reveal() == plain


@pytest.mark.parametrize(
    "typed", ["", "0123-4567-89ab-cde", "0123-4567-89ab-cdeu", "x" * 99, "0123456789abcde\u0444"]
)
def test_another_shape_is_no_recovery_code(typed):
    assert normalise_recovery(Secret(typed)) is None


def test_a_recovery_digest_belongs_to_one_account_and_one_key():
    keys = KeyRing({"k1": b"a" * 32, "k2": b"b" * 32}, "k1")
    digests = {
        recovery_digest(keys, key, account, Secret(plain))
        for key in ("k1", "k2")
        for account in ("ac_1", "ac_2")
        for plain in ("0" * 16, "1" * 16)
    }
    assert len(digests) == 8
