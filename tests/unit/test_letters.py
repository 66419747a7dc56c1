"""What owners are written: every kind has words, and nothing that was typed gets out of its line."""

import email
from email import policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auth.secret import Secret
from auth.store.notices import NoticeKind as K
from proxy.letters.message import Envelope, recipient_of, written
from proxy.letters.words import From, Letter, day, invitation, letter, moment
from support.office import ALICE

HOUSE = From(host="mail.example.org", portal_url="https://mail.example.org/")
BARE = From(host="mail.example.org")
AT = 1_809_331_200  # 3 May 2027, 08:00 UTC
ENVELOPE = Envelope(sender="gate@example.org", recipient=ALICE, written_at=AT, subject="minted ap_1")


FIELDS = [
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
]


def facts(label="phone", **more):
    one = {
        "label": label,
        "selector": "k7mq",
        "scopes": ["events", "mail"],
        "expires_at": AT,
        "old_ends_at": AT,
    }
    told = {
        "by": "owner",
        "where": "192.0.2.7",
        "at": AT,
        "deed": "all app passwords revoked",
        "renewed": False,
    }
    return told | {"app_passwords": [one]} | more


def read(said, envelope=ENVELOPE):
    octets = written(said, envelope)
    return octets, email.message_from_bytes(octets, policy=policy.default)


def test_times_are_written_as_people_do():
    assert (day(AT), moment(AT)) == ("3 May 2027", "3 May 2027, 08:00 UTC")


@pytest.mark.parametrize("kind", [kind for kind in K if kind is not K.INVITATION])
@pytest.mark.parametrize("house", [HOUSE, BARE])
def test_every_kind_says_whose_it_is_and_which(kind, house):
    said = letter(kind, facts(), house, ALICE)
    text = " ".join(said.paragraphs)
    assert ALICE in text
    assert '"phone"' in text
    assert "None" not in said.subject + text
    assert "{" not in said.subject + text
    assert ("https://mail.example.org/app-passwords" in text) == (house is HOUSE)


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        (K.MINTED, {}, ["It opens mail and events until 3 May 2027, 08:00 UTC.", "by you on 3 May"]),
        (K.MINTED, {"by": "operator", "where": "command line"}, ["It was made by the operator on 3 May"]),
        (K.MINTED, {"where": "command line"}, ["by you on 3 May 2027, 08:00 UTC at the command line."]),
        (K.RENEWED, {}, ["works until the new one is first used, and until 3 May 2027, 08:00 UTC"]),
        (K.REPLACED, {}, ["used for the first time on 3 May 2027, 08:00 UTC from 192.0.2.7."]),
        (K.REVOKED, {}, ["was revoked by you on 3 May 2027, 08:00 UTC from 192.0.2.7."]),
        (K.ALL_REVOKED, {"deed": "primary password changed"}, ["because the primary password was changed"]),
        (K.ALL_REVOKED, {"deed": "account disabled"}, ["because the account was disabled"]),
        (K.ALL_REVOKED, {"deed": "of a newer version"}, [f"App passwords of {ALICE} were revoked, by"]),
        (K.EXPIRING, {}, ["expires on 3 May 2027, 08:00 UTC", "Renew it before: https://"]),
        (K.EXPIRING, {"renewed": True}, ["the new one was not used yet: type it into your app"]),
    ],
)  # fmt: skip
def test_what_happened_is_said(kind, more, words):
    text = " ".join(letter(kind, facts(**more), HOUSE, ALICE).paragraphs)
    for each in words:
        assert each in text


def test_one_without_an_end_says_so():
    told = facts()
    told["app_passwords"][0]["expires_at"] = None
    assert "and does not expire." in letter(K.MINTED, told, HOUSE, ALICE).paragraphs[0]


def test_an_invitation_has_its_link_on_a_line_of_its_own():
    link = Secret("https://mail.example.org/invitation/" + "a" * 80)
    said = invitation(link, AT, HOUSE, ALICE)
    assert link.reveal() not in repr(said)
    octets, _ = read(said)
    assert b"\r\n" + link.reveal_bytes() + b"\r\n" in octets


def test_a_message_is_marked_as_a_machines():
    """RFC 5322 §3.6 and RFC 3834 §5."""
    octets, message = read(letter(K.MINTED, facts(), HOUSE, ALICE))
    assert message["From"].addresses[0].addr_spec == "gate@example.org"
    assert message["To"].addresses[0].addr_spec == ALICE
    assert message["Subject"] == "New app password: phone"
    assert message["Date"].datetime.timestamp() == AT
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.org>")
    assert octets.endswith(b"\r\n")
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 78


def test_the_same_letter_is_the_same_octets_and_another_one_is_not():
    said = letter(K.MINTED, facts(), HOUSE, ALICE)
    assert written(said, ENVELOPE) == written(said, ENVELOPE)
    other = Envelope(sender="gate@example.org", recipient=ALICE, written_at=AT, subject="minted ap_2")
    assert read(said)[1]["Message-ID"] != read(said, other)[1]["Message-ID"]


NASTY = [
    "x\r\nBcc: eve@example.net\r\n\r\nhello",
    "x\nSubject: other",
    "x\r.\r\n",
    "=?utf-8?q?=0D=0ABcc:_eve@example.net?=",
    "\u2028Bcc: eve@example.net\u2029",
    "\x00\x1b[2J\x85",
    "K\u00fcche \U0001f4f1 " + "\u00e4" * 50,
    "a" * 64,
    '"quoted" <eve@example.net>,',
]


@pytest.mark.parametrize("label", NASTY)
@pytest.mark.parametrize("kind", [kind for kind in K if kind is not K.INVITATION])
def test_a_label_cannot_write_a_header(kind, label):
    """Labels with line ends are refused when they are made; here they are put on one line as well."""
    said = letter(kind, facts(label, where=label), HOUSE, ALICE)
    octets, message = read(said)
    assert message.keys() == FIELDS
    assert [each.addr_spec for each in message["To"].addresses] == [ALICE]
    assert octets.isascii()
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    if label.isprintable() and kind is not K.ALL_REVOKED:
        assert message["Subject"].endswith(label), "as it was typed, and not what it might mean"
        assert label.split()[0] in message.get_content()


def test_addresses_beyond_ascii():
    """A domain goes in its xn-- form, which every server takes; a local part needs SMTPUTF8 (RFC 6531)."""
    assert recipient_of("bob@b\u00fccher.example") == "bob@xn--bcher-kva.example"
    envelope = Envelope(
        sender="gate@example.org", recipient="j\u00fcrgen@xn--bcher-kva.example", written_at=AT, subject="x"
    )
    assert envelope.utf8
    octets = written(Letter(subject="x", paragraphs=("hello",)), envelope)
    assert "\r\nTo: <j\u00fcrgen@xn--bcher-kva.example>\r\n".encode() in octets


@pytest.mark.parametrize("broken", [{}, {"app_passwords": []}, {"app_passwords": [{}]}])
def test_facts_that_are_missing_are_an_error(broken):
    with pytest.raises((LookupError, ValueError)):
        letter(K.REVOKED, broken, HOUSE, ALICE)


@given(label=st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs")), min_size=1, max_size=64))
@example(label="=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLm5ldA0K?=")
@example(label="=?utf-8?q?a?= =?utf-8?q?b?=")
def test_any_label_is_read_as_it_was_typed(label):
    said = letter(K.REVOKED, facts(label), HOUSE, ALICE)
    octets, message = read(said)
    assert message.keys() == FIELDS
    assert octets.isascii()
    if label.isprintable():
        assert message["Subject"].rstrip() == f"App password revoked: {label}".rstrip()


def test_those_that_ended_together_stand_under_each_other():
    several = [facts(label)["app_passwords"][0] for label in ("phone", "a tablet " * 7, "printer")]
    _, message = read(letter(K.ALL_REVOKED, facts(app_passwords=several), HOUSE, ALICE))
    lines = message.get_content().splitlines()
    first, last = (
        next(n for n, line in enumerate(lines) if f'- "{label}"' in line) for label in ("phone", "printer")
    )
    assert (lines[first - 1], lines[last + 1]) == ("", "")
    assert "" not in lines[first:last]
    assert max(map(len, lines)) <= 78
