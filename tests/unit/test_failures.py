"""The IMAP reply for every reason there is."""

import pytest

from auth.refusal import Reason, Refusal
from proxy.failures import BUG, IMAP, UNAVAILABLE, House, imap_no
from scopes.model import Scope

HOUSE = House(host="mail.example.org", portal_url="https://mail.example.org/passwords")
NO_PORTAL = House(host="mail.example.org")

WORDS = {
    Reason.BAD_CREDENTIALS: "NO [AUTHENTICATIONFAILED] wrong name or app-specific password",
    Reason.NOT_APP_PASSWORD: (
        "NO [AUTHENTICATIONFAILED] app-specific password required: https://mail.example.org/passwords"
    ),
    Reason.REVOKED: 'NO [AUTHENTICATIONFAILED] the app-specific password "phone" was revoked',
    Reason.EXPIRED: 'NO [EXPIRED] the app-specific password "phone" has expired',
    Reason.WRONG_SCOPE: 'NO [NOPERM] the app-specific password "phone" opens contacts and events, not mail',
    Reason.ADDRESS_NOT_ALLOWED: (
        'NO [NOPERM] the app-specific password "phone" opens contacts and events, but not from your address'
    ),
    Reason.TOO_MUCH_WORK: "NO [LIMIT] too many wrong sign-ins from your address, try again later",
    Reason.UNAVAILABLE: "NO [UNAVAILABLE] sign-in is not possible at the moment, try again later",
    Reason.BUG: "NO [SERVERBUG] internal error, please tell whoever runs this server",
}
TEMPORARY = (Reason.UNAVAILABLE, Reason.BUG, Reason.TOO_MUCH_WORK)


def refusal(reason: Reason, label: str | None = "phone") -> Refusal:
    return Refusal(
        reason=reason,
        account_id="ac_secretid",
        app_password_id="ap_secretid",
        label=label,
        scopes=frozenset({Scope.EVENTS, Scope.CONTACTS}),
        cause="a cause for the log",
    )


def test_every_reason_has_a_reply():
    assert set(IMAP) == set(WORDS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_reply(reason):
    assert imap_no(refusal(reason), HOUSE) == WORDS[reason]


@pytest.mark.parametrize("reason", Reason)
def test_a_reply_fits_into_a_line_and_says_nothing_for_the_log(reason):
    reply = imap_no(refusal(reason), HOUSE)
    assert reply.isascii()
    assert reply.isprintable()
    assert "secretid" not in reply
    assert "cause" not in reply


@pytest.mark.parametrize("reason", TEMPORARY)
def test_what_is_temporary_never_looks_like_a_wrong_password(reason):
    assert "AUTHENTICATIONFAILED" not in imap_no(refusal(reason), HOUSE)


def test_without_a_portal_the_user_is_told_whom_to_ask():
    assert imap_no(refusal(Reason.NOT_APP_PASSWORD), NO_PORTAL) == (
        "NO [AUTHENTICATIONFAILED] app-specific password required: ask whoever runs mail.example.org for one"
    )


@pytest.mark.parametrize("label", [None, "", "Büro", "line\r\nbreak", "del\x7f"])
def test_a_label_that_imap_text_cannot_hold_is_left_out(label):
    reply = imap_no(refusal(Reason.REVOKED, label), HOUSE)
    assert reply == "NO [AUTHENTICATIONFAILED] this app-specific password was revoked"


def test_braces_in_a_label_are_text():
    assert '"{where}"' in imap_no(refusal(Reason.REVOKED, "{where}"), HOUSE)


def test_no_scope_at_all():
    assert "opens nothing, not mail" in imap_no(Refusal(reason=Reason.WRONG_SCOPE), HOUSE)


def test_the_two_refusals_of_our_own():
    assert (UNAVAILABLE.reason, BUG.reason) == (Reason.UNAVAILABLE, Reason.BUG)
