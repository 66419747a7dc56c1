"""Waiting: by address for app passwords, by count for primary passwords."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.recent import Recent
from auth.throttle import (
    DOUBT_S,
    PER_ACCOUNT,
    PER_ADDRESS,
    AddressThrottle,
    Allowed,
    Wait,
    failures_carried,
    failures_counted,
    prefixes,
    primary_verdict,
)
from auth.turns import Asker

HERE, ELSEWHERE = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def digest(number):
    return number.to_bytes(4, "big")


def fail(throttle, address, count, now=0.0, start=0):
    for number in range(start, start + count):
        throttle.failure(address, digest(number), now)


def test_no_failures_no_wait():
    throttle = AddressThrottle()
    assert throttle.delay(HERE, 0.0) == 0.0
    assert not throttle.over_limit(HERE, 0.0)


def test_the_delay_grows_to_two_seconds_and_no_further():
    throttle = AddressThrottle()
    fail(throttle, HERE, 10)
    assert throttle.delay(HERE, 0.0) == 0.0
    fail(throttle, HERE, 5, start=10)
    assert throttle.delay(HERE, 0.0) == pytest.approx(0.5)
    fail(throttle, HERE, 500, start=15)
    assert throttle.delay(HERE, 0.0) == 2.0


def test_over_the_limit_at_sixty():
    throttle = AddressThrottle()
    fail(throttle, HERE, 59)
    assert not throttle.over_limit(HERE, 0.0)
    fail(throttle, HERE, 1, start=59)
    assert throttle.over_limit(HERE, 0.0)


def test_one_failure_is_doubt_until_it_is_forgotten():
    throttle = AddressThrottle()
    assert not throttle.asker(HERE, 0.0).doubted
    fail(throttle, HERE, 1)
    assert throttle.asker(HERE, 0.0).doubted
    assert not throttle.asker(ELSEWHERE, 0.0).doubted
    assert throttle.asker(HERE, DOUBT_S - 1).doubted
    assert not throttle.asker(HERE, DOUBT_S).doubted


def test_the_same_wrong_secret_counts_once_but_is_doubt_as_often_as_it_comes():
    throttle = AddressThrottle()
    for now in range(0, 3_000, 100):
        throttle.failure(HERE, digest(1), float(now))
    assert throttle.delay(HERE, 2_900.0) == 0.0
    assert throttle.asker(HERE, 2_900.0).doubted


def test_one_network_of_a_site_is_doubt_for_all_of_it():
    throttle = AddressThrottle()
    throttle.failure(ip_address("2001:db8:0:1::1"), digest(1), 0.0)
    assert throttle.asker(ip_address("2001:db8:0:2::1"), 0.0).doubted
    assert not throttle.asker(ip_address("2001:db8:1::1"), 0.0).doubted


def test_a_site_takes_its_turns_together():
    throttle = AddressThrottle()
    origins = {
        text: throttle.asker(ip_address(text), 0.0).origin
        for text in (
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "192.0.2.2",
            "2001:db8:0:1::1",
            "2001:db8:0:2::1",
            "2001:db8:1::1",
        )
    }
    assert origins["192.0.2.1"] == origins["::ffff:192.0.2.1"]
    assert origins["2001:db8:0:1::1"] == origins["2001:db8:0:2::1"]
    assert len(set(origins.values())) == 4
    assert throttle.asker(None, 0.0) == Asker()


def test_other_addresses_do_not_wait():
    throttle = AddressThrottle()
    fail(throttle, HERE, 100)
    assert throttle.delay(ELSEWHERE, 0.0) == 0.0
    assert not throttle.over_limit(ELSEWHERE, 0.0)


def test_failures_are_forgiven_with_time():
    throttle = AddressThrottle()
    fail(throttle, HERE, 60)
    assert not throttle.over_limit(HERE, 10.0)
    assert throttle.delay(HERE, 500.0) == 0.0
    fail(throttle, HERE, 1, now=700.0, start=60)
    assert throttle.delay(HERE, 700.0) == 0.0


def test_the_same_wrong_secret_counts_once_an_hour():
    throttle = AddressThrottle()
    for now in range(1000):
        throttle.failure(HERE, b"same", float(now))
    fail(throttle, HERE, 59, now=1000.0)
    assert not throttle.over_limit(HERE, 1000.0)
    fail(throttle, HERE, 59, now=3590.0, start=100)
    throttle.failure(HERE, b"same", 3600.0)
    fail(throttle, HERE, 1, now=3600.0, start=200)
    assert throttle.over_limit(HERE, 3600.0)


def test_the_same_secret_from_two_addresses_counts_for_both():
    throttle = AddressThrottle()
    fail(throttle, HERE, 60)
    fail(throttle, ELSEWHERE, 60)
    assert throttle.over_limit(HERE, 0.0)
    assert throttle.over_limit(ELSEWHERE, 0.0)


def test_an_ipv6_host_is_its_64_and_its_site_weighs_a_quarter():
    throttle = AddressThrottle()
    for number in range(240):
        throttle.failure(ip_address(f"2001:db8:0:{number:x}::1"), digest(number), 0.0)
    assert throttle.over_limit(ip_address("2001:db8:0:ffff::1"), 0.0)
    assert not throttle.over_limit(ip_address("2001:db8:1::1"), 0.0)
    throttle = AddressThrottle()
    for number in range(60):
        throttle.failure(ip_address(f"2001:db8::{number + 1:x}"), digest(number), 0.0)
    assert throttle.over_limit(ip_address("2001:db8::ffff"), 0.0)
    assert not throttle.over_limit(ip_address("2001:db8:0:1::1"), 0.0)


def test_prefixes():
    assert [str(network) for network in prefixes(HERE)] == ["192.0.2.1/32"]
    assert [str(network) for network in prefixes(ip_address("::ffff:192.0.2.1"))] == ["192.0.2.1/32"]
    assert [str(network) for network in prefixes(ip_address("2001:db8:1:2:3::4"))] == [
        "2001:db8:1:2::/64",
        "2001:db8:1::/48",
    ]


def test_without_an_address_nobody_waits():
    throttle = AddressThrottle()
    fail(throttle, None, 100)
    assert throttle.delay(None, 0.0) == 0.0
    assert not throttle.over_limit(None, 0.0)


def test_both_maps_have_an_end():
    throttle = AddressThrottle(addresses=5, wrong=7)
    for number in range(100):
        throttle.failure(ip_address(number), digest(number), 0.0)
    assert len(throttle._counts) == 5
    assert len(throttle._wrong) == 7


def test_the_entry_longest_unused_goes_first():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
    recent.put("a", 4)
    assert (recent.get("a"), len(recent)) == (4, 2)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1) | st.integers(2**120, 2**128 - 1),
            st.binary(max_size=2),
            st.floats(0, 1e6),
        ),
        max_size=80,
    ),
    st.floats(0, 1e6),
)
def test_the_delay_is_never_over_two_seconds(failures, now):
    throttle = AddressThrottle(addresses=10, wrong=10)
    for number, secret, at in failures:
        throttle.failure(ip_address(number), secret, at)
        assert 0.0 <= throttle.delay(ip_address(number), now) <= 2.0


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (8, 32), (9, 64), (10, 900), (11, 900), (1000, 900)],
)
def test_primary_waits_grow_and_then_refuse_for_a_time(failures, seconds):
    verdict = primary_verdict(failures, 1000.0, 1000.0)
    assert verdict == (Wait(float(seconds)) if seconds else Allowed())
    assert primary_verdict(failures, 1000.0, 1000.0 + seconds) == Allowed()
    if seconds:
        assert primary_verdict(failures, 1000.0, 1000.0 + seconds - 0.5) == Wait(0.5)


def test_an_address_has_more_room():
    assert primary_verdict(19, 1000.0, 1000.0, PER_ADDRESS) == Allowed()
    assert primary_verdict(20, 1000.0, 1000.0, PER_ADDRESS) == Wait(1.0)
    assert primary_verdict(49, 1000.0, 1000.0, PER_ADDRESS) == Wait(64.0)
    assert primary_verdict(50, 1000.0, 1000.0, PER_ADDRESS) == Wait(900.0)


def test_an_address_is_forgiven_as_time_goes_by_but_not_while_it_waits():
    assert failures_carried(50, 1000.0, 1000.0 + 119, PER_ADDRESS) == 50
    assert failures_carried(50, 1000.0, 1000.0 + 899, PER_ADDRESS) == 43
    assert primary_verdict(50, 1000.0, 1000.0 + 899, PER_ADDRESS) == Wait(1.0)
    assert failures_carried(3, 1000.0, 1000.0 + 3_000, PER_ADDRESS) == 0
    assert failures_carried(9, 1000.0, 0.0, PER_ADDRESS) == 9, "a clock set back forgives nothing"


@pytest.mark.parametrize("every_s", [1.0, 10.0, 119.0])
def test_right_tries_do_not_put_an_addresss_forgiveness_off(every_s):
    failures, last_at, now = 10, 1000.0, 1000.0
    for _ in range(int(1_500 / every_s)):
        now += every_s
        failures, last_at = failures_counted(failures, last_at, now, PER_ADDRESS)
        failures -= 1
        if failures == 0:
            break
    assert failures == 0


def test_an_office_that_mistypes_all_day_never_waits_and_a_sweep_soon_does():
    def guesses(every_s: float, for_s: float) -> tuple[int, int]:
        failures, last_at, seen, kept_out, now = 0, None, 0, 0, 0.0
        while now < for_s:
            now += every_s
            if primary_verdict(failures, last_at, now, PER_ADDRESS) == Allowed():
                failures, last_at = failures_counted(failures, last_at, now, PER_ADDRESS)
                seen += 1
            else:
                kept_out += 1
        return seen, kept_out

    assert guesses(every_s=130.0, for_s=86_400.0) == (665, 0)
    seen, kept_out = guesses(every_s=1.0, for_s=86_400.0)
    assert seen < 550
    assert kept_out > 80_000


def test_the_count_starts_again_after_a_long_while():
    later = 1000.0 + PER_ACCOUNT.forget_s
    assert failures_carried(10, 1000.0, later - 1) == 10
    assert failures_carried(10, 1000.0, later) == 0
    assert failures_carried(0, None, later) == 0
    assert primary_verdict(10, 1000.0, later) == Allowed()
    assert primary_verdict(5, None, later) == Allowed()


def test_a_clock_set_back_does_not_lengthen_the_wait():
    assert primary_verdict(10, 1000.0, 0.0) == Wait(900.0)


@given(st.integers(0, 10**9), st.floats(0, 1e10), st.floats(0, 1e10))
def test_no_wait_is_longer_than_the_lock(failures, last, now):
    verdict = primary_verdict(failures, last, now)
    assert verdict == Allowed() or 0 < verdict.seconds <= PER_ACCOUNT.lock_s
