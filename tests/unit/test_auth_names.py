"""Names: one form for every way to write one, and no form for what is not clean."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.names import canonical, email_address


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("alice@example.org", "alice@example.org"),
        ("Alice@EXAMPLE.org", "alice@example.org"),
        ("alice*master", "alice*master"),
        ("%u", "%u"),
        ("Ju\u0308rgen@example.org", "jürgen@example.org"),
        ("JÜRGEN@example.org", "jürgen@example.org"),
        ("straße@example.org", "straße@example.org"),
        ("\u5c71\u7530", "\u5c71\u7530"),
        ("\u05d3\u05d5\u05d3@example.org", "\u05d3\u05d5\u05d3@example.org"),
        ("x" * 320, "x" * 320),
    ],
)
def test_one_form(typed, form):
    assert canonical(typed) == form


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        (" alice", "space"),
        ("alice@example.org\n", "line end"),
        ("alice\0", "NUL"),
        ("alice\u00a0", "no-break space"),
        ("ali\u200bce", "zero-width space"),
        ("ali\u200dce", "zero-width joiner"),
        ("ali\ufe0fce", "variation selector"),
        ("ali\u034fce", "grapheme joiner"),
        ("ali\u00adce", "soft hyphen"),
        ("\u202ealice", "direction override"),
        ("alice\u200f", "direction mark"),
        ("\uff41lice", "full width"),
        ("\u212aarl", "Kelvin sign"),
        ("a\u037e", "Greek question mark"),
        ("\ufb01n", "ligature"),
        ("caf\u0065\u0340", "combining mark that decomposes"),
        ("alice\udcff", "octet that was not UTF-8"),
        ("alice\ufffd", "replacement character"),
        ("\u1100\u1161", "old Hangul jamo"),
        ("a\u00b7b", "middle dot needs its context"),
        ("\u05d0a\u05d0", "left-to-right inside right-to-left"),
        ("\u05d0!", "right-to-left that ends in a symbol"),
        ("a\u05d0", "right-to-left that starts left-to-right"),
        ("\u0378", "unassigned"),
        ("alice\U0001f600", "symbol"),
        ("x" * 321, "long"),
        ("ü" * 161, "long in octets"),
    ],
)
def test_not_clean(name, why):
    assert canonical(name) is None, why


@pytest.mark.parametrize(
    "other", ["\u0430lice@example.org", "alic\u0435@example.org", "al\u0131ce@example.org"]
)
def test_look_alikes_are_other_names(other):
    assert canonical(other) not in (None, "alice@example.org")


@given(st.text(max_size=40))
def test_the_form_is_its_own_form(name):
    form = canonical(name)
    if form is not None:
        assert canonical(form) == form
        assert unicodedata.is_normalized("NFC", form)
        assert form == form.lower()
        form.encode()


@given(st.text("abcXYZ09.@*%+-_\u00e4\u00c4\u0308", min_size=1, max_size=20))
def test_case_and_composition_do_not_matter(name):
    form = canonical(name)
    assert form is not None
    assert canonical(name.upper()) == form
    assert canonical(unicodedata.normalize("NFD", name)) == form


@given(st.text(max_size=6))
def test_only_ascii_letters_lead_to_an_ascii_name(name):
    form = canonical(name)
    if form is not None and form.isascii():
        assert name.isascii()


@pytest.mark.parametrize(
    "address",
    [
        "Alice@Example.Org",
        "a@b",
        "first.last+tag@mail.example.org",
        "o'brien@example.org",
        "%u@example.org",
        "\u05d3\u05d5\u05d3@\u05d3\u05d5\u05d3.example",
        "jürgen@bücher.example",
        "x" * 64 + "@example.org",
    ],
)
def test_addresses(address):
    assert email_address(address) == canonical(address)


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "@example.org",
        "alice@",
        "a@b@example.org",
        ".alice@example.org",
        "alice.@example.org",
        "al..ice@example.org",
        '"al ice"@example.org',
        "al(ice)@example.org",
        "al,ice@example.org",
        "alice@example..org",
        "alice@example.org.",
        "alice@-example.org",
        "alice@example-.org",
        "alice@exam_ple.org",
        "alice@[127.0.0.1]",
        "x" * 65 + "@example.org",
        "alice@" + "x" * 64 + ".org",
        "a@" + ".".join(["x" * 60] * 5),
    ],
)
def test_not_addresses(text):
    assert email_address(text) is None
