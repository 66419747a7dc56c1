"""A month of sign-ins and deeds, and the sentences an owner reads about them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from auth.refusal import Reason
from auth.store.rows import ChangeKind, RevokedWhy
from proxy.portal import deeds
from proxy.portal.activity_words import Story, stories
from proxy.portal.ends import end_of, why_ended
from proxy.portal.outcomes import _TOLD
from scopes.model import Limits, Scope, Service
from support.records import DAY, HOUR, NOW, app_password, deed, sign_in

MAY_3 = NOW - 2 * DAY
REVOKED = {"revoked_at": MAY_3, "revoked_why": RevokedWhy.BY_OWNER}
OFFICE = Limits(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))


def said(story: Story) -> str:
    return " | ".join(filter(None, (str(story.what), story.advice, str(story.often))))


def only(records, *rows) -> Story:
    told = stories(records, rows, NOW)
    (story,) = told.refused + told.came_in
    return story


# --- why did my phone fail? ---------------------------------------------------------------------------------


def test_a_phone_that_keeps_trying_a_revoked_app_password():
    tries = [sign_in(NOW - n * HOUR, Reason.REVOKED, "iPhone Mail") for n in range(47)]
    told = stories(tries, [app_password(**REVOKED)], NOW)
    assert told.came_in == ()
    assert [said(story) for story in told.refused] == [
        (
            "Your phone keeps trying Old iPhone, which you revoked on 3 May. | "
            "If you still use that app, give it a new app password, or take the account out of it. "
            "Nobody gets in with this one. | "
            "47 times since 3 May. The last: 14:05, from 192.0.2.7."
        )
    ]


@pytest.mark.parametrize(
    ("record", "row", "what"),
    [
        (
            sign_in(outcome=Reason.REVOKED),
            app_password(**REVOKED),
            "Thunderbird tried Old iPhone, which you revoked on 3 May.",
        ),
        (
            sign_in(outcome=Reason.REVOKED, client="DAVx5/4.4 Android/14", service=Service.DAV),
            app_password(revoked_at=MAY_3, revoked_why=RevokedWhy.PRIMARY_CHANGED),
            "Your phone tried Old iPhone, which ended when the primary password was changed on 3 May.",
        ),
        (
            sign_in(outcome=Reason.EXPIRED),
            app_password(expires_at=MAY_3),
            "Thunderbird tried Old iPhone, which expired on 3 May.",
        ),
        (
            sign_in(outcome=Reason.REVOKED),
            app_password(expires_at=MAY_3 - DAY, **REVOKED),
            "Thunderbird tried Old iPhone, which expired on 2 May.",
        ),
        (
            sign_in(outcome=Reason.WRONG_SCOPE),
            app_password(scopes=frozenset({Scope.CONTACTS})),
            "The app password Old iPhone opens contacts, not mail. Thunderbird tried to read mail with it.",
        ),
        (
            sign_in(
                outcome=Reason.WRONG_SCOPE, service=Service.DAV, client="iOS/17.5 (21F79) dataaccessd/1.0"
            ),
            app_password(),
            (
                "The app password Old iPhone opens mail, not contacts or events. "
                "Your phone tried to open contacts or events with it."
            ),
        ),
        (
            sign_in(outcome=Reason.READ_ONLY, service=Service.SUBMISSION, client="[192.168.1.5]"),
            app_password(limits=Limits(read_only=True)),
            "The app password Old iPhone only reads. An app tried to send mail with it.",
        ),
        (
            sign_in(outcome=Reason.SEND_ONLY),
            app_password(limits=Limits(send_only=True)),
            "The app password Old iPhone only sends. Thunderbird tried to read mail with it.",
        ),
        (
            sign_in(outcome=Reason.ADDRESS_NOT_ALLOWED, peer="198.51.100.9"),
            app_password(limits=OFFICE),
            (
                "The app password Old iPhone is good from 192.0.2.0/24 and 2001:db8::/32 only. "
                "It was tried from 198.51.100.9."
            ),
        ),
        (sign_in(outcome=Reason.UNAVAILABLE), app_password(), "The mail server did not answer."),
        (
            sign_in(outcome=Reason.UNAVAILABLE, service=Service.DAV),
            app_password(),
            "The server of contacts and events did not answer.",
        ),
        (
            sign_in(outcome=Reason.UPSTREAM_REFUSED, service=Service.SUBMISSION),
            app_password(),
            "The server that sends mail did not let Wicketgate in for you.",
        ),
        (
            sign_in(outcome=Reason.BUG),
            app_password(),
            "Thunderbird was not let in, because something went wrong here.",
        ),
        (
            sign_in(outcome=Reason.BAD_CREDENTIALS, client=""),
            app_password(),
            "An app tried Old iPhone while your account was disabled.",
        ),
        (
            sign_in(outcome="of a newer version"),
            app_password(),
            "Thunderbird tried Old iPhone and was not let in.",
        ),
    ],
)
def test_a_refusal_is_told_by_what_was_wrong(record, row, what):
    assert str(only([record], row).what) == what


def test_every_reason_is_told():
    assert set(Reason) < set(_TOLD)


@pytest.mark.parametrize("reason", [*Reason, "of a newer version"])
def test_nothing_is_ever_none_or_left_open(reason):
    told = stories([sign_in(outcome=reason, client="", peer="", app_password_id=None)], [], NOW)
    (story,) = told.refused
    assert "None" not in said(story)
    assert str(story.what)[0].isupper()
    assert str(story.what).endswith(".")


@pytest.mark.parametrize("why", RevokedWhy)
def test_every_end_is_told(why):
    row = app_password(revoked_at=MAY_3, revoked_why=why)
    assert str(why_ended(row, NOW)).endswith(" 3 May.")
    told = str(only([sign_in(outcome=Reason.REVOKED)], row).what)
    assert told.startswith("Thunderbird tried Old iPhone, which ")
    assert told.endswith(" on 3 May.")


@pytest.mark.parametrize(
    ("known", "end", "words"),
    [
        ({}, None, ""),
        ({"expires_at": NOW + 1}, None, ""),
        ({"expires_at": NOW}, (NOW, None), "It expired on 5 May."),
        (REVOKED, (MAY_3, RevokedWhy.BY_OWNER), "You revoked it on 3 May."),
        ({"expires_at": MAY_3 + 1, **REVOKED}, (MAY_3, RevokedWhy.BY_OWNER), "You revoked it on 3 May."),
        ({"expires_at": MAY_3 - DAY, **REVOKED}, (MAY_3 - DAY, None), "It expired on 2 May."),
    ],
)
def test_what_came_first_is_the_end(known, end, words):
    row = app_password(**known)
    assert (end_of(row, NOW), str(why_ended(row, NOW))) == (end, words)


# --- grouping -----------------------------------------------------------------------------------------------


def test_what_is_alike_is_one_story_and_what_is_not_is_another():
    row, other = app_password(), app_password("ap_2", "Laptop")
    told = stories(
        [
            sign_in(NOW),
            sign_in(NOW - DAY, peer="198.51.100.9"),
            sign_in(NOW - HOUR, app_password_id="ap_2"),
            sign_in(NOW - 2 * HOUR, service=Service.SUBMISSION, client="[192.0.2.7]"),
            sign_in(NOW - 3 * HOUR, Reason.WRONG_SCOPE, service=Service.DAV),
        ],
        [row, other],
        NOW,
    )
    assert [said(story) for story in told.came_in] == [
        (
            "Thunderbird read mail with Old iPhone. | "
            "2 times since 4 May. The last: 14:05, from 192.0.2.7 and 198.51.100.9."
        ),
        "Thunderbird read mail with Laptop. | Once: 13:05, from 192.0.2.7.",
        "An app sent mail with Old iPhone. | Once: 12:05, from 192.0.2.7.",
    ]
    assert len(told.refused) == 1


def test_apps_of_one_phone_are_one_story():
    agents = ("iOS/17.5 (21F79) dataaccessd/1.0", "iOS/17.5 (21F79) accountsd/1.0")
    tries = [sign_in(NOW - n, Reason.REVOKED, agent, service=Service.DAV) for n, agent in enumerate(agents)]
    assert "keeps trying" in str(only(tries, app_password(**REVOKED)).what)


@pytest.mark.parametrize(
    ("ages", "tried"),
    [
        ((0,), "tried"),
        ((0, 1), "keeps trying"),
        ((2 * DAY, 3 * DAY), "tried"),
        ((2 * DAY - 1, 20 * DAY), "keeps trying"),
    ],
)
def test_who_keeps_trying_was_here_lately_and_more_than_once(ages, tried):
    tries = [sign_in(NOW - age, Reason.REVOKED, "iPhone Mail") for age in ages]
    row = app_password(revoked_at=NOW - 25 * DAY, revoked_why=RevokedWhy.BY_OWNER)
    assert str(only(tries, row).what) == f"Your phone {tried} Old iPhone, which you revoked on 10 April."


def test_an_outage_is_told_by_the_day_whatever_the_app_password():
    told = stories(
        [
            sign_in(MAY_3, Reason.UNAVAILABLE),
            sign_in(MAY_3 + 900, Reason.UNAVAILABLE, "iPhone Mail", app_password_id="ap_2"),
            sign_in(NOW - 20 * DAY, Reason.UNAVAILABLE),
        ],
        [app_password()],
        NOW,
    )
    assert [str(story.often) for story in told.refused] == [
        "2 sign-ins had to wait: 3 May, 14:05 to 14:20.",
        "1 sign-in had to wait: 15 April, 14:05.",
    ]


def test_many_addresses_are_counted_behind_the_newest():
    tries = [sign_in(NOW - n, peer=f"192.0.2.{n}") for n in range(5)] + [sign_in(NOW - 9, peer="")]
    assert str(only(tries, app_password()).often).endswith(
        "from 192.0.2.0, 192.0.2.1, 192.0.2.2 and 2 other addresses."
    )
    assert str(only(tries[:4], app_password()).often).endswith("192.0.2.2 and 1 other address.")


def test_the_newest_story_is_the_first():
    records = [
        sign_in(NOW - 3 * HOUR, Reason.REVOKED),
        sign_in(NOW - HOUR, Reason.BUG),
        sign_in(NOW - 2 * HOUR, Reason.WRONG_SCOPE),
    ]
    told = stories(records, [app_password(**REVOKED)], NOW)
    assert [str(story.often) for story in told.refused][1:] == [
        "Once: 12:05, from 192.0.2.7.",
        "Once: 11:05, from 192.0.2.7.",
    ]


@pytest.mark.parametrize("outcome", [Reason.REVOKED, "granted"])
def test_nothing_that_is_chosen_becomes_markup(outcome):
    hostile = "<script>alert(1)</script>"
    row = app_password(label=hostile, **(REVOKED if outcome == Reason.REVOKED else {}))
    what = only([sign_in(outcome=outcome, client=hostile)], row).what.__html__()
    assert "<script" not in what
    assert what.count("&lt;script&gt;") == 2


# --- deeds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (deed(ChangeKind.MINTED, label="Phone"), "You generated Phone, from 192.0.2.7."),
        (
            deed(ChangeKind.SECOND_FACTOR_RESET, actor_kind="operator", where="command line"),
            "The administrator reset the second factor, which ended all app passwords.",
        ),
        (
            deed(ChangeKind.ALIAS_ADDED, actor_kind="operator", detail="al"),
            "The administrator gave you the other name al.",
        ),
        (
            deed(ChangeKind.REPLACED, label="Phone"),
            "Phone gave way to the one it was renewed with, from 192.0.2.7.",
        ),
        (deed(ChangeKind.REVOKED), "You revoked an app password, from 192.0.2.7."),
    ],
)
def test_a_deed_says_who_did_what_and_from_where(entry, what):
    assert [str(told.what) for told in deeds.told([entry], NOW)] == [what]


@pytest.mark.parametrize("kind", ChangeKind)
def test_every_deed_is_told(kind):
    (told,) = deeds.told([deed(kind, at=MAY_3, label="Phone", detail="al")], NOW)
    assert "{" not in str(told.what)
    assert "None" not in str(told.what)
    assert str(told.what)[0].isupper()
    assert str(told.when) == "3 May, 14:05"


def test_the_newest_deed_is_the_first():
    entries = [deed(ChangeKind.MINTED, MAY_3, label="Phone"), deed(ChangeKind.REVOKED, NOW, label="Phone")]
    assert [str(told.when) for told in deeds.told(entries, NOW)] == ["5 May, 14:05", "3 May, 14:05"]
