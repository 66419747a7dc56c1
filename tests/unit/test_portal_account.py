"""The page *Account*: what a change ends is said before and after, and who makes it stays signed in."""

import re

from proxy.portal.guard import COOKIE
from support.office import ALICE, BOB, PRIMARY
from support.portal import portal_stage

NEW = "staple battery horse"


async def change(visitor, new=NEW, again=None):
    page = await visitor.get("/account/password")
    return await visitor.submit(page, new_password=new, again=new if again is None else again)


async def signs_in(stage, password: str) -> bool:
    visitor = stage.visitor()
    page = await visitor.submit(await visitor.get("/sign-in"), email=ALICE, password=password)
    page = await visitor.submit(page, code=stage.here.code().reveal())
    stage.here.clock.now += 60
    return page.path == "/app-passwords"


async def test_a_new_primary_password_says_what_it_ends_and_ends_it(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        minted = [await stage.here.mint(label) for label in ("phone", "laptop")]
        visitor, _ = await stage.signed_in()
        asked = await visitor.get("/account/password")
        assert "revokes your 2 app passwords" in asked.text
        assert "Change it and revoke 2 app passwords" in asked.text
        done = await change(visitor)
        assert done.path == "/account"
        assert "Your primary password is changed. All your app passwords are revoked." in done.text
        assert set(stage.cuts[-1].app_password_ids) == {each.id for each in minted}
        assert "is changed" not in (await visitor.get("/account")).text
        assert await signs_in(stage, NEW)
        assert not await signs_in(stage, PRIMARY.reveal())


async def test_who_changes_it_stays_in_under_a_new_cookie_and_all_others_are_out(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        other, _ = await stage.signed_in()
        visitor, _ = await stage.signed_in()
        before = visitor.cookies[COOKIE]
        assert "is changed." in (await change(visitor)).text
        assert visitor.cookies[COOKIE] != before
        assert (await visitor.get("/account")).path == "/account"
        assert (await other.get("/account")).path == "/sign-in"
        thief = stage.visitor()
        thief.cookies[COOKIE] = before
        assert (await thief.get("/account")).path == "/sign-in"


async def test_what_was_typed_never_comes_back(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.here.mint()
        visitor, _ = await stage.signed_in()
        for new, again, words in (
            (NEW, NEW + "x", "The two passwords are not the same"),
            ("short", "short", "A primary password has 8 to 256 characters"),
        ):
            page = await change(visitor, new, again)
            assert (page.status, page.path) == (422, "/account/password")
            assert words in page.text
            assert new not in page.html
        assert await signs_in(stage, PRIMARY.reveal())
        assert len(await stage.here.accounts.active(ALICE)) == 1


async def test_it_takes_a_fresh_proof(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        form = await visitor.get("/account/password")
        stage.here.clock.now += 301
        for path in ("/account/password", "/account/recovery-codes"):
            assert (await visitor.get(path)).path == "/confirm"
        late = await visitor.submit(form, new_password=NEW, again=NEW)
        assert late.path == "/confirm"
        assert await signs_in(stage, PRIMARY.reveal())
        page = await visitor.submit(late, password=PRIMARY.reveal(), code=stage.here.code().reveal())
        assert page.path == "/account/password"


async def test_new_recovery_codes_are_asked_for_and_shown(tmp_path):
    async with portal_stage(tmp_path) as stage:
        old = await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        assert f"You have {len(old)} recovery codes left" in (await visitor.get("/account")).text
        asked = await visitor.get("/account/recovery-codes")
        assert "earlier recovery codes are void" in asked.text
        shown = await visitor.submit(asked)
        assert shown.path == "/second-factor/recovery-codes"
        new = re.findall(r"<li><code>([^<]+)</code>", shown.html)
        assert len(new) == len(old)
        assert not set(new) & {code.reveal() for code in old}


async def test_one_that_was_used_is_counted_no_more(tmp_path):
    async with portal_stage(tmp_path) as stage:
        codes = await stage.here.enrolled()
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email=ALICE, password=PRIMARY.reveal())
        await visitor.submit(page, code=codes[0].reveal())
        assert f"You have {len(codes) - 1} recovery codes left" in (await visitor.get("/account")).text


async def test_others_are_signed_out_and_who_does_it_stays(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.here.enrolled(BOB)
        bob, _ = await stage.signed_in(BOB)
        other, _ = await stage.signed_in()
        visitor, _ = await stage.signed_in()
        page = await visitor.submit(await visitor.get("/account"), "/account/sign-out-elsewhere")
        assert "is signed out" in page.text
        assert (await other.get("/account")).path == "/sign-in"
        assert (await bob.get("/account")).path == "/account"


async def test_names_are_shown_as_they_are(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled(aliases=["a.liddell@example.org"])
        visitor, _ = await stage.signed_in()
        assert f"You are {ALICE}, and also a.liddell@example.org." in (await visitor.get("/account")).text
