"""The pages by which app passwords end or go on: renew, revoke, revoke all; and whose they are."""

from __future__ import annotations

import pytest

from proxy.worker import Reports
from support.office import ALICE, BOB, OPERATOR
from support.portal import portal_stage
from support.portal_pages import PASSWORD, generated, id_of, session
from support.records import DAY

# --- renew --------------------------------------------------------------------------------------------------


async def test_one_that_ends_soon_is_warned_of_and_renewed(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        old = await stage.here.mint("Phone", expires_at=int(stage.here.clock.now) + 90 * DAY)
        stage.here.clock.now += 87 * DAY
        visitor, page = await stage.signed_in()
        assert "Phone expires in 3 days" in page.text
        form = await visitor.get(page.links["Renew Phone…"])
        assert "works until the new one is first used" in form.text
        assert "as long as this one was given" in form.text
        shown = await visitor.submit(form, form.path)
        assert PASSWORD.search(shown.text)
        assert "The old password works until this one is first used." in shown.text
        new = next(row for row in await stage.here.accounts.active(ALICE) if row.id != old.id)
        assert new.replaces == old.id
        assert 86 * DAY < new.expires_at - stage.here.clock.now <= 90 * DAY
        listed = (await visitor.get("/app-passwords")).text
        assert "1 of 25 active" in listed
        assert "Renewed: the new one is to take its place." in listed
        assert "expires in" not in listed
        assert (await visitor.get(f"/app-passwords/{old.id}/renew")).path == "/app-passwords"


async def test_a_renewal_that_ends_no_later_is_refused_at_its_field(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        old = await stage.here.mint("Phone", expires_at=int(stage.here.clock.now) + 60 * DAY)
        visitor, _ = await stage.signed_in()
        form = await visitor.get(f"/app-passwords/{old.id}/renew")
        page = await visitor.submit(form, form.path, expires="30")
        assert page.status == 422
        assert "Choose a later end." in page.text
        assert len(await stage.here.accounts.active(ALICE)) == 1


# --- revoke -------------------------------------------------------------------------------------------------


async def test_revoking_names_what_it_ends_and_says_what_it_has_cut(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        shown = await generated(visitor, "Old iPhone")
        listed = await visitor.get("/app-passwords")
        with session(stage, id_of(shown)) as attempt:
            asked = await visitor.get(listed.links["\N{MULTIPLICATION SIGN} Revoke Old iPhone…"])
            assert "Thunderbird on 192.0.2.7, IMAP, since" in asked.text
            assert not attempt.cut
            done = await visitor.submit(asked, asked.path)
            assert attempt.cut
        assert done.path == "/app-passwords"
        assert "Old iPhone is revoked. 1 session was cut." in done.text
        assert "0 of 25 active" in done.text
        assert "is revoked" not in (await visitor.get("/app-passwords")).text, "told once"
        assert (await visitor.get(asked.path)).path == "/app-passwords"
        assert "You revoked it on" in (await visitor.get("/history")).text


async def test_a_worker_that_does_not_answer_is_told_of(tmp_path):
    async with portal_stage(tmp_path, reports=Reports(sessions_cut=2, silent_workers=1)) as stage:
        await stage.here.enrolled()
        minted = await stage.here.mint("Phone")
        visitor, _ = await stage.signed_in()
        asked = await visitor.get(f"/app-passwords/{minted.id}/revoke")
        assert "No session is open now." in asked.text
        done = await visitor.submit(asked, asked.path)
        assert "Phone is revoked. 2 sessions were cut. 1 server process has not confirmed it yet" in done.text


async def test_revoking_twice_is_said_to_have_been_done(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        minted = await stage.here.mint("Phone")
        visitor, _ = await stage.signed_in()
        asked = await visitor.get(f"/app-passwords/{minted.id}/revoke")
        await visitor.submit(asked, asked.path)
        assert "Phone was revoked already." in (await visitor.submit(asked, asked.path)).text


async def test_all_are_revoked_after_a_look_at_what_that_ends(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        for label in ("Phone", "Laptop"):
            await generated(visitor, label)
        page = await visitor.get((await visitor.get("/app-passwords")).links["Revoke All…"])
        assert "Phone" in page.text
        assert "Laptop" in page.text
        done = await visitor.submit(page, "/app-passwords/revoke-all")
        assert "All your app passwords are revoked. No session was open." in done.text
        assert await stage.here.accounts.active(ALICE) == []
        assert (await visitor.get("/app-passwords/revoke-all")).path == "/app-passwords"


@pytest.mark.parametrize("deed", ["", "/revoke", "/renew"])
async def test_nobody_sees_or_ends_what_is_not_theirs(tmp_path, deed):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled(BOB)
        await stage.here.enrolled()
        his = await stage.here.mint("Bob's", BOB, expires_at=int(stage.here.clock.now) + 5 * DAY)
        visitor, own = await stage.signed_in()
        page = await visitor.get(f"/app-passwords/{his.id}{deed}")
        assert page.status == 404
        assert "Bob's" not in page.text
        fields = own.form().filled({})
        if deed:
            assert (await visitor.post(f"/app-passwords/{his.id}{deed}", fields)).status == 404
        assert len(await stage.here.accounts.active(BOB)) == 1


async def test_nobody_sees_the_history_of_who_had_the_name_before(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.here.mint("Of the one before")
        await stage.here.accounts.remove(ALICE, OPERATOR)
        await stage.here.enrolled()
        visitor, page = await stage.signed_in()
        for path in ("/app-passwords", "/history", "/activity"):
            assert "Of the one before" not in (await visitor.get(path)).text
        assert "0 of 25 active" in page.text


async def test_a_password_lies_sealed_in_the_session_until_it_is_shown(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/app-passwords/new")
        fields = form.form().filled({"label": "Phone", "opens": ["mail"]})
        sent = await visitor.post("/app-passwords/new", fields, follow=False)
        place = sent.header("Location")
        assert not PASSWORD.search(place)
        (row,) = await stage.here.accounts.active(ALICE)
        stored = b"".join(path.read_bytes() for path in tmp_path.glob("gate.db*"))
        (password,) = PASSWORD.findall((await visitor.get(place)).text)
        assert password.startswith(row.selector)
        assert password.encode() not in stored
        assert password.replace("-", "").encode() not in stored


async def test_one_that_was_perhaps_never_shown_is_not_said_to_have_been(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        minted = await stage.here.mint("Phone")
        visitor, _ = await stage.signed_in()
        page = await visitor.get(f"/app-passwords/{minted.id}")
        assert "perhaps never shown" in page.text
        assert "was shown once" not in page.text
