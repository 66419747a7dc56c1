"""The key ring: what opens where, and that nothing is shown."""

import itertools
from dataclasses import replace

import pytest

from auth.seal import Binding, KeyRing, Sealed, UnknownKey, UnsealError, framed
from auth.secret import Secret

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = Binding(table="account", row_id="ac_1", account_id="ac_1", purpose="totp seed")


def test_a_sealed_value_opens_where_it_belongs():
    ring = KeyRing({"k1": OLD}, "k1")
    sealed = ring.seal(Secret("JBSWY3DPEHPK3PXP"), PLACE)
    assert sealed.key_id == "k1"
    assert b"JBSWY3DP" not in sealed.box
    assert ring.unseal(sealed, PLACE) == Secret("JBSWY3DPEHPK3PXP")


@pytest.mark.parametrize("text", ["", "ü", "\udcff raw octet", "x" * 5000])
def test_every_text_comes_back_as_it_was(text):
    ring = KeyRing({"k1": OLD}, "k1")
    assert ring.unseal(ring.seal(Secret(text), PLACE), PLACE).reveal() == text


@pytest.mark.parametrize("field", ["table", "row_id", "account_id", "purpose"])
def test_a_value_moved_elsewhere_does_not_open(field):
    ring = KeyRing({"k1": OLD}, "k1")
    sealed = ring.seal(Secret("seed"), PLACE)
    with pytest.raises(UnsealError):
        ring.unseal(sealed, replace(PLACE, **{field: "other"}))


def test_parts_of_a_binding_cannot_be_shifted_into_one_another():
    ring = KeyRing({"k1": OLD}, "k1")
    sealed = ring.seal(Secret("seed"), Binding(table="ab", row_id="c", account_id="d", purpose="e"))
    with pytest.raises(UnsealError):
        ring.unseal(sealed, Binding(table="a", row_id="bc", account_id="d", purpose="e"))


def test_an_older_key_still_opens_and_the_current_one_seals():
    old = KeyRing({"k1": OLD}, "k1").seal(Secret("seed"), PLACE)
    ring = KeyRing({"k1": OLD, "k2": NEW}, "k2")
    assert ring.unseal(old, PLACE) == Secret("seed")
    assert ring.seal(Secret("seed"), PLACE).key_id == "k2"


def test_the_key_id_is_bound_too():
    twin = KeyRing({"k1": OLD, "k2": OLD}, "k1")
    sealed = twin.seal(Secret("seed"), PLACE)
    with pytest.raises(UnsealError):
        twin.unseal(replace(sealed, key_id="k2"), PLACE)


def test_an_unknown_key_is_named():
    with pytest.raises(UnknownKey, match="k9"):
        KeyRing({"k1": OLD}, "k1").unseal(Sealed(key_id="k9", box=b""), PLACE)
    with pytest.raises(UnknownKey, match="k9"):
        KeyRing({"k1": OLD}, "k1").pepper("k9", b"")
    with pytest.raises(UnknownKey, match="k9"):
        KeyRing({"k1": OLD}, "k9")


def test_every_damaged_octet_is_noticed():
    ring = KeyRing({"k1": OLD}, "k1")
    box = ring.seal(Secret("seed"), PLACE).box
    for at in range(len(box)):
        damaged = box[:at] + bytes([box[at] ^ 1]) + box[at + 1 :]
        with pytest.raises(UnsealError):
            ring.unseal(Sealed(key_id="k1", box=damaged), PLACE)
        with pytest.raises(UnsealError):
            ring.unseal(Sealed(key_id="k1", box=box[:at]), PLACE)


@pytest.mark.parametrize("keys", [{"k1": b"short"}, {"": OLD}, {"k1": OLD + b"x"}])
def test_bad_keys_are_refused_without_being_shown(keys):
    with pytest.raises(ValueError) as caught:
        KeyRing(keys, next(iter(keys)))
    assert "short" not in str(caught.value)
    assert "ooo" not in str(caught.value)


def test_nothing_is_shown():
    ring = KeyRing({"k1": OLD}, "k1")
    sealed = ring.seal(Secret("seed"), PLACE)
    assert repr(ring) == "KeyRing(ids=['k1'], current='k1')"
    assert repr(sealed) == "Sealed(key_id='k1')"


def test_no_nonce_or_data_key_is_used_twice():
    drawn = []

    def random(size):
        drawn.append(size)
        return len(drawn).to_bytes(size, "big")

    ring = KeyRing({"k1": OLD}, "k1", random=random)
    boxes = {ring.seal(Secret("seed"), PLACE).box for _ in range(3)}
    assert len(boxes) == 3
    assert drawn == [32, 12, 12] * 3


def test_pepper_depends_on_key_and_message_and_is_stable():
    ring = KeyRing({"k1": OLD, "k2": NEW}, "k1")
    peppers = {ring.pepper(key, message) for key, message in itertools.product(("k1", "k2"), (b"a", b"b"))}
    assert len(peppers) == 4
    assert ring.pepper("k1", b"a") == KeyRing({"k1": OLD}, "k1").pepper("k1", b"a")
    assert len(ring.pepper("k1", b"a")) == 32


def test_framed_is_unambiguous():
    assert framed("ab", "c") != framed("a", "bc")
    assert framed("ab", b"c") == b"\0\0\0\2ab\0\0\0\1c"
    assert framed() == b""
