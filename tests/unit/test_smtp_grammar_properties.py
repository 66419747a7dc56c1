"""Properties of the SMTP grammar over made-up octets (hypothesis)."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from proxy.smtp.grammar import (
    BadCommand,
    Framer,
    Line,
    LineLimits,
    Mailbox,
    MailFrom,
    NeedData,
    Parameter,
    Rejected,
    mail_from,
    rcpt_to,
    split,
)

LIMITS = LineLimits(command=60, sasl=90)

# octets that look like commands more often than chance would have it
pieces = st.lists(
    st.sampled_from(
        [b"AUTH ", b"NOOP", b" ", b"\r\n", b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b"<", b">", b"x" * 50]
    )
    | st.binary(max_size=3),
    max_size=40,
).map(b"".join)
addresses = st.lists(
    st.sampled_from([b"FROM:", b"<", b">", b"@", b".", b",", b":", b'"', b"\\", b" ", b"a", b"-", b"[", b"]"])
    | st.sampled_from([b"SIZE", b"=", b"1", b"IPv6:", b"::1", b"192.0.2.1", b"AUTH", b"\r", b"\n", b"\x00"])
    | st.binary(max_size=2),
    max_size=30,
).map(b"".join)
text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,5}[A-Za-z0-9])?", fullmatch=True)
mailboxes = st.builds(Mailbox, text, st.lists(labels, min_size=1, max_size=4).map(".".join))
keywords = st.from_regex(r"X[A-Z0-9-]{0,8}", fullmatch=True)
values = st.none() | st.from_regex(r"[!-<>-~]{1,10}", fullmatch=True)
parameters = st.lists(st.builds(Parameter, keywords, values), max_size=5, unique_by=lambda each: each.keyword)


def run(octets: bytes, sizes: list[int]) -> list:
    """Feed octets in pieces of these sizes, then the rest."""
    framer, found = Framer(LIMITS), []
    for size in [*sizes, len(octets)]:
        framer.feed(octets[:size])
        octets = octets[size:]
        while not isinstance(event := framer.next(), NeedData):
            found.append(event)
    return found


@given(pieces, st.lists(st.integers(0, 9), max_size=30))
def test_how_octets_are_split_makes_no_difference(octets, sizes):
    assert run(octets, sizes) == run(octets, [])


@given(pieces)
def test_every_line_keeps_to_the_limits_and_stands_between_two_crlf(octets):
    lines = [event.octets for event in run(octets, []) if isinstance(event, Line)]
    between = octets.split(b"\r\n")[:-1]
    for line in lines:
        assert len(line) + 2 <= (LIMITS.sasl if line[:5].upper() == b"AUTH " else LIMITS.command)
        assert not set(line) & set(b"\r\n\x00")
        assert line in between
        with suppress(BadCommand):
            split(line)


@given(pieces)
def test_one_event_for_what_stands_between_two_crlf(octets):
    ended = octets[: octets.rfind(b"\r\n") + 2] if b"\r\n" in octets else b""
    found = run(ended, [])
    assert len(found) == ended.count(b"\r\n")
    assert all(isinstance(event, Line | Rejected) for event in found)


@given(mailboxes, parameters)
def test_what_was_written_is_read(mailbox, given_parameters):
    command = MailFrom(mailbox, tuple(given_parameters))
    assert mail_from(command.wire.removeprefix(b"MAIL ").removesuffix(b"\r\n")) == command


@given(addresses)
def test_what_is_taken_is_one_line_of_printable_ascii_and_is_read_again(octets):
    for read, word in ((mail_from, b"MAIL "), (rcpt_to, b"RCPT ")):
        with suppress(BadCommand):
            command = read(octets)
            line = command.wire.removeprefix(word).removesuffix(b"\r\n")
            assert line.isascii()
            assert line.decode().isprintable()
            assert read(line) == command
