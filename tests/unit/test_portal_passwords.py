"""The pages of app passwords, as a person goes through them: make, see, renew and revoke."""

from __future__ import annotations

import pytest

from auth.lifetimes import FRESH_S
from auth.store.errors import StoreUnavailable
from auth.store.rows import GRANTED
from support.office import ALICE, OPERATOR
from support.portal import portal_stage
from support.portal_pages import PASSWORD, generated, id_of, prove, session
from support.records import DAY, HOUR, sign_in

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
