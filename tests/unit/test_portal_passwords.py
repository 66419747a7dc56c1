"""The pages of app passwords, as a person goes through them: make, see, renew and revoke."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from auth.lifetimes import FRESH_S
from auth.store.errors import StoreUnavailable
from auth.store.rows import GRANTED
from proxy.sessions import Live
from proxy.worker import Reports
from scopes.model import Service
from support.office import ALICE, BOB, OPERATOR, PRIMARY
from support.portal import Stage, portal_stage
from support.records import DAY, HOUR, sign_in
from support.visitor import Page, Visitor

PASSWORD = re.compile(r"\b(?:[a-z2-9]{4}-){4}[a-z2-9]{4}\b")


async def prove(stage: Stage, visitor: Visitor, page: Page) -> Page:
    """Answer the question whether it is you."""
    assert page.path == "/confirm", page.text
    stage.here.clock.now += 30
    return await visitor.submit(page, "/confirm", password=PRIMARY.reveal(), code=stage.here.code().reveal())


async def generated(visitor: Visitor, label: str = "Phone", **fields: object) -> Page:
    """Generate one; the proof is that of the sign-in."""
    page = await visitor.get("/app-passwords/new")
    return await visitor.submit(page, "/app-passwords/new", **({"label": label, "opens": ["mail"]} | fields))


def id_of(page: Page) -> str:
    return page.path.rsplit("/", 1)[1]


@contextmanager
def session(stage: Stage, app_password_id: str, **known):
    """An app that is signed in."""
    now = stage.here.clock.now
    live = Live(
        **{"service": Service.IMAP, "client_name": "Thunderbird", "address": "192.0.2.7", "since": now - HOUR}
        | known
    )
    with stage.registry.attempt(lambda: None) as attempt:
        attempt.enter(app_password_id)
        attempt.become_session(live)
        yield attempt


# --- generate -----------------------------------------------------------------------------------------------


async def test_a_password_is_generated_shown_once_and_opens_what_was_chosen(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, page = await stage.signed_in()
        assert "0 of 25 active" in page.text
        assert "made for you, not chosen" in page.text
        shown = await generated(visitor, "Phone", opens=["mail", "events"], expires="90")
        (password,) = PASSWORD.findall(shown.text)
        assert "It is not shown again." in shown.text
        (row,) = await stage.here.accounts.active(ALICE)
        assert (row.label, sorted(row.scopes), row.selector) == ("Phone", ["events", "mail"], password[:4])
        assert row.expires_at == int(stage.here.clock.now) + 90 * DAY
        assert row.created_by == f"owner {ALICE}"
        assert row.shown_at == int(stage.here.clock.now)
        listed = await visitor.get("/app-passwords")
        assert "1 of 25 active" in listed.text
        assert "Opens mail and events" in listed.text
        assert password not in listed.text


async def test_a_reload_shows_the_settings_without_the_password(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        shown = await generated(visitor)
        assert PASSWORD.search(shown.text)
        again = await visitor.get(shown.path)
        assert again.status == 200
        assert not PASSWORD.search(again.text)
        assert "is not shown again" in again.text
        assert "Port 1993" in again.text


async def test_a_look_at_the_head_of_the_page_does_not_use_the_password_up(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/app-passwords/new")
        fields = form.form().filled({"label": "Phone", "opens": ["mail"]})
        sent = await visitor.post("/app-passwords/new", fields, follow=False)
        place = sent.header("Location")
        head = await visitor.ask("HEAD", place)
        assert (head.status, head.body) == (200, b"")
        assert PASSWORD.search((await visitor.get(place)).text)


async def test_beside_it_stands_what_to_type_for_what_it_opens(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        both = (await generated(visitor, opens=["mail", "contacts"])).text
        for app in (
            "Thunderbird",
            "iPhone, iPad, Mac",
            "Outlook (classic)",
            "Outlook (new)",
            "DAVx5",
            "Any other app",
        ):
            assert app in both
        assert f"The user name is {ALICE} everywhere" in both
        assert "Server localhost Port 1993 Security SSL/TLS" in both
        assert "https://localhost:8443/" in both
        assert "Calendars" not in both
        printer = (await generated(visitor, "Printer", may="send")).text
        assert "Outgoing mail (SMTP)" in printer
        assert "Incoming mail" not in printer


async def test_the_password_of_another_window_is_not_mixed_up_with_this_one(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/app-passwords/new")
        places = []
        for label in ("One", "Two"):
            fields = form.form().filled({"label": label, "opens": ["mail"]})
            sent = await visitor.post("/app-passwords/new", fields, follow=False)
            places.append(sent.header("Location"))
        pages = [await visitor.get(place) for place in places]
        rows = {row.id: row for row in await stage.here.accounts.active(ALICE)}
        for page in pages:
            (password,) = PASSWORD.findall(page.text)
            assert rows[id_of(page)].selector == password[:4]
            assert rows[id_of(page)].label in page.text


async def test_one_whose_page_never_arrived_is_listed_as_perhaps_never_shown(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/app-passwords/new")
        fields = form.form().filled({"label": "Phone", "opens": ["mail"]})
        await visitor.post("/app-passwords/new", fields, follow=False)
        assert "Perhaps never shown" in (await visitor.get("/app-passwords")).text


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        page = await generated(visitor, "  ", opens=None, networks="office", expires="30")
        assert page.status == 422
        for words in (
            "Name the app or the device it is for",
            "Choose what it opens: at least one.",
            "office is no address",
        ):
            assert page.text.count(words) == 2, "once above the form and once at the field"
        assert 'aria-describedby="label-hint label-error"' in page.html
        assert 'aria-invalid="true"' in page.html
        assert '<option value="30" selected>' in page.html
        assert ">office</textarea>" in page.html
        assert await stage.here.accounts.active(ALICE) == []


async def test_a_label_that_is_taken_is_said_at_its_field(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        await generated(visitor, "Phone")
        page = await generated(visitor, "PHONE")
        assert page.status == 422
        assert "has an active app password with the label 'Phone'" in page.text
        assert 'value="PHONE"' in page.html


async def test_when_no_more_are_allowed_that_is_said_before_anything_is_typed(tmp_path):
    async with portal_stage(tmp_path, limit=1) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/app-passwords/new")
        await generated(visitor)
        assert (
            "You have 1 active app password, and no more are allowed."
            in (await visitor.get("/app-passwords/new")).text
        )
        late = await visitor.submit(form, "/app-passwords/new", label="Second", opens=["mail"])
        assert "no more are allowed" in late.text
        assert len(await stage.here.accounts.active(ALICE)) == 1


async def test_a_form_that_took_long_waits_for_the_proof(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/app-passwords/new")
        stage.here.clock.now += FRESH_S
        asked = await visitor.submit(
            form, "/app-passwords/new", label="Slow typist", opens=["events"], networks="192.0.2.0/24"
        )
        back = await prove(stage, visitor, asked)
        assert back.path == "/app-passwords/new"
        assert 'value="Slow typist"' in back.html
        assert await stage.here.accounts.active(ALICE) == []
        shown = await visitor.submit(back, "/app-passwords/new", opens=["events"])
        assert PASSWORD.search(shown.text)
        (row,) = await stage.here.accounts.active(ALICE)
        assert [str(network) for network in row.limits.networks] == ["192.0.2.0/24"]


@pytest.mark.parametrize("path", ["/app-passwords/new", "/app-passwords/revoke-all"])
async def test_what_needs_a_fresh_proof_asks_for_it_first(tmp_path, path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        await generated(visitor)
        stage.here.clock.now += FRESH_S
        assert (await prove(stage, visitor, await visitor.get(path))).path == path


# --- the list -----------------------------------------------------------------------------------------------


async def test_the_list_says_when_by_what_and_from_where_it_was_last_used(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        minted = await stage.here.mint("Phone")
        at = int(stage.here.clock.now) - HOUR
        await stage.here.store.record_sign_ins(
            [sign_in(at, GRANTED, "iPhone Mail <b>", app_password_id=minted.id, account_id=None)]
        )
        _, page = await stage.signed_in()
        assert "iPhone Mail <b>, IMAP, from 192.0.2.7" in page.text
        assert "<b>" not in page.html
        assert "by the administrator" in page.text
        assert "Times are UTC." in page.text
        assert "None" not in page.text


async def test_a_history_that_cannot_be_read_stops_nothing(tmp_path, monkeypatch):
    async def broken(*_):
        raise StoreUnavailable("the disk is gone")

    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        minted = await stage.here.mint("Phone")
        for call in ("last_used", "last_refused", "sign_ins"):
            monkeypatch.setattr(stage.here.store, call, broken)
        visitor, page = await stage.signed_in()
        assert "cannot be read at the moment" in page.text
        await stage.here.accounts.revoke(ALICE, minted.id, OPERATOR)
        assert "cannot be read at the moment" in (await visitor.get("/history")).text
        assert "cannot be read at the moment" in (await visitor.get("/activity")).text


async def test_labels_and_client_names_are_never_markup(tmp_path):
    hostile = '"><script>alert(1)</script>'
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        shown = await generated(visitor, hostile)
        with session(stage, id_of(shown), client_name=hostile):
            for path in (shown.path, "/app-passwords", f"{shown.path}/revoke", "/activity"):
                page = await visitor.get(path)
                assert page.status == 200
                assert "<script>alert" not in page.html
                assert hostile in page.text
        await visitor.submit(await visitor.get(f"{shown.path}/revoke"), f"{shown.path}/revoke")
        assert "<script>alert" not in (await visitor.get("/history")).html


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
