"""Any body at all: through the decoder and ours dots set, then read by decoders that are not ours."""

import re
from smtplib import quotedata

from hypothesis import given
from hypothesis import strategies as st

from proxy.smtp.data import BareNewlines, DataDecoder

PIECES = st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"x", b"\0", b"\r\n.\r\n", b"\xff", b"MAIL"])
ANYTHING = st.lists(PIECES | st.binary(max_size=5), max_size=30).map(b"".join)
LINES = st.lists(st.text(st.sampled_from(". xyz\u00e9"), max_size=4), max_size=12)
CUTS = st.lists(st.integers(0, 200), max_size=8)


def passed(wire: bytes, cuts: list[int], bare=BareNewlines.REFUSE):
    """Give text, rest and fault of `wire` taken in pieces; rest is None when it has not ended."""
    decoder, text, start, fault = DataDecoder(bare), b"", 0, None
    for end in sorted({min(cut, len(wire)) for cut in cuts} | {len(wire)}):
        taken = decoder.take(wire[start:end])
        text += taken.text
        fault = taken.fault
        start = end
        if taken.ended:
            return text, taken.rest + wire[end:], fault
    return text, None, fault


def undotted(text: bytes) -> bytes:
    """What RFC 5321 §4.5.2 makes of a text on the wire, line by line."""
    return b"\r\n".join(line.removeprefix(b".") for line in text.split(b"\r\n"))


@given(lines=LINES, cuts=CUTS)
def test_what_smtplib_sends_arrives_as_smtplib_sent_it(lines, cuts):
    body = "".join(f"{line}\r\n" for line in lines)
    wire = quotedata(body).encode()
    text, rest, fault = passed(wire + b".\r\nQUIT\r\n", cuts)
    assert (rest, fault) == (b"QUIT\r\n", None)
    assert text == wire
    assert undotted(text) == body.encode()


@given(wire=ANYTHING, cuts=CUTS)
def test_a_message_is_one_message_for_every_reader_or_none(wire, cuts):
    text, rest, fault = passed(wire, cuts)
    end = (b"\r\n" + wire).find(b"\r\n.\r\n")
    assert (rest is not None) == (end >= 0)
    if rest is not None:
        assert rest == wire[end + 3 :]
    if fault is not None or rest is None:
        return
    sent = text + b".\r\n"
    assert undotted(text) == undotted(wire[:end])
    assert not re.search(rb"\0|\r(?!\n)|(?<!\r)\n", sent)
    ends = re.findall(rb"(?:\A|\r|\n)\.(?:\r|\n)", sent)  # as the most careless reader would see them
    assert len(ends) == 1


@given(wire=ANYTHING, cuts=CUTS)
def test_it_does_not_matter_how_it_is_cut(wire, cuts):
    _, rest, fault = passed(wire, cuts)
    text, whole_rest, whole_fault = passed(wire, [])
    assert (rest, fault) == (whole_rest, whole_fault)
    if fault is None:
        assert passed(wire, cuts)[0] == text


@given(wire=ANYTHING.filter(lambda wire: b"\0" not in wire), cuts=CUTS)
def test_what_is_mended_is_one_message_for_every_reader(wire, cuts):
    text, rest, fault = passed(wire, cuts, BareNewlines.NORMALISE)
    end = (b"\r\n" + wire).find(b"\r\n.\r\n")
    assert (fault, rest is not None) == (None, end >= 0)
    if rest is not None:
        assert rest == wire[end + 3 :]
        sent = text + b".\r\n"
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", sent)
        assert len(re.findall(rb"(?:\A|\r|\n)\.(?:\r|\n)", sent)) == 1
        assert passed(wire, [], BareNewlines.NORMALISE)[0] == text
        assert len(undotted(text)) == passed_octets(wire, cuts)


def passed_octets(wire: bytes, cuts: list[int]) -> int:
    """What the decoder counts of a message that is mended."""
    decoder, start = DataDecoder(BareNewlines.NORMALISE), 0
    for end in sorted({min(cut, len(wire)) for cut in cuts} | {len(wire)}):
        if decoder.take(wire[start:end]).ended:
            break
        start = end
    return decoder.octets
