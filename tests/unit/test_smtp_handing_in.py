"""A message of the gate's own is handed in: what is said, what each answer means, however it comes."""

from dataclasses import replace

import pytest

from auth.secret import Secret
from proxy.smtp.handing_in import HandingIn, Mail, Outcome, Verdict
from support.transcript import ways

MAIL = Mail(sender="gate@example.org", recipient="alice@example.org", text=b"Subject: x\r\n\r\n.a\r\n..b\r\n")
SAID = [
    b"MAIL FROM:<gate@example.org>\r\n",
    b"RCPT TO:<alice@example.org>\r\n",
    b"DATA\r\n",
    b"Subject: x\r\n\r\n..a\r\n...b\r\n.\r\n",
    b"QUIT\r\n",
]
GOOD = [b"250 ok\r\n", b"250-ok\r\n250 ok\r\n", b"354 go on\r\n", b"250 2.0.0 queued\r\n"]
WAYS = ways()


def play(answers, split, mail=MAIL, extensions=()):
    """Give all answers until there is an outcome; gives it, and what was said."""
    leg, said = HandingIn(mail, extensions), []
    for answer in answers:
        if leg.next() is not None:
            break
        said.append(leg.take_output())
        for piece in split(answer) if answer else [b""]:
            leg.receive(piece)
            leg.next()
    outcome = leg.next()
    return outcome, [*said, leg.take_output()]


@pytest.mark.parametrize("way", WAYS)
def test_a_message_that_is_taken(way):
    outcome, said = play(GOOD, WAYS[way])
    assert outcome == Outcome(Verdict.TAKEN)
    assert said == SAID


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("at", "answer", "verdict"),
    [
        (0, b"450 4.7.1 later\r\n", Verdict.LATER),
        (0, b"553 5.7.1 not yours\r\n", Verdict.LATER),
        (1, b"450 4.2.0 grey\r\n", Verdict.LATER),
        (1, b"421 4.3.2 going down\r\n", Verdict.LATER),
        (1, b"550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n", Verdict.NEVER),
        (1, b"553 5.7.1 <gate@example.org>: Sender address rejected: not owned\r\n", Verdict.LATER),
        (1, b"550 nobody\r\n", Verdict.NEVER),
        (2, b"250 what\r\n", Verdict.LATER),
        (2, b"554 no\r\n", Verdict.LATER),
        (3, b"451 later\r\n", Verdict.LATER),
        (3, b"554 5.7.1 spam\r\n", Verdict.LATER),
        (3, b"354 more\r\n", Verdict.LATER),
        *((at, b"nonsense\r\n", Verdict.LATER) for at in range(4)),
        *((at, b"", Verdict.LATER) for at in range(4)),
    ],
)
def test_what_each_refusal_means(at, answer, verdict, way):
    outcome, said = play([*GOOD[:at], answer, *GOOD[at + 1 :]], WAYS[way])
    assert outcome.verdict is verdict
    assert outcome.cause.isprintable()
    assert said[: at + 1] == SAID[: at + 1]
    assert said[at + 1 :] in ([b"QUIT\r\n"], [b""])


@pytest.mark.parametrize("way", WAYS)
def test_whether_it_would_be_taken_is_asked_without_sending_anything(way):
    outcome, said = play(GOOD, WAYS[way], replace(MAIL, text=b""))
    assert outcome == Outcome(Verdict.TAKEN)
    assert said == [*SAID[:2], b"QUIT\r\n"]


def test_a_refusal_that_repeats_the_link_does_not_put_it_into_the_log():
    mail = Mail(sender="a@b.c", recipient="d@e.f", text=b"x\r\n", hidden=Secret("s3cret-token"))
    outcome, _ = play([*GOOD[:3], b"554 https://x/invitation/s3cret-token is bad\r\n"], WAYS["whole"], mail)
    assert "s3cret" not in outcome.cause
    assert "(hidden)" in outcome.cause


def test_addresses_beyond_ascii_need_a_server_that_takes_them():
    mail = Mail(sender="gate@example.org", recipient="j\u00fcrgen@example.org", text=b"x\r\n", utf8=True)
    outcome, said = play(GOOD, WAYS["whole"], mail)
    assert (outcome.verdict, said) == (Verdict.NEVER, [b""])
    outcome, said = play(GOOD, WAYS["whole"], mail, {"SMTPUTF8": ""})
    assert outcome.verdict is Verdict.TAKEN
    assert said[0] == b"MAIL FROM:<gate@example.org> SMTPUTF8 BODY=8BITMIME\r\n"
    assert said[1] == "RCPT TO:<j\u00fcrgen@example.org>\r\n".encode()
