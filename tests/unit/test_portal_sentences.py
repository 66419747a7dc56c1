"""Sentences of the portal: what is said, and that nothing which somebody chose becomes markup."""

from __future__ import annotations

import pytest

from proxy.portal.sentences import Moment, Name, Sentence, counted, day, in_a_row, lately, listed, moment

NOW = 1_777_989_900  # 5 May 2026, 14:05 UTC
MAY_3 = NOW - 2 * 86_400


@pytest.mark.parametrize(
    ("at", "as_day", "as_moment", "as_lately"),
    [
        (MAY_3, "3 May", "3 May, 14:05", "3 May, 14:05"),
        (NOW - 3_600, "5 May", "5 May, 13:05", "13:05"),
        (NOW - 15 * 3_600, "4 May", "4 May, 23:05", "4 May, 23:05"),
        (NOW - 365 * 86_400, "5 May 2025", "5 May 2025, 14:05", "5 May 2025, 14:05"),
        (NOW + 240 * 86_400, "31 December", "31 December, 14:05", "31 December, 14:05"),
        (NOW + 241 * 86_400, "1 January 2027", "1 January 2027, 14:05", "1 January 2027, 14:05"),
    ],
)
def test_moments_are_said_as_people_say_them(at, as_day, as_moment, as_lately):
    assert [str(say(at, NOW)) for say in (day, moment, lately)] == [as_day, as_moment, as_lately]


def test_a_moment_can_be_read_by_programs():
    assert moment(MAY_3, NOW).__html__() == '<time datetime="2026-05-03T14:05:00Z">3 May, 14:05</time>'


@pytest.mark.parametrize(
    ("number", "said"), [(0, "no sessions"), (1, "1 session"), (2, "2 sessions"), (25, "25 sessions")]
)
def test_things_are_counted(number, said):
    assert counted(number, "session") == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mail"], "mail"),
        (["mail", "events"], "mail and events"),
        (["mail", "contacts", "events"], "mail, contacts and events"),
    ],
)
def test_several_words_are_said_as_one(words, said):
    assert listed(words) == said


def test_a_sentence_is_plain_text_and_markup():
    said = Sentence("You revoked ", Name("Old iPhone"), " on ", day(MAY_3, NOW), ".")
    assert str(said) == "You revoked Old iPhone on 3 May."
    assert said.__html__() == (
        'You revoked <bdi class="name">Old iPhone</bdi> on '
        '<time datetime="2026-05-03T14:05:00Z">3 May</time>.'
    )


@pytest.mark.parametrize("part", [Name, str, lambda text: Moment(NOW, text)])
@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x>', "' onload='x", "a & b"])
def test_nothing_becomes_markup(part, hostile):
    html = Sentence("A ", part(hostile)).__html__()
    assert hostile not in html
    inside = html.removeprefix("A ").removeprefix('<bdi class="name">').removesuffix("</bdi>")
    inside = inside.removeprefix('<time datetime="2026-05-05T14:05:00Z">').removesuffix("</time>")
    assert not set("<>\"'") & set(inside)


def test_sentences_stand_behind_one_another():
    first, second = Sentence("One."), Sentence("Two ", Name("x"), ".")
    assert str(in_a_row([first, second])) == "One. Two x."
    assert in_a_row([]) == Sentence()
    assert not Sentence()
