"""Properties of the IMAP grammar over made-up octets (hypothesis)."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.grammar import (
    Argument,
    Atom,
    BadCommand,
    Continue,
    Frame,
    FrameLimits,
    Framer,
    Literal,
    NeedData,
    Rejected,
    String,
    parse,
)

LIMITS = FrameLimits(
    line=400, sasl_line=400, literal=300, non_sync_literal=60, digits=4, literals=100, command=2000
)
ATOM = b"!#$&'+,-./0123456789:;<=>?@ABCXYZ[]^_`abcxyz|}~"

atoms = st.lists(st.sampled_from(ATOM), min_size=1, max_size=8).map(bytes).map(Atom)
strings = st.binary(max_size=12).filter(lambda octets: 0 not in octets).map(String)
trees = st.lists(
    st.recursive(atoms | strings, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6),
    max_size=4,
).map(tuple)
# octets that look like commands more often than chance would have it
pieces = st.lists(
    st.sampled_from(
        [
            b"a",
            b" ",
            b"\r\n",
            b"\n",
            b"\r",
            b'"',
            b"\\",
            b"(",
            b")",
            b"{2}",
            b"{2+}",
            b"{70+}",
            b"{",
            b"}",
            b"\x00",
            b"\xff",
        ]
    )
    | st.binary(max_size=3),
    max_size=40,
).map(b"".join)


def written(argument: Argument, choose) -> bytes:
    """Write an argument as a client might."""
    match argument:
        case Atom(octets):
            return octets
        case String(octets):
            plain = all(octet < 128 and octet not in b"\r\n" for octet in octets)
            if plain and choose(2):
                return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
            return b"{%d%s}\r\n" % (len(octets), b"+" if choose(2) else b"") + octets
        case tuple():
            return b"(" + b" ".join(written(each, choose) for each in argument) + b")"


def run(octets: bytes, sizes: list[int]) -> list:
    """Feed octets in pieces of these sizes, then the rest; literals are always asked for."""
    framer, found = Framer(LIMITS), []
    for size in [*sizes, len(octets)]:
        framer.feed(octets[:size])
        octets = octets[size:]
        while not isinstance(event := framer.next(), NeedData):
            found.append(event)
    return found


@given(trees, st.randoms(use_true_random=False))
def test_what_was_written_is_read(tree, chance):
    octets = b"tag NAME" + b"".join(b" " + written(each, chance.randrange) for each in tree) + b"\r\n"
    frames = [event for event in run(octets, []) if not isinstance(event, Continue)]
    if isinstance(frames[0], Rejected):
        assert len(octets) > LIMITS.line
        return
    [only] = frames
    command = parse(only, nesting=10)
    assert (command.tag, command.name, command.arguments) == (b"tag", b"NAME", tree)


@given(pieces, st.lists(st.integers(0, 9), max_size=30))
def test_how_octets_are_split_makes_no_difference(octets, sizes):
    assert run(octets, sizes) == run(octets, [])


@given(pieces)
def test_every_frame_is_a_command_or_a_bad_command_and_keeps_to_the_limits(octets):
    for event in run(octets, []):
        match event:
            case Frame(parts):
                assert sum(len(part) for part in parts if isinstance(part, bytes)) < LIMITS.line
                assert all(len(part.octets) <= LIMITS.literal for part in parts if isinstance(part, Literal))
                with suppress(BadCommand):
                    assert parse(event, nesting=8).tag in octets
            case Rejected(close=True):
                assert event == run(octets, [])[-1]


@given(st.binary(max_size=600))
def test_no_octets_break_the_framer(octets):
    run(octets, [])
