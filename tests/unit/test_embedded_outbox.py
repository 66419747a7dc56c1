"""What waits to be sent: in order, in bounded pieces, and made only when there is room."""

from twisted.internet.testing import StringTransport

from proxy.embedded.outbox import Outbox


def outbox():
    wire, drained = StringTransport(), []
    return Outbox(wire, lambda: drained.append(wire.value())), wire, drained


def test_pieces_go_out_in_order_and_the_end_is_told():
    box, wire, drained = outbox()
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
    box, wire, _ = outbox()
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
    box, wire, _ = outbox()
    box.put(b"x" * 100 for _ in range(10_000))
    wire.producer.resumeProducing()
    assert 65_536 <= len(wire.value()) <= 65_636


def test_a_lost_connection_makes_nothing_more():
    box, wire, _ = outbox()
    box.put(iter((b"a",)))
    wire.producer.stopProducing()
    wire.producer.resumeProducing()
    assert wire.value() == b""
