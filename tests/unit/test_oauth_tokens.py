"""Access tokens: one refresh for all who wait, no refresh token lost, no outage taken for a refusal."""

from __future__ import annotations

import asyncio

import pytest

from auth.oauth_tokens import StoredToken
from auth.secret import Secret
from proxy.upstreams.oauth2.provider import Answer
from proxy.upstreams.oauth2.tokens import (
    EARLY_S,
    MOST_HELD,
    RENEW_AGAIN_S,
    RETRY_REFUSED_S,
    AccessTokens,
)
from proxy.upstreams.place import UpstreamFailure
from proxy.upstreams.proof import UpstreamRefusal
from support.oauth_stage import ALICE, PROVIDER, REFUSES, Stage, gives, said
from support.sockets import turns


async def test_a_token_is_used_until_shortly_before_it_expires():
    stage = Stage([gives("at1"), gives("at2")])
    assert await stage.get() == "at1"
    stage.now = 3600 - EARLY_S - 0.1
    assert await stage.get() == "at1"
    stage.now = 3600 - EARLY_S
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt1"]


async def test_its_time_counts_from_the_question_not_from_the_answer():
    stage = Stage([gives("at1"), gives("at2")])
    stage.gate.clear()
    first = asyncio.ensure_future(stage.get())
    await turns()
    stage.now = 100.0
    stage.gate.set()
    assert await first == "at1"
    stage.now = 3600 - EARLY_S
    assert await stage.get() == "at2"


async def test_five_connections_at_once_cost_one_refresh():
    stage = Stage([gives("at1", "rt2")])
    assert await asyncio.gather(*(stage.get() for _ in range(5))) == ["at1"] * 5
    assert stage.asked == ["rt1"]
    assert stage.vault.replaced == ["rt2"]


async def test_a_token_that_lives_shorter_than_the_margin_serves_all_who_waited():
    stage = Stage([gives("at1", lifetime_s=5), gives("at2", lifetime_s=5)])
    assert await asyncio.gather(*(stage.get() for _ in range(5))) == ["at1"] * 5
    assert await stage.get() == "at2"


async def test_a_rotated_token_is_in_the_store_before_the_access_token_is_used():
    stage = Stage([gives("at1", "rt2"), gives("at2", "rt3")])
    stage.vault.meanwhile = lambda: seen.append(dict(stage.tokens.memory.held))
    seen: list[object] = []
    await stage.get()
    assert seen == [{}]
    stage.now = 3600.0
    await stage.get()
    assert stage.asked == ["rt1", "rt2"]
    assert stage.vault.rows[ALICE].refresh == Secret("rt3")


async def test_a_refresh_goes_on_when_all_who_waited_are_gone():
    stage = Stage([gives("at1", "rt2")])
    stage.gate.clear()
    waiting = [asyncio.ensure_future(stage.get()) for _ in range(2)]
    await turns()
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)
    assert all(each.cancelled() for each in waiting)
    stage.gate.set()
    await stage.tokens.close()
    assert stage.vault.replaced == ["rt2"]
    assert await stage.get() == "at1"


async def test_a_store_that_is_out_loses_no_token():
    stage = Stage([gives("at1", "rt2"), gives("at2", "rt3")])
    stage.vault.full = True
    with pytest.raises(UpstreamFailure, match="SQLITE_FULL"):
        await stage.get()
    with pytest.raises(UpstreamFailure, match="SQLITE_FULL"):
        await stage.get()
    assert stage.asked == ["rt1"]  # the new one must be stored before it is used in its turn
    stage.vault.full = False
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt2"]
    assert stage.vault.replaced == ["rt2", "rt3"]


async def test_what_waits_for_the_store_is_stored_before_the_end():
    stage = Stage([gives("at1", "rt2")])
    stage.vault.full = True
    with pytest.raises(UpstreamFailure):
        await stage.get()
    await stage.tokens.close()
    stage.vault.full = False
    await stage.tokens.close()
    assert stage.vault.replaced == ["rt2"]
    assert stage.asked == ["rt1"]


async def test_what_was_not_stored_is_forgotten_once_the_account_is_authorised_anew():
    stage = Stage([gives("at1", "rt2"), gives("at2")])
    stage.vault.full = True
    with pytest.raises(UpstreamFailure):
        await stage.get()
    stage.vault.full = False
    stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt9"), refused_at=None, version=7)
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt9"]
    assert stage.vault.replaced == []


async def test_a_store_that_cannot_be_read_is_an_outage():
    stage = Stage()
    stage.vault.down = True
    with pytest.raises(UpstreamFailure, match="SQLITE_BUSY") as caught:
        await stage.get()
    assert not isinstance(caught.value, UpstreamRefusal)


async def test_nobody_has_authorised_us():
    stage = Stage()
    del stage.vault.rows[ALICE]
    with pytest.raises(UpstreamRefusal, match="authorize"):
        await stage.get()
    assert stage.asked == []


async def test_a_refused_refresh_token_is_marked_and_not_tried_at_every_sign_in():
    stage = Stage([REFUSES])
    for _ in range(3):
        with pytest.raises(UpstreamRefusal, match="refused the refresh token"):
            await stage.get()
    assert stage.asked == ["rt1"]
    assert stage.vault.marks == 1


async def test_after_an_hour_it_is_tried_once_more_and_the_mark_goes_when_it_is_good_again():
    stage = Stage([REFUSES, REFUSES, gives("at1")])
    for _ in range(2):
        with pytest.raises(UpstreamRefusal):
            await stage.get()
    stage.wall += RETRY_REFUSED_S
    stage.vault.marks = 0
    with pytest.raises(UpstreamRefusal):
        await stage.get()
    assert stage.vault.marks == 1
    assert await stage.get() == "at1"
    assert stage.vault.rows[ALICE].refused_at is None
    assert stage.vault.rows[ALICE].refresh == Secret("rt1")


@pytest.mark.parametrize(
    "outage",
    [
        UpstreamFailure("login.example cannot be asked: connection refused"),
        said({"error": "invalid_grant"}, 500),
        said({"error": "invalid_grant"}, 429),
        said({"error": "temporarily_unavailable"}, 400),
        Answer(status=200, body=b"<html>"),
    ],
    ids=["unreachable", "500", "429", "unavailable", "garbage"],
)
async def test_an_outage_of_the_provider_marks_nothing(outage):
    stage = Stage([outage, gives("at1")])
    with pytest.raises(UpstreamFailure) as caught:
        await stage.get()
    assert not isinstance(caught.value, UpstreamRefusal)
    assert stage.vault.marks == 0
    assert await stage.get() == "at1"


async def test_a_refusal_of_our_client_marks_no_account():
    stage = Stage([said({"error": "invalid_client"}, 401), gives("at1")])
    with pytest.raises(UpstreamRefusal, match=r"invalid_client; see \[oauth2\.home\]"):
        await stage.get()
    assert stage.vault.marks == 0
    assert await stage.get() == "at1"


async def test_a_refusal_is_believed_only_if_nobody_replaced_the_token_meanwhile():
    stage = Stage([REFUSES, gives("at2")])

    def other_process() -> None:
        stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt2"), refused_at=None, version=2)

    stage.vault.meanwhile = other_process
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt2"]
    assert stage.vault.marks == 0


async def test_who_stores_second_reads_again():
    stage = Stage([gives("at1", "rt-ours"), gives("at2", "rt3")])

    def other_process() -> None:
        stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt-theirs"), refused_at=None, version=2)

    stage.vault.meanwhile = other_process
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt-theirs"]
    assert stage.vault.replaced == ["rt3"]


async def test_a_row_that_others_replace_all_the_time_is_given_up():
    stage = Stage([gives(f"at{number}", f"rt-ours{number}") for number in range(3)])

    def other_process() -> None:
        version = stage.vault.rows[ALICE].version + 1
        stage.vault.rows[ALICE] = StoredToken(
            refresh=Secret(f"rt{version}"), refused_at=None, version=version
        )
        stage.vault.meanwhile = other_process

    stage.vault.meanwhile = other_process
    with pytest.raises(UpstreamFailure, match="replaced by others all the time"):
        await stage.get()
    assert stage.asked == ["rt1", "rt2", "rt3"]
    assert stage.vault.replaced == []


async def test_what_was_not_stored_gives_way_to_another_process():
    """It is stored by compare and swap like any other: who was faster has the newer one."""
    stage = Stage([gives("at1", "rt2"), gives("at2")])
    stage.vault.full = True
    with pytest.raises(UpstreamFailure):
        await stage.get()
    stage.vault.full = False

    def other_process() -> None:
        stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt-theirs"), refused_at=None, version=2)

    stage.vault.meanwhile = other_process
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt-theirs"]
    assert stage.vault.replaced == []


async def test_a_mark_by_a_process_that_came_second_loses_no_token():
    """Two refresh at once: the provider replaces the token for one, and refuses it to the other."""
    stage = Stage([gives("at1", "rt2"), gives("at2")])

    def other_process() -> None:
        stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt1"), refused_at=1_000, version=2)

    stage.vault.meanwhile = other_process
    assert await stage.get() == "at1"
    assert stage.vault.rows[ALICE] == StoredToken(refresh=Secret("rt2"), refused_at=None, version=3)
    assert await stage.get() == "at1"
    assert stage.asked == ["rt1"]


async def test_what_was_not_stored_outlives_the_mark_of_another_process():
    stage = Stage([gives("at1", "rt2"), gives("at2", "rt3")])
    stage.vault.full = True
    with pytest.raises(UpstreamFailure):
        await stage.get()
    stage.vault.full = False
    stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt1"), refused_at=1_000, version=2)
    assert await stage.get() == "at2"
    assert stage.asked == ["rt1", "rt2"]
    assert stage.vault.replaced == ["rt2", "rt3"]


async def test_a_refusal_that_cannot_be_marked_is_an_outage():
    stage = Stage([REFUSES, REFUSES])
    stage.vault.full = True
    with pytest.raises(UpstreamFailure, match="the store is out") as caught:
        await stage.get()
    assert not isinstance(caught.value, UpstreamRefusal)
    stage.vault.full = False
    with pytest.raises(UpstreamRefusal):
        await stage.get()
    assert stage.vault.marks == 1


async def test_a_new_authorisation_and_its_end_count_at_once():
    stage = Stage([gives("at1"), gives("at2")])
    assert await stage.get() == "at1"
    stage.vault.rows[ALICE] = StoredToken(refresh=Secret("rt9"), refused_at=None, version=2)
    assert await stage.get() == "at2"
    del stage.vault.rows[ALICE]
    with pytest.raises(UpstreamRefusal):
        await stage.get()
    assert stage.asked == ["rt1", "rt9"]


async def test_a_token_that_the_mail_server_refuses_is_replaced_once():
    stage = Stage([gives("at1"), gives("at2"), gives("at3")])
    old = [await stage.tokens.get(ALICE) for _ in range(5)]
    assert [stage.tokens.distrust(ALICE, token) for token in old] == [True] * 5
    new = await asyncio.gather(*(stage.tokens.get(ALICE) for _ in old))
    assert {token.reveal() for token in new} == {"at2"}
    assert not stage.tokens.distrust(ALICE, new[0])  # it refuses whatever comes
    assert await stage.get() == "at2"
    stage.now = RENEW_AGAIN_S
    assert stage.tokens.distrust(ALICE, new[0])
    assert await stage.get() == "at3"


async def test_another_reading_of_the_configuration_refreshes_no_second_time():
    stage = Stage([gives("at1", "rt2")])
    stage.gate.clear()
    before = asyncio.ensure_future(stage.get())
    await turns()
    after = AccessTokens(
        PROVIDER, stage.post, stage.vault, memory=stage.tokens.memory, monotonic=lambda: stage.now
    )
    meanwhile = asyncio.ensure_future(after.get(ALICE))
    await turns()
    stage.gate.set()
    assert {token.reveal() for token in (await meanwhile, await after.get(ALICE))} == {await before}
    assert stage.asked == ["rt1"]


async def test_access_tokens_in_memory_are_bounded():
    stage = Stage([gives(f"at{number}") for number in range(MOST_HELD + 2)])
    for number in range(MOST_HELD + 1):
        account = f"ac_{number}"
        stage.vault.rows[account] = StoredToken(refresh=Secret(f"rt{number}"), refused_at=None, version=1)
        await stage.tokens.get(account)
    assert len(stage.tokens.memory.held) == MOST_HELD
    stage.asked.clear()
    await stage.tokens.get(f"ac_{MOST_HELD}")
    assert stage.asked == []
    await stage.tokens.get("ac_0")
    assert stage.asked == ["rt0"]
