"""The portal's door: signing in and out by its pages, and what a request must be like to be looked at."""

import re

import pytest

from auth.lifetimes import ABSOLUTE_S, IDLE_S
from proxy.portal.guard import COOKIE
from support.office import ALICE, BOB, OPERATOR, PRIMARY
from support.portal import code_of, portal_stage

WRONG = "The email address, the password or the code is wrong."


async def test_who_signs_in_is_shown_their_app_passwords_and_done_signs_out(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, page = await stage.signed_in()
        left = await visitor.submit(page, "/sign-out")
        assert left.path == "/sign-in"
        assert "You are signed out." in left.text
        assert visitor.cookies.keys() <= {COOKIE}
        again = await visitor.get("/confirm")
        assert again.path == "/sign-in"


@pytest.mark.parametrize(
    ("email", "password", "right_code"),
    [
        (ALICE, "wrong horse battery", True),
        (ALICE, PRIMARY.reveal(), False),
        ("nobody@example.org", PRIMARY.reveal(), False),
        (BOB, PRIMARY.reveal(), False),
    ],
)
async def test_what_was_wrong_is_never_said(tmp_path, email, password, right_code):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.here.enrolled(BOB)
        await stage.here.accounts.disable(BOB, OPERATOR)
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email=email, password=password)
        assert page.path == "/sign-in/code"
        assert "wrong" not in page.text
        code = stage.here.code().reveal() if right_code else "000000"
        page = await visitor.submit(page, code=code)
        assert (page.status, page.path) == (422, "/sign-in/code")
        assert WRONG in page.text


async def test_each_step_has_a_cookie_of_its_own_and_the_one_before_is_worth_nothing(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        page = await visitor.get("/sign-in")
        seen = [visitor.cookies[COOKIE]]
        page = await visitor.submit(page, email=ALICE, password=PRIMARY.reveal())
        seen.append(visitor.cookies[COOKIE])
        page = await visitor.submit(page, code=stage.here.code().reveal())
        seen.append(visitor.cookies[COOKIE])
        assert len(set(seen)) == 3
        for planted in seen[:2]:
            other = stage.visitor()
            other.cookies[COOKIE] = planted
            assert (await other.get("/confirm")).path == "/sign-in"


async def test_a_cookie_that_was_planted_is_not_kept_at_sign_in(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        visitor.cookies[COOKIE] = "A" * 43
        page = await visitor.submit(await visitor.get("/sign-in"), email=ALICE, password=PRIMARY.reveal())
        await visitor.submit(page, code=stage.here.code().reveal())
        attacker = stage.visitor()
        attacker.cookies[COOKIE] = "A" * 43
        assert (await attacker.get("/confirm")).path == "/sign-in"


@pytest.mark.parametrize("planted", ["a=b {}", 'a="b" {}', "a=b\t{}", "\u2000{}", "\xa0{}", "a=b,{}"])
async def test_a_cookie_that_a_neighbour_may_set_is_never_taken_for_ours(tmp_path, planted):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.here.enrolled(BOB)
        (alice, _), (bob, _) = await stage.signed_in(), await stage.signed_in(BOB)
        hers, his = (f"{COOKIE}={visitor.cookies[COOKIE]}" for visitor in (alice, bob))
        page = await alice.ask("GET", "/account", headers={"Cookie": f"{hers}; {planted.format(his)}"})
        assert (page.path, BOB in page.text) == ("/account", False)
        alone = await stage.visitor().ask("GET", "/account", headers={"Cookie": planted.format(his)})
        assert alone.path == "/sign-in"


async def test_of_two_cookies_of_our_name_none_is_believed(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        ours = f"{COOKIE}={visitor.cookies[COOKIE]}"
        for both in (f"{ours}; {COOKIE}={'A' * 43}", f"{COOKIE}={'A' * 43}; {ours}"):
            page = await stage.visitor().ask("GET", "/account", headers={"Cookie": both})
            assert page.path == "/sign-in"


@pytest.mark.parametrize("passes", [IDLE_S + 1, ABSOLUTE_S + 1])
async def test_a_session_ends_by_itself(tmp_path, passes):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        stage.here.clock.now += passes
        assert (await visitor.get("/confirm")).path == "/sign-in"


async def test_the_second_factor_is_set_up_and_its_recovery_codes_are_shown_until_they_are_safe(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.person()
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email=ALICE, password=PRIMARY.reveal())
        assert page.path == "/second-factor"
        key = re.search(r'id="key">([A-Z2-7 ]+)<', page.html)[1]
        wrong = await visitor.submit(page, code="123")
        assert wrong.status == 422
        assert key in wrong.html
        page = await visitor.submit(wrong, code=code_of(key, stage.here.clock.now).reveal())
        assert page.path == "/second-factor/recovery-codes"
        codes = re.findall(r"<li><code>([^<]+)</code>", page.html)
        assert len(codes) >= 8
        file = await visitor.get("/second-factor/recovery-codes.txt")
        assert all(code in file.body.decode() for code in codes)
        assert file.header("Content-Disposition") == 'attachment; filename="recovery-codes.txt"'
        await visitor.submit(page)
        assert (await visitor.get("/second-factor/recovery-codes.txt")).path == "/app-passwords"


async def test_an_old_proof_is_asked_for_again_and_brings_back(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        stage.here.clock.now += 301
        page = await visitor.get("/second-factor")
        assert page.path == "/confirm"
        before = visitor.cookies[COOKIE]
        page = await visitor.submit(page, password=PRIMARY.reveal(), code=stage.here.code().reveal())
        assert page.path == "/second-factor"
        assert visitor.cookies[COOKIE] != before


async def test_whoever_mistypes_goes_on_to_the_same_page(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/activity"), email=ALICE, password=PRIMARY.reveal())
        page = await visitor.submit(page, code="000000")
        page = await visitor.submit(page, code=stage.here.code().reveal())
        assert page.path == "/activity"
        stage.here.clock.now += 301
        page = await visitor.submit(await visitor.get("/second-factor"), password="not mine", code="000000")
        page = await visitor.submit(page, password=PRIMARY.reveal(), code=stage.here.code().reveal())
        assert page.path == "/second-factor"


# --- what a request must be like ----------------------------------------------------------------------------


async def test_every_answer_carries_what_protects_it(tmp_path):
    async with portal_stage(tmp_path) as stage:
        visitor = stage.visitor()
        for path in ("/sign-in", "/static/portal.css", "/nothing", "/confirm"):
            page = await visitor.get(path, follow=False)
            policy = page.header("Content-Security-Policy")
            assert "default-src 'self'; frame-ancestors 'none'" in policy
            assert page.header("X-Frame-Options") == "DENY"
            assert page.header("Server") == "Wicketgate", "versions are nobody's business"
            assert page.header("X-Content-Type-Options") == "nosniff"
            if not path.startswith("/static"):
                assert page.header("Cache-Control") == "no-store"
        cookie = (await stage.visitor().get("/sign-in")).header("Set-Cookie")
        assert re.fullmatch(r"__Host-wicketgate=[\w-]{43}; Path=/; Secure; HttpOnly; SameSite=Strict", cookie)


async def test_what_a_page_loads_is_known_by_what_is_in_it_and_kept(tmp_path):
    async with portal_stage(tmp_path) as stage:
        visitor = stage.visitor()
        page = await visitor.get("/sign-in")
        files = set(re.findall(r'(?:src|href)="(/static/[^"]*)"', page.html))
        assert len(files) == 3
        for address in files:
            file = await visitor.get(address)
            assert file.status == 200
            assert file.header("ETag").strip('"').startswith(address.partition("?")[2])
            assert file.header("Cache-Control") == f"public, max-age={30 * 86_400}"
            known = await visitor.get(address, **{"If-None-Match": file.header("ETag")})
            assert (known.status, known.body) == (304, b"")


@pytest.mark.parametrize("change", [{"csrf": None}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é"}])
async def test_a_form_without_its_token_is_not_looked_at(tmp_path, change):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, page = await stage.signed_in()
        page = await visitor.submit(page, "/sign-out", **change)
        assert page.status == 403
        assert (await visitor.get("/confirm")).path == "/confirm"


async def test_a_form_of_before_a_step_up_is_too_old(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        old = await visitor.get("/sign-in")
        page = await visitor.submit(old, email=ALICE, password=PRIMARY.reveal())
        await visitor.submit(page, code=stage.here.code().reveal())
        assert (await visitor.submit(old, email=ALICE, password=PRIMARY.reveal())).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_that_another_site_sends_is_not_looked_at(tmp_path, headers):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, page = await stage.signed_in()
        page = await visitor.post("/sign-out", page.form("/sign-out").fields, headers=headers)
        assert page.status == 403


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: {us}\r\nHost: evil.example\r\n", 400),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET https://evil.example/ HTTP/1.1\r\nHost: {us}\r\n", 400),
        ("DELETE /sign-in HTTP/1.1\r\nHost: {us}\r\n", 405),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: {us}\r\n", 400),
        ("POST /sign-in HTTP/1.1\r\nHost: {us}\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n", 415),
        ("GET /" + "a" * 5000 + " HTTP/1.1\r\nHost: {us}\r\n", 414),
        ("GET / HTTP/1.1\r\nHost: {us}\r\nX: " + "a" * 9000 + "\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: {us}\r\n" + "X: 1\r\n" * 80, 400),
    ],
)
async def test_a_strange_request_is_stopped(tmp_path, head, status):
    async with portal_stage(tmp_path) as stage:
        us = stage.url.removeprefix("https://").rstrip("/")
        raw = await stage.visitor().raw((head.format(us=us) + "Connection: close\r\n\r\n").encode())
        assert int(raw.split()[1]) == status, raw[:300]


async def test_a_form_that_is_too_long_is_stopped(tmp_path):
    async with portal_stage(tmp_path) as stage:
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email="a" * 70_000, password="x")
        assert page.status == 413


async def test_where_to_go_on_is_a_path_of_ours(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        page = await visitor.get("/sign-in?then=//evil.example/")
        assert "evil.example" not in page.html
        page = await visitor.submit(page, email=ALICE, password=PRIMARY.reveal())
        form = page.form("/sign-in/code").filled(
            {"code": stage.here.code().reveal(), "then": "https://evil.example"}
        )
        page = await visitor.post("/sign-in/code", form, follow=False)
        assert page.header("Location") == "/app-passwords"


async def test_a_store_that_is_away_is_no_wrong_password(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        page = await visitor.get("/sign-in")
        await stage.here.store.close()
        page = await visitor.submit(page, email=ALICE, password=PRIMARY.reveal())
        assert page.status == 503
        assert "Nothing was wrong with what you typed" in page.text


CROSSED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/account?then=%22%3E%3Cscript%3E"])
async def test_a_link_on_another_site_ends_no_session(tmp_path, path):
    """Browsers leave the cookie out then; were another one set, the session's would be gone."""
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        page = await stage.visitor().get(path, follow=False, **CROSSED)
        assert (page.status, page.header("Set-Cookie")) == (200, None)
        assert f'content="0; url={path}"' in page.html
        assert page.links["Go on"] == path
        assert (await visitor.get(page.links["Go on"])).path not in ("/sign-in", "/confirm")


async def test_not_even_a_link_to_nothing_does(tmp_path):
    async with portal_stage(tmp_path) as stage:
        page = await stage.visitor().get("/nothing", **CROSSED)
        assert (page.status, page.header("Set-Cookie")) == (404, None)


async def test_who_comes_from_another_site_and_has_no_session_signs_in(tmp_path):
    async with portal_stage(tmp_path) as stage:
        visitor = stage.visitor()
        page = await visitor.get("/account", **CROSSED)
        page = await visitor.get(page.links["Go on"], **{**CROSSED, "Sec-Fetch-Site": "same-origin"})
        assert page.path == "/sign-in"
        assert COOKIE in visitor.cookies


@pytest.mark.parametrize("path", ["/\\evil.example", "/%5Cevil.example", "/%0aevil", "//evil.example"])
async def test_no_link_through_us_leads_to_another_site(tmp_path, path):
    async with portal_stage(tmp_path) as stage:
        page = await stage.visitor().get("/sign-in/code", **CROSSED)
        assert page.links["Go on"] == "/sign-in/code"
        raw = await stage.visitor().raw(
            f"GET {path} HTTP/1.1\r\nHost: {stage.url[8:-1]}\r\nSec-Fetch-Site: cross-site\r\n"
            "Sec-Fetch-Mode: navigate\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"http-equiv" not in raw
