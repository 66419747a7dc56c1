"""The reply for every reason there is, on every protocol."""

import pytest

from auth.refusal import Reason, Refusal
from proxy.failures import (
    BUG,
    CHALLENGE,
    HTTP,
    IMAP,
    SMTP,
    UNAVAILABLE,
    House,
    http_refusal,
    imap_no,
    smtp_refusal,
)
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
    Reason.READ_ONLY: (
        'NO [NOPERM] the app-specific password "phone" opens contacts and events for reading only, '
        "not for sending"
    ),
    Reason.SEND_ONLY: (
        'NO [NOPERM] the app-specific password "phone" opens contacts and events for sending only, '
        "not for reading"
    ),
    Reason.ADDRESS_NOT_ALLOWED: (
        'NO [NOPERM] the app-specific password "phone" opens contacts and events, but not from your address'
    ),
    Reason.TOO_MUCH_WORK: "NO [LIMIT] too many wrong sign-ins from your address, try again later",
    Reason.UNAVAILABLE: "NO [UNAVAILABLE] sign-in is not possible at the moment, try again later",
    Reason.BUG: "NO [SERVERBUG] internal error, please tell whoever runs this server",
}
SMTP_WORDS = {
    Reason.BAD_CREDENTIALS: b"535 5.7.8 wrong name or app-specific password\r\n",
    Reason.NOT_APP_PASSWORD: (
        b"535 5.7.8 app-specific password required: https://mail.example.org/passwords\r\n"
    ),
    Reason.REVOKED: b'535 5.7.8 the app-specific password "phone" was revoked\r\n',
    Reason.EXPIRED: b'535 5.7.8 the app-specific password "phone" has expired\r\n',
    Reason.WRONG_SCOPE: (
        b'535 5.7.8 the app-specific password "phone" opens contacts and events, not mail\r\n'
    ),
    Reason.READ_ONLY: (
        b'535 5.7.8 the app-specific password "phone" opens contacts and events for reading only, '
        b"not for sending\r\n"
    ),
    Reason.SEND_ONLY: (
        b'535 5.7.8 the app-specific password "phone" opens contacts and events for sending only, '
        b"not for reading\r\n"
    ),
    Reason.ADDRESS_NOT_ALLOWED: (
        b'535 5.7.8 the app-specific password "phone" opens contacts and events, '
        b"but not from your address\r\n"
    ),
    Reason.TOO_MUCH_WORK: b"454 4.7.0 too many wrong sign-ins from your address, try again later\r\n",
    Reason.UNAVAILABLE: b"454 4.7.0 sign-in is not possible at the moment, try again later\r\n",
    Reason.BUG: b"451 4.3.0 internal error, please tell whoever runs this server\r\n",
}
HTTP_WORDS = {
    Reason.BAD_CREDENTIALS: (401, "wrong name or app-specific password"),
    Reason.NOT_APP_PASSWORD: (401, "app-specific password required: https://mail.example.org/passwords"),
    Reason.REVOKED: (401, 'the app-specific password "phone" was revoked'),
    Reason.EXPIRED: (401, 'the app-specific password "phone" has expired'),
    Reason.WRONG_SCOPE: (
        403, 'the app-specific password "phone" opens contacts and events, not contacts or events',
    ),
    Reason.READ_ONLY: (
        403,
        'the app-specific password "phone" opens contacts and events for reading only, not for sending',
    ),
    Reason.SEND_ONLY: (
        403,
        'the app-specific password "phone" opens contacts and events for sending only, not for reading',
    ),
    Reason.ADDRESS_NOT_ALLOWED: (
        403, 'the app-specific password "phone" opens contacts and events, but not from your address',
    ),
    Reason.TOO_MUCH_WORK: (429, "too many wrong sign-ins from your address, try again later"),
    Reason.UNAVAILABLE: (503, "sign-in is not possible at the moment, try again later"),
    Reason.BUG: (500, "internal error, please tell whoever runs this server"),
}  # fmt: skip
for words in (WORDS, SMTP_WORDS, HTTP_WORDS):
    words[Reason.UPSTREAM_REFUSED] = words[Reason.UNAVAILABLE]  # no client hears the difference
TEMPORARY = (Reason.UNAVAILABLE, Reason.UPSTREAM_REFUSED, Reason.BUG, Reason.TOO_MUCH_WORK)


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
    assert set(SMTP) == set(SMTP_WORDS) == set(Reason)
    assert set(HTTP) == set(HTTP_WORDS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_reply(reason):
    assert imap_no(refusal(reason), HOUSE) == WORDS[reason]
    assert smtp_refusal(refusal(reason), HOUSE) == SMTP_WORDS[reason]
    answer = http_refusal(refusal(reason), HOUSE)
    assert (answer.status, answer.body.decode()) == (HTTP_WORDS[reason][0], HTTP_WORDS[reason][1] + "\n")


@pytest.mark.parametrize("reason", Reason)
def test_only_a_wrong_password_is_asked_for_again_and_an_outage_says_when(reason):
    fields = dict(http_refusal(refusal(reason), HOUSE).fields)
    status = HTTP[reason]
    assert (CHALLENGE in fields.items()) == (status == 401)
    assert ("Retry-After" in fields) == (status in (429, 503))


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
    assert smtp_refusal(refusal(reason), HOUSE).startswith(b"4")
    assert http_refusal(refusal(reason), HOUSE).status in (429, 500, 503)


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
