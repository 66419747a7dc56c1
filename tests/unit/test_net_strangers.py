"""Caps before sign-in: a full address pays itself, waiting peers give way, sign-ins at work do not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from proxy import limits
from proxy.net.strangers import Caps, Strangers
from scopes.model import IPAddress


class Caller:
    def __init__(
        self, address: str | None = "192.0.2.1", *, waiting: bool = True, unannounced: bool = False
    ) -> None:
        self.unannounced = unannounced
        self.peer: IPAddress | None = ip_address(address) if address else None
        self.waiting = waiting
        self.dropped = False

    def abort(self) -> None:
        self.dropped = True


GUESSES_HERE = ip_address("203.0.113.66")


def small() -> Strangers:
    return Strangers(Caps(per_address=3, per_site=5, in_all=8), doubts=lambda peer: peer == GUESSES_HERE)


def fill(strangers: Strangers, *callers: Caller) -> list[Caller]:
    for caller in callers:
        assert strangers.add(caller)
    return list(callers)


def test_a_full_address_drops_its_own_oldest():
    strangers = small()
    other = fill(strangers, Caller("192.0.2.9"))[0]
    first, second, third = fill(strangers, Caller(), Caller(), Caller())
    newcomer = Caller()
    assert strangers.add(newcomer)
    assert [c.dropped for c in (other, first, second, third, newcomer)] == [False, True, False, False, False]
    assert len(strangers) == 4


def test_whoever_is_being_worked_on_is_passed_over():
    strangers = small()
    first, second, _ = fill(strangers, Caller(waiting=False), Caller(), Caller())
    assert strangers.add(Caller())
    assert (first.dropped, second.dropped) == (False, True)


def test_where_all_are_being_worked_on_the_newcomer_goes():
    strangers = small()
    callers = fill(strangers, *(Caller(waiting=False) for _ in range(3)))
    newcomer = Caller()
    assert not strangers.add(newcomer)
    assert not any(caller.dropped for caller in callers)
    strangers.release(newcomer)
    assert len(strangers) == 3
    strangers.release(callers[0])
    assert strangers.add(newcomer)


def test_the_whole_house_drops_the_oldest_of_all():
    strangers = small()
    oldest = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(8)))[0]
    assert strangers.add(Caller("198.51.100.1"))
    assert oldest.dropped
    assert len(strangers) == 8


def test_who_fills_the_house_gives_way_even_at_work():
    strangers = small()
    hers = fill(strangers, *(Caller("192.0.2.2", waiting=False) for _ in range(2)))
    first, *_ = fill(strangers, *(Caller("192.0.2.1", waiting=False) for _ in range(3)))
    fill(strangers, *(Caller("192.0.2.3", waiting=False) for _ in range(3)))
    assert strangers.add(Caller("198.51.100.1"))
    assert first.dropped
    assert not any(caller.dropped for caller in hers)
    assert len(strangers) == 8


def test_who_fills_the_house_gives_way_before_another_who_waits():
    strangers = small()
    quiet = fill(strangers, Caller("192.0.2.2"))[0]
    busy, idle, _ = fill(strangers, Caller(waiting=False), Caller(), Caller())
    fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(10, 14)))
    assert strangers.add(Caller("198.51.100.1"))
    assert [caller.dropped for caller in (quiet, busy, idle)] == [False, False, True]


def test_who_has_more_takes_no_place_of_who_has_less():
    strangers = small()
    singles = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(10, 14)))
    fill(strangers, *(Caller("192.0.2.1", waiting=False) for _ in range(2)))
    fill(strangers, *(Caller("192.0.2.2", waiting=False) for _ in range(2)))
    assert not strangers.add(Caller("192.0.2.1"))
    assert not any(caller.dropped for caller in singles)


def test_who_was_refused_gives_way_even_at_work_to_who_was_not():
    strangers = small()
    idle, *_ = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(6)))
    first, second = fill(strangers, *(Caller(f"198.51.100.{n}", waiting=False) for n in range(2)))
    strangers.doubt(second)
    assert strangers.add(Caller("192.0.2.77"))
    assert [caller.dropped for caller in (idle, first, second)] == [False, False, True]
    assert strangers.add(Caller("192.0.2.78"))
    assert idle.dropped, "nobody is doubted any more"


def test_who_comes_from_an_address_that_failed_is_doubted_from_the_start():
    strangers = small()
    idle, *_ = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(7)))
    guesser = fill(strangers, Caller(str(GUESSES_HERE), waiting=False))[0]
    assert strangers.add(Caller("192.0.2.77"))
    assert [caller.dropped for caller in (idle, guesser)] == [False, True]


def test_the_doubted_take_the_place_of_the_doubted_who_wait_then_of_the_oldest_who_waits():
    strangers = small()
    idle, *_ = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(6)))
    busy, waits = fill(strangers, Caller("198.51.100.1", waiting=False), Caller("198.51.100.2"))
    strangers.doubt(busy)
    strangers.doubt(waits)
    assert strangers.add(Caller(str(GUESSES_HERE), waiting=False))
    assert [caller.dropped for caller in (idle, busy, waits)] == [False, False, True]
    assert strangers.add(Caller(str(GUESSES_HERE), waiting=False))
    assert [caller.dropped for caller in (idle, busy)] == [True, False]


def test_a_crowd_takes_no_place_of_one_who_is_doubted():
    strangers = small()
    alone = fill(strangers, Caller("198.51.100.1"))[0]
    strangers.doubt(alone)
    fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(2) for _ in range(3)))
    fill(strangers, Caller("192.0.2.9"))
    assert strangers.add(Caller("192.0.2.9"))
    assert not alone.dropped


def test_a_guest_who_left_cannot_be_doubted():
    strangers = small()
    gone = fill(strangers, Caller())[0]
    strangers.release(gone)
    strangers.doubt(gone)
    assert vars(strangers)["_doubted"] == {}


def test_a_site_of_many_networks_is_one_crowd():
    strangers = small()
    first, *_ = fill(strangers, *(Caller(f"2001:db8:0:{n}::1", waiting=False) for n in range(4)))
    fill(strangers, *(Caller(f"192.0.2.{n}", waiting=False) for n in range(4)))
    assert strangers.add(Caller("198.51.100.1"))
    assert first.dropped


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_ipv6_network_is_one_address(one, other, together):
    strangers = small()
    oldest = fill(strangers, Caller(one), Caller(one), Caller(one))[0]
    fill(strangers, Caller(other))
    assert oldest.dropped is together


def test_an_ipv6_site_has_its_own_cap():
    strangers = small()
    oldest = fill(strangers, *(Caller(f"2001:db8:0:{n}::1") for n in range(5)))[0]
    fill(strangers, Caller("2001:db8:1::1"))
    assert not oldest.dropped
    fill(strangers, Caller("2001:db8:0:77::1"))
    assert oldest.dropped


def test_a_unix_socket_counts_in_all_alone():
    strangers = small()
    fill(strangers, *(Caller(None) for _ in range(8)))
    assert len(strangers) == 8
    assert strangers.add(Caller(None))
    assert len(strangers) == 8


def test_release_makes_room_and_may_come_twice():
    strangers = small()
    first, *_ = fill(strangers, Caller(), Caller(), Caller())
    strangers.release(first)
    strangers.release(first)
    assert len(strangers) == 2
    fill(strangers, Caller())
    assert not first.dropped


def test_nothing_is_kept_of_those_who_left():
    strangers = small()
    for caller in fill(strangers, Caller("2001:db8::1"), Caller(), Caller(None)):
        strangers.doubt(caller)
        strangers.release(caller)
    assert len(strangers) == 0
    assert vars(strangers)["_doubted"] == {}
    assert vars(strangers)["_groups"] == {}
    assert vars(strangers)["_by_size"] == {}


def test_room_is_made_on_request():
    strangers = small()
    assert strangers.make_room() == 0
    busy, *idle = fill(strangers, Caller(waiting=False), *(Caller(f"192.0.2.{n}") for n in range(2, 7)))
    assert [strangers.make_room() for _ in range(4)] == [3, 1, 1, 0]
    assert not busy.dropped
    assert all(caller.dropped for caller in idle)


def test_room_is_made_for_one_batch_at_most():
    strangers = Strangers()
    callers = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(200)))
    assert strangers.make_room() == limits.ACCEPT_BATCH
    assert [caller.dropped for caller in callers] == [n < limits.ACCEPT_BATCH for n in range(200)]


def test_an_address_of_a_waiting_crowd_never_keeps_a_newcomer_out():
    strangers = Strangers()
    for _ in range(300):
        assert strangers.add(Caller("203.0.113.7"))
    assert len(strangers) == Caps().per_address


# --- of load balancers, before they have said whose ---------------------------------------------------------


def behind_balancers() -> Strangers:
    return Strangers(Caps(per_address=2, in_all=3, unannounced=4), doubts=lambda peer: peer == GUESSES_HERE)


def test_a_balancers_connections_are_no_crowd_of_one_address():
    strangers = behind_balancers()
    callers = fill(strangers, *(Caller(unannounced=True) for _ in range(4)))
    assert not any(caller.dropped for caller in callers)
    assert len(strangers) == 4


def test_a_stalled_balancer_pays_itself_and_takes_no_place_of_others():
    strangers = behind_balancers()
    others = fill(strangers, *(Caller(f"192.0.2.{n}") for n in range(3)))
    stalled = fill(strangers, *(Caller("192.0.2.99", unannounced=True) for _ in range(40)))
    assert [caller.dropped for caller in stalled] == [True] * 36 + [False] * 4
    assert not any(other.dropped for other in others)
    direct = fill(strangers, Caller("192.0.2.50"))[0]
    assert others[0].dropped, "the house is full, whoever waits for a header"
    assert not direct.dropped
    assert len(strangers) == 7


def test_a_balancer_that_is_doubted_itself_counts_like_any():
    strangers = behind_balancers()
    fill(strangers, Caller(str(GUESSES_HERE), unannounced=True))
    assert vars(strangers)["_doubted"] == {}


def test_once_announced_it_counts_as_its_client():
    strangers = behind_balancers()
    caller, other = fill(strangers, Caller("192.0.2.99", unannounced=True), Caller("198.51.100.7"))
    strangers.release(caller)
    caller.peer, caller.unannounced = ip_address("198.51.100.7"), False
    fill(strangers, caller, Caller("198.51.100.7"))
    assert other.dropped, "two of one address are the most"
    assert not caller.dropped
    for guest in (caller, other):
        strangers.release(guest)
    assert len(strangers) == 1


def test_without_descriptors_those_who_wait_for_a_header_leave_last():
    strangers = behind_balancers()
    waiting, caller = fill(strangers, Caller(unannounced=True), Caller())
    assert [strangers.make_room(), caller.dropped, waiting.dropped] == [1, True, False]
    assert [strangers.make_room(), waiting.dropped, len(strangers)] == [1, True, 0]
