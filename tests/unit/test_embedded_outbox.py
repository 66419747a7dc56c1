"""What waits to be sent: in order, in bounded pieces, and made only when there is room."""

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from proxy.embedded.outbox import PAUSE, Outbox


def outbox():
    wire, drained, clock = StringTransport(), [], Clock()
    box = Outbox(wire, lambda: drained.append(wire.value()), lambda call: clock.callLater(0, call))
    return box, wire, drained, clock


def test_pieces_go_out_in_order_and_the_end_is_told():
    box, wire, drained, _ = outbox()
    box.put(iter((b"a", b"b")))
    box.put(iter((b"c",)))
    assert not box.empty
    wire.producer.resumeProducing()
    assert (wire.value(), drained) == (b"abc", [])
    wire.producer.resumeProducing()
    assert box.empty
    assert drained == [b"abc"]
    assert wire.producer is None


def test_a_long_piece_goes_out_in_slices_and_nothing_is_made_early():
    box, wire, _, _ = outbox()
    made = []

    def pieces():
        for octet in b"xy":
            made.append(octet)
            yield bytes([octet]) * 200_000

    box.put(pieces())
    sizes = []
    while wire.producer is not None:
        before = len(wire.value())
        wire.producer.resumeProducing()
        sizes.append(len(wire.value()) - before)
        assert len(made) == 1 or len(wire.value()) >= 200_000 - 65_536
    assert wire.value() == b"x" * 200_000 + b"y" * 200_000
    assert max(sizes) <= 2 * 65_536


def test_small_pieces_are_gathered_but_not_without_end():
    box, wire, _, _ = outbox()
    box.put(b"x" * 100 for _ in range(10_000))
    wire.producer.resumeProducing()
    assert 65_536 <= len(wire.value()) <= 65_636


def test_a_lost_connection_makes_nothing_more():
    box, wire, _, _ = outbox()
    box.put(iter((b"a",)))
    wire.producer.stopProducing()
    wire.producer.resumeProducing()
    assert wire.value() == b""


def test_behind_a_pause_others_get_their_turn():
    box, wire, drained, clock = outbox()
    box.put(iter((b"a", PAUSE, b"b", PAUSE, PAUSE, b"c")))
    for said in (b"a", b"ab", b"ab"):
        wire.producer.resumeProducing()  # the wire asks again for as long as it was given something
        assert wire.value() == said
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0)
    assert (wire.value(), drained) == (b"abc", [])
    wire.producer.resumeProducing()
    assert drained == [b"abc"]
    assert clock.getDelayedCalls() == []


def test_a_connection_lost_in_a_pause_leaves_nothing_running():
    box, wire, _, clock = outbox()
    box.put(iter((PAUSE, b"a")))
    wire.producer.resumeProducing()
    wire.producer.stopProducing()
    assert clock.getDelayedCalls() == []
    assert wire.value() == b""
