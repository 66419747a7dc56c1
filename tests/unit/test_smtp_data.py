"""The strict pass over a message: what ends it, what breaks it, what goes upstream, however it is cut."""

import pytest

from proxy.smtp.data import BareNewlines, DataDecoder, DataFault
from support.transcript import at_random, byte_by_byte, ways, whole


def decode(octets: bytes, split=whole, bare=BareNewlines.REFUSE):
    """Give text for the upstream, whether it ended, what came behind, the fault, and the count."""
    decoder = DataDecoder(bare)
    text, rest, ended, fault = b"", b"", False, None
    for piece in split(octets):
        if ended:
            rest += piece
            continue
        taken = decoder.take(piece)
        text += taken.text
        ended, fault = taken.ended, taken.fault
        rest += taken.rest
    return text, ended, rest, fault, decoder.octets


def everywhere(octets: bytes):
    """Every way to cut `octets` in two, and those of the dialogs."""
    for at in range(len(octets) + 1):
        yield lambda data, at=at: iter((data[:at], data[at:]))
    yield from ways().values()


LEGAL = {
    "no octet at all": (b".\r\n", b"", 0),
    "one empty line": (b"\r\n.\r\n", b"\r\n", 2),
    "two lines": (b"a\r\nb\r\n.\r\n", b"a\r\nb\r\n", 6),
    "dots of the client undone and ours set": (b"..\r\n...x\r\n.\r\n", b"..\r\n...x\r\n", 8),
    "a dot that stands for nothing": (b".x\r\na\r\n.y.\r\n.\r\n", b"x\r\na\r\ny.\r\n", 10),
    "a dot within a line": (b"a.\r\n.\r\n", b"a.\r\n", 4),
    "a long line": (b"x" * 5000 + b"\r\n.\r\n", b"x" * 5000 + b"\r\n", 5002),
    "octets of all values": (bytes(range(14, 256)) + b"\r\n.\r\n", bytes(range(14, 256)) + b"\r\n", 244),
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_message(name):
    wire, text, octets = LEGAL[name]
    splits = ways().values() if len(wire) > 1000 else everywhere(wire)
    for split in splits:
        assert decode(wire + b"QUIT\r\n", split) == (text, True, b"QUIT\r\n", None, octets)


FALSE_ENDS = {
    "LF.LF": (b"a\n.\nb", DataFault.BARE_LF),
    "LF.CRLF": (b"a\n.\r\nb", DataFault.BARE_LF),
    "CRLF.LF": (b"a\r\n.\nb", DataFault.BARE_LF),
    "CR.CR": (b"a\r.\rb", DataFault.BARE_CR),
    "CR.CRLF": (b"a\r.\r\nb", DataFault.BARE_CR),
    "CRLF.CR": (b"a\r\n.\rb", DataFault.BARE_CR),
    "CR.LF": (b"a\r.\nb", DataFault.BARE_CR),
    "LF.CR": (b"a\n.\rb", DataFault.BARE_LF),
    "CRCRLF.CRCRLF": (b"a\r\r\n.\r\r\nb", DataFault.BARE_CR),
    "CRLF.CRCRLF": (b"a\r\n.\r\r\nb", DataFault.BARE_CR),
    "LFCR.LFCR": (b"a\n\r.\n\rb", DataFault.BARE_LF),
    "LFLF.LFLF": (b"a\n\n.\n\nb", DataFault.BARE_LF),
    "CRLF NUL.CRLF": (b"a\r\n\0.\r\nb", DataFault.NUL),
    "CRLF.NUL CRLF": (b"a\r\n.\0\r\nb", DataFault.NUL),
    "CR NUL LF.CRLF": (b"a\r\0\n.\r\nb", DataFault.BARE_CR),
    "LF.LF at once": (b"\n.\nb", DataFault.BARE_LF),
    ".LF at once": (b".\nb", DataFault.BARE_LF),
    ".CR at once": (b".\rb", DataFault.BARE_CR),
}


@pytest.mark.parametrize("name", FALSE_ENDS)
def test_a_false_end_ends_nothing_and_the_true_one_is_found_behind_it(name):
    wire, fault = FALSE_ENDS[name]
    for split in everywhere(wire):
        text, ended, _, found, _ = decode(wire, split)
        assert (ended, found) == (False, fault)
        assert text in (b"", b"a", b"a\r\n", b"a\r\n.")
    wire += b"\r\nMAIL FROM:<x>\r\n.\r\n"
    for split in everywhere(wire):
        _, ended, rest, found, _ = decode(wire + b"QUIT\r\n", split)
        assert (ended, rest, found) == (True, b"QUIT\r\n", fault)


def test_a_fault_that_comes_with_the_end_is_a_fault():
    assert decode(b"a\n\r\n.\r\nQUIT\r\n")[1:4] == (True, b"QUIT\r\n", DataFault.BARE_LF)


def test_the_final_dot_is_an_end_before_what_is_wrong_behind_it():
    for split in everywhere(b"a\r\n.\r\n\n\0\r"):
        assert decode(b"a\r\n.\r\n\n\0\r", split)[1:4] == (True, b"\n\0\r", None)


def test_nothing_is_given_of_what_may_be_the_end():
    decoder = DataDecoder()
    assert decoder.take(b"a\r\n.\r").text == b"a"
    assert decoder.take(b"\n").text == b"\r\n"


def test_what_is_kept_does_not_grow():
    decoder = DataDecoder()
    for octets in byte_by_byte(b"\r\n.." * 300 + b"\r\n.\r\n"):
        decoder.take(octets)
        assert len(decoder._kept) <= 5


def test_a_fault_keeps_nothing_but_what_an_end_begins_with():
    decoder = DataDecoder()
    for piece in at_random(1)(b"\n" + b"x" * 100_000):
        assert decoder.take(piece).text == b""
        assert len(decoder._kept) <= 4


MENDED = {
    "LF.LF": (b"a\n.\nb\r\n.\r\n", b"a\r\n..\r\nb\r\n", 9),
    "LF.CRLF": (b"a\n.\r\nb\r\n.\r\n", b"a\r\n..\r\nb\r\n", 9),
    "CRLF.LF": (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n", 8),
    "CR.CR": (b"a\r.\rb\r\n.\r\n", b"a\r\n..\r\nb\r\n", 9),
    "CRLF.CR": (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\r\nb\r\n", 8),
    "CRCRLF": (b"a\r\r\nb\r\n.\r\n", b"a\r\n\r\nb\r\n", 8),
    "LFCR": (b"a\n\rb\r\n.\r\n", b"a\r\n\r\nb\r\n", 8),
    "lines of Unix": (b"a\nb\n..c\n\r\n.\r\n", b"a\r\nb\r\n...c\r\n\r\n", 13),
    "LF at once": (b"\n.\n\r\n.\r\n", b"\r\n..\r\n\r\n", 7),
    "nothing to mend": (b"a\r\n..b\r\n.\r\n", b"a\r\n..b\r\n", 7),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_is_mended_where_the_config_says_so(name):
    wire, text, octets = MENDED[name]
    for split in everywhere(wire):
        said = decode(wire + b"QUIT\r\n", split, BareNewlines.NORMALISE)
        assert said == (text, True, b"QUIT\r\n", None, octets)


def test_nul_is_never_mended():
    assert decode(b"a\n\0\r\n.\r\n", bare=BareNewlines.NORMALISE)[3] is DataFault.NUL
