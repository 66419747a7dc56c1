"""What whoever has a part of somebody's secrets tries at the portal: each is played by its pages."""

import asyncio

from auth.deed import Proof
from proxy.portal.guard import COOKIE
from support.office import ALICE, BOB, OPERATOR, OWNER, PRIMARY, wish
from support.portal import Stage, portal_stage
from support.portal_pages import PASSWORD, generated
from support.visitor import Page, Visitor

IN = "/app-passwords"


async def at_the_code(stage: Stage, email: str = ALICE) -> tuple[Visitor, Page]:
    """Get as far as the right primary password gets."""
    visitor = stage.visitor()
    page = await visitor.get("/sign-in")
    return visitor, await visitor.submit(page, email=email, password=PRIMARY.reveal())


async def test_a_code_that_was_seen_is_worth_nothing(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        code = stage.here.code().reveal()
        for expected in (IN, "/sign-in/code"):
            visitor, page = await at_the_code(stage)
            assert (await visitor.submit(page, code=code)).path == expected
        assert (await visitor.get("/confirm")).path != "/confirm"


async def test_of_two_who_use_one_code_at_once_one_comes_in(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        both = [await at_the_code(stage), await at_the_code(stage)]
        code = stage.here.code().reveal()
        pages = await asyncio.gather(*(visitor.submit(page, code=code) for visitor, page in both))
        assert sorted(page.path for page in pages) == [IN, "/sign-in/code"]


async def test_a_recovery_code_lets_in_once(tmp_path):
    async with portal_stage(tmp_path) as stage:
        codes = await stage.here.enrolled()
        both = [await at_the_code(stage), await at_the_code(stage)]
        pages = await asyncio.gather(
            *(visitor.submit(page, code=codes[0].reveal()) for visitor, page in both)
        )
        assert sorted(page.path for page in pages) == [IN, "/sign-in/code"]
        visitor, page = await at_the_code(stage)
        assert (await visitor.submit(page, code=codes[0].reveal())).path == "/sign-in/code"


async def test_at_24_of_25_one_of_two_generates(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        for number in range(24):
            await stage.here.mint(f"app {number}")
        both = [(await stage.signed_in())[0], (await stage.signed_in())[0]]
        forms = [await visitor.get("/app-passwords/new") for visitor in both]
        pages = await asyncio.gather(
            *(
                visitor.submit(form, "/app-passwords/new", label=f"last {n}", opens=["mail"])
                for n, (visitor, form) in enumerate(zip(both, forms, strict=True))
            )
        )
        assert sum(PASSWORD.search(page.text) is not None for page in pages) == 1
        assert await stage.here.accounts.preview(ALICE) == 25


async def test_an_app_password_opens_nothing_here(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        minted = await stage.here.mint()
        visitor = stage.visitor()
        page = await visitor.get("/sign-in")
        page = await visitor.submit(page, email=ALICE, password=minted.password.reveal())
        assert (await visitor.submit(page, code=stage.here.code().reveal())).path == "/sign-in/code"
        planted = stage.visitor()
        planted.cookies[COOKIE] = minted.password.reveal()
        assert (await planted.get(IN)).path == "/sign-in"


async def test_a_right_first_half_opens_no_page_whatever_is_asked_for(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, page = await at_the_code(stage)
        for path in (IN, "/app-passwords/new", "/account", "/second-factor", "/connections", "/confirm"):
            assert (await visitor.get(path)).path == "/sign-in/code"
            fields = page.form("/sign-in/code").fields
            assert (await visitor.post(path, fields)).path in {"/sign-in/code", path}
        assert await stage.here.accounts.preview(ALICE) == 0


async def test_who_is_signed_in_ends_nothing_of_another_account(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.here.enrolled(BOB)
        of_bob = await stage.here.mint(email=BOB)
        visitor, page = await stage.signed_in()
        fields = page.form("/sign-out").fields
        for deed in ("revoke", "renew"):
            assert (await visitor.post(f"/app-passwords/{of_bob.id}/{deed}", fields)).status in {404, 422}
        assert await stage.here.accounts.preview(BOB) == 1


async def test_a_session_ends_with_all_that_opened_it(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        for end in (
            lambda: stage.here.accounts.set_primary(ALICE, PRIMARY, OPERATOR),
            lambda: stage.here.accounts.disable(ALICE, OPERATOR),
        ):
            visitor, _ = await stage.signed_in()
            await end()
            assert (await visitor.get(IN)).path == "/sign-in"


async def test_a_proof_of_the_command_line_is_no_proof_of_a_page(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        stage.here.clock.now += 301
        proof = Proof(primary=PRIMARY, code=stage.here.code())
        await stage.here.accounts.mint(ALICE, wish("cli"), OWNER, proof)
        assert (await visitor.get("/app-passwords/new")).path == "/confirm"


async def test_what_is_typed_or_said_is_never_markup(tmp_path):
    evil = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>"[:60]
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        page = await generated(visitor, evil)
        for path in (page.path, IN, f"{page.path}/revoke", "/activity", "/history"):
            shown = await visitor.get(path)
            assert "<img src=x" not in shown.html
            assert "<script>" not in shown.html
        stranger = stage.visitor()
        page = await stranger.submit(await stranger.get("/sign-in"), email=evil, password="x")
        page = await stranger.submit(page, code=evil)
        assert "<img src=x" not in page.html
