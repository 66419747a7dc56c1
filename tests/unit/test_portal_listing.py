"""App passwords as lines of a list: what is said of each, in which order, and never `None`."""

from __future__ import annotations

from dataclasses import fields
from ipaddress import ip_network

import pytest

from auth.refusal import Reason
from auth.store.rows import LastUse, RevokedWhy
from proxy.portal import listing
from scopes.model import Limits, Scope, Service
from support.records import DAY, HOUR, NOW, app_password, sign_in

REVOKED = {"revoked_at": NOW - 2 * DAY, "revoked_why": RevokedWhy.BY_OWNER}


def one(uses: listing.Uses = None, **known) -> listing.Active:
    (line,) = listing.active([app_password(**known)], uses, NOW)
    return line


def use(at: int, client: str = "Thunderbird", service: Service = Service.IMAP, peer: str = "192.0.2.7"):
    return LastUse(app_password_id="ap_1", service=service, client_name=client, at=at, peer=peer)


def test_an_active_one_says_what_it_is():
    line = one(
        label="Laptop",
        scopes=frozenset(Scope),
        limits=Limits(read_only=True, networks=(ip_network("192.0.2.0/24"),)),
        created_by="operator root",
    )
    assert (line.label.text, line.selector, line.opens) == ("Laptop", "k7mq", "mail, contacts and events")
    assert line.limits == ("only reads", "good from 192.0.2.0/24 only")
    assert str(line.made) == "1 May by the administrator"
    assert (str(line.ends), line.ends_soon, line.can_be_renewed, line.notes) == ("never", False, False, ())


def test_the_last_one_that_ended_is_named_with_why():
    old = app_password(id="ap_0", label="Old", **REVOKED)
    phone = app_password(
        id="ap_1", label="Phone", revoked_at=NOW - DAY, revoked_why=RevokedWhy.PRIMARY_CHANGED
    )
    assert not listing.last_ended([], NOW)
    assert str(listing.last_ended([old], NOW)) == "The last one was Old, which you revoked on 3 May."
    said = "The last one was Phone, which ended when the primary password was changed on 4 May."
    assert str(listing.last_ended([phone, old], NOW)) == said


@pytest.mark.parametrize(
    ("uses", "used", "others"),
    [
        (None, "cannot be read at the moment", []),
        ({}, "never", []),
        ({"ap_1": [use(NOW - HOUR)]}, "13:05, Thunderbird, IMAP, from 192.0.2.7", []),
        (
            {
                "ap_1": [
                    use(NOW - DAY, "", Service.DAV, ""),
                    use(NOW - 2 * DAY, "[10.0.0.1]", Service.SUBMISSION),
                ]
            },
            "4 May, 14:05, An app, CardDAV/CalDAV",
            ["3 May, 14:05, An app, SMTP, from 192.0.2.7"],
        ),
    ],
)
def test_when_it_was_last_used(uses, used, others):
    line = one(uses)
    assert (str(line.used), [str(other) for other in line.others]) == (used, others)


@pytest.mark.parametrize(
    ("left", "ends", "soon"),
    [
        (15 * DAY, "20 May", False),
        (14 * DAY, "in 14 days: 19 May, 14:05", True),
        (3 * DAY - HOUR, "in 3 days: 8 May, 13:05", True),
        (DAY, "in 1 day: 6 May, 14:05", True),
        (HOUR, "in less than a day: 5 May, 15:05", True),
    ],
)
def test_what_ends_soon_is_warned_of(left, ends, soon):
    line = one(expires_at=NOW + left)
    assert (str(line.ends), line.ends_soon, line.can_be_renewed) == (ends, soon, True)


def test_what_has_ended_is_not_active():
    rows = [app_password("ap_1", expires_at=NOW), app_password("ap_2", **REVOKED), app_password("ap_3")]
    assert [line.id for line in listing.active(rows, None, NOW)] == ["ap_3"]
    assert [line.id for line in listing.ended(rows, None, NOW)] == ["ap_1", "ap_2"]


def test_the_newest_is_the_first():
    rows = [app_password(f"ap_{n}", created_at=NOW - n * DAY) for n in (3, 1, 2)]
    assert [line.id for line in listing.active(rows, None, NOW)] == ["ap_1", "ap_2", "ap_3"]


def test_the_two_of_a_renewal_stand_together_and_neither_can_be_renewed():
    old = app_password("ap_1", created_at=NOW - 90 * DAY, expires_at=NOW + 10 * DAY)
    new = app_password("ap_2", created_at=NOW, expires_at=NOW + 90 * DAY, replaces="ap_1")
    between = app_password("ap_3", "Laptop", created_at=NOW - DAY)
    lines = listing.active([old, between, new], None, NOW)
    assert [(line.id, line.can_be_renewed, line.ends_soon) for line in lines] == [
        ("ap_2", False, False),
        ("ap_1", False, False),
        ("ap_3", False, False),
    ]
    assert str(lines[1].ends) == "when the new one is first used, at the latest 15 May, 14:05"
    assert "its first use ends" in str(lines[0].notes[0])


def test_one_that_was_perhaps_never_shown_says_so():
    (note,) = one(shown_at=None).notes
    assert str(note).startswith("Perhaps never shown")


@pytest.mark.parametrize(
    ("refused", "tried"),
    [
        (None, ""),
        ({}, ""),
        (
            {"ap_1": sign_in(NOW - HOUR, Reason.REVOKED, "iPhone Mail")},
            "Your phone still tried it: 5 May, 13:05, from 192.0.2.7.",
        ),
        ({"ap_1": sign_in(NOW - DAY, Reason.REVOKED, "", peer="")}, "An app still tried it: 4 May, 14:05."),
        ({"ap_1": sign_in(NOW - 3 * DAY, Reason.WRONG_SCOPE)}, ""),
    ],
)
def test_a_tombstone_says_why_and_who_still_tries(refused, tried):
    (line,) = listing.ended([app_password(**REVOKED)], refused, NOW)
    assert (str(line.why), str(line.tried)) == ("You revoked it on 3 May.", tried)


def test_nothing_says_none():
    rows = [app_password("ap_1", shown_at=None), app_password("ap_2", **REVOKED)]
    for line in (*listing.active(rows, {}, NOW), *listing.ended(rows, {}, NOW)):
        said = [getattr(line, each.name) for each in fields(line)]
        assert "None" not in " ".join(map(str, said))
