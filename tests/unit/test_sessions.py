"""The registry ends what uses an app password: attempts and sessions, once, whatever one of them does."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from proxy.sessions import Live, Registry
from scopes.model import Service

PHONE = Live(Service.IMAP, "iPhone Mail", "192.0.2.7", 1_000.0)
LAPTOP = Live(Service.SUBMISSION, "laptop.local", "192.0.2.8", 900.5)


class Ended(list[str]):
    def by(self, name: str):
        return lambda: self.append(name)


def test_a_cut_reaches_attempts_and_sessions_of_that_app_password_alone():
    registry, ended = Registry(), Ended()
    with (
        registry.attempt(ended.by("waiting")) as waiting,
        registry.attempt(ended.by("reading mail")) as reading,
        registry.attempt(ended.by("another phone")) as other,
    ):
        waiting.enter("ap_1")
        reading.enter("ap_1")
        reading.become_session(PHONE)
        other.enter("ap_2")
        assert registry.cut(["ap_1"]) == 2
        assert sorted(ended) == ["reading mail", "waiting"]
        assert (waiting.cut, reading.cut, other.cut) == (True, True, False)


def test_several_app_passwords_are_cut_in_one_call_and_an_id_named_twice_counts_once():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("a")) as first, registry.attempt(ended.by("b")) as second:
        first.enter("ap_1")
        second.enter("ap_2")
        assert registry.cut(["ap_1", "ap_2", "ap_1", "ap_unknown"]) == 2


def test_what_is_cut_twice_is_ended_and_counted_once():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("a")) as attempt:
        attempt.enter("ap_1")
        assert [registry.cut(["ap_1"]), registry.cut(["ap_1"]), registry.cut_all()] == [1, 0, 0]
        assert ended == ["a"]


def test_an_attempt_that_is_left_is_not_found_any_more():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("a")) as attempt:
        attempt.enter("ap_1")
        attempt.become_session(PHONE)
    assert registry.cut(["ap_1"]) == 0
    assert (ended, registry.count) == ([], 0)


def test_it_is_left_when_the_sign_in_raises_too():
    registry = Registry()
    attempt = registry.attempt(lambda: None)

    def sign_in() -> None:
        with attempt:
            attempt.enter("ap_1")
            raise ValueError

    with pytest.raises(ValueError):
        sign_in()
    assert registry.count == 0


def test_entering_again_moves_it():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("a")) as attempt:
        attempt.enter("ap_1")
        attempt.enter("ap_2")
        attempt.enter("ap_2")
        assert registry.cut(["ap_1"]) == 0
        assert registry.cut(["ap_2"]) == 1


def test_entering_outside_the_with_block_is_a_fault():
    attempt = Registry().attempt(lambda: None)
    with pytest.raises(KeyError):
        attempt.enter("ap_1")


def test_cut_all_ends_what_is_entered_nowhere_yet():
    registry, ended = Registry(), Ended()
    with (
        registry.attempt(ended.by("before the look-up")) as early,
        registry.attempt(ended.by("later")) as late,
    ):
        late.enter("ap_1")
        assert registry.cut_all() == 2
        assert early.cut
        assert late.cut
    assert ended == ["before the look-up", "later"]


def test_one_that_cannot_be_ended_does_not_keep_the_next_alive(caplog):
    def broken() -> None:
        raise RuntimeError("hunter2")

    registry, ended = Registry(), Ended()
    with registry.attempt(broken) as first, registry.attempt(ended.by("b")) as second:
        first.enter("ap_1")
        second.enter("ap_1")
        with caplog.at_level(logging.ERROR):
            assert registry.cut(["ap_1"]) == 2
    assert ended == ["b"]
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_cut_may_lead_to_leaving_at_once():
    registry = Registry()
    attempt = registry.attempt(lambda: attempt.__exit__(None, None, None))
    attempt.__enter__()
    attempt.enter("ap_1")
    with registry.attempt(lambda: None) as other:
        other.enter("ap_1")
        assert registry.cut(["ap_1"]) == 2
    assert registry.count == 0


def test_sessions_are_told_from_attempts():
    registry = Registry()
    with registry.attempt(lambda: None) as one, registry.attempt(lambda: None):
        assert (registry.count, registry.sessions, one.is_session) == (2, 0, False)
        one.become_session(PHONE)
        assert (registry.count, registry.sessions, one.is_session) == (2, 1, True)


def test_nothing_is_kept_of_sessions_that_are_over():
    class Held:
        def end(self) -> None: ...

    registry, held = Registry(), Held()
    with registry.attempt(held.end) as attempt:
        attempt.enter("ap_1")
    seen = weakref.ref(held)
    del held, attempt
    gc.collect()
    assert seen() is None


def test_a_stop_spares_what_is_under_way_until_it_is_done():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("idle")), registry.attempt(ended.by("sending")) as sending:
        sending.under_way = True
        assert (registry.stop(), ended, registry.under_way) == (1, ["idle"], 1)
        sending.under_way = False
        assert (ended, sending.stopping) == (["idle", "sending"], True)


def test_a_cut_spares_nothing():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("sending")) as sending:
        sending.enter("ap_1")
        sending.under_way = True
        assert (registry.cut(["ap_1"]), ended, sending.stopping) == (1, ["sending"], False)


def test_what_is_done_while_nothing_stops_goes_on():
    registry, ended = Registry(), Ended()
    with registry.attempt(ended.by("sending")) as sending:
        sending.under_way = True
        sending.under_way = False
        assert (ended, sending.cut, registry.under_way) == ([], False, 0)


async def test_a_stop_waits_for_what_is_under_way():
    registry = Registry()
    with registry.attempt(lambda: None) as sending:
        assert await registry.settled(within_s=0)
        sending.under_way = True
        registry.stop()
        assert not await registry.settled(within_s=0)
        waiting = asyncio.create_task(registry.settled(within_s=60))
        await asyncio.sleep(0)
        sending.under_way = False
        assert await waiting


def test_who_comes_when_the_server_stops_is_cut_at_once():
    registry, ended = Registry(), Ended()
    registry.stop()
    with registry.attempt(ended.by("late")) as late:
        assert (late.cut, ended) == (True, ["late"])


def test_a_stop_is_told_to_strangers_who_are_counted_nowhere():
    registry, told = Registry(), []
    with registry.stranger(lambda: told.append("first")), registry.stranger(lambda: told.append("second")):
        assert (registry.count, registry.cut_all()) == (0, 0)
        assert registry.stop() == 0
        assert told == ["first", "second"]
    registry.stop()
    assert told == ["first", "second"], "who has left is told nothing"


def test_a_stranger_who_comes_while_the_server_stops_is_told_at_once():
    registry, told = Registry(), []
    registry.stop()
    with registry.stranger(lambda: told.append("late")):
        assert told == ["late"]


def test_a_stranger_may_leave_as_it_is_told():
    registry, contexts = Registry(), []
    contexts.append(registry.stranger(lambda: contexts[0].__exit__(None, None, None)))
    contexts[0].__enter__()
    registry.stop()


def test_the_sessions_of_an_app_password_say_what_they_are_known_by_oldest_first():
    registry = Registry()
    with registry.attempt(lambda: None) as phone, registry.attempt(lambda: None) as laptop:
        for each, live in ((phone, PHONE), (laptop, LAPTOP)):
            each.enter("ap_1")
            assert each.live is None
            each.become_session(live)
        assert registry.live("ap_1") == [LAPTOP, PHONE]
        assert registry.live("ap_2") == []
    assert registry.live("ap_1") == []


def test_neither_an_attempt_nor_what_is_being_cut_is_live():
    registry = Registry()
    with registry.attempt(lambda: None) as waiting, registry.attempt(lambda: None) as session:
        waiting.enter("ap_1")
        session.enter("ap_1")
        session.become_session(PHONE)
        assert registry.live("ap_1") == [PHONE]
        registry.cut(["ap_1"])
        assert registry.live("ap_1") == []
