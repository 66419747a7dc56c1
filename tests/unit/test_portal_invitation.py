"""The page behind an invitation: looked at as often as one likes, used once, and told of to nobody."""

import logging
import re

import pytest

from auth.invitations import GOOD_S
from auth.secret import Secret
from proxy.log.formats import Formatter, LogFormat
from proxy.portal.guard import COOKIE
from support.office import ALICE, BOB, OPERATOR, PRIMARY
from support.portal import code_of, portal_stage

NEW = "staple battery horse"
ENDED = "This invitation is good no more"


async def invited(stage, email=ALICE) -> str:
    """Give the address in an invitation of somebody who is new here."""
    await stage.here.accounts.add(email, primary=None, actor=OPERATOR)
    invited = await stage.here.accounts.invitations.invite(email, OPERATOR)
    return f"/invitation/{invited.token.reveal()}"


async def test_from_the_invitation_to_app_passwords(tmp_path):
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        visitor = stage.visitor()
        page = await visitor.get(address)
        assert f"This invitation is for {ALICE}, good until 18 January, 08:00 UTC, and once." in page.text
        page = await visitor.submit(page, new_password=NEW, again=NEW)
        assert page.path == "/second-factor"
        key = re.search(r'id="key">([A-Z2-7 ]+)<', page.html)[1]
        page = await visitor.submit(page, code=code_of(key, stage.here.clock.now).reveal())
        assert page.path == "/second-factor/recovery-codes"
        assert (await visitor.submit(page)).path == "/app-passwords"


async def test_to_look_at_it_uses_nothing_up(tmp_path):
    """Mail scanners open links before people do, by HEAD or by GET."""
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        for _ in range(3):
            assert (await stage.visitor().get(address)).status == 200
            assert (await stage.visitor().ask("HEAD", address)).status == 200
        visitor = stage.visitor()
        assert (await visitor.submit(await visitor.get(address), new_password=NEW, again=NEW)).path == (
            "/second-factor"
        )


async def test_used_late_replaced_and_made_up_ones_are_answered_alike(tmp_path):
    async with portal_stage(tmp_path) as stage:
        used, late = await invited(stage), await invited(stage, BOB)
        visitor = stage.visitor()
        await visitor.submit(await visitor.get(used), new_password=NEW, again=NEW)
        stage.here.clock.now += GOOD_S
        replaced = await invited(stage, "carol@example.org")
        await stage.here.accounts.invitations.invite("carol@example.org", OPERATOR)
        pages = [
            await stage.visitor().get(each) for each in (used, late, replaced, f"/invitation/{'A' * 43}")
        ]
        assert {page.status for page in pages} == {410}
        assert len({page.text for page in pages}) == 1
        assert ENDED in pages[0].text


async def test_a_form_that_was_open_when_it_ended_lets_nobody_in(tmp_path):
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        first, second = stage.visitor(), stage.visitor()
        pages = [await each.get(address) for each in (first, second)]
        assert (await first.submit(pages[0], new_password=NEW, again=NEW)).path == "/second-factor"
        late = await second.submit(pages[1], new_password="another battery", again="another battery")
        assert (late.status, ENDED in late.text) == (410, True)
        assert (await second.get("/second-factor")).path == "/sign-in"
        entry = stage.visitor()
        page = await entry.submit(await entry.get("/sign-in"), email=ALICE, password=NEW)
        assert page.path == "/second-factor"


async def test_a_slip_uses_nothing_up_and_what_was_typed_does_not_come_back(tmp_path):
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        visitor = stage.visitor()
        page = await visitor.get(address)
        for new, again, words in (
            (NEW, "something else", "The two passwords are not the same"),
            ("short", "short", "A primary password has"),
        ):
            page = await visitor.submit(page, new_password=new, again=again)
            assert (page.status, page.path) == (422, address)
            assert words in page.text
            assert new not in page.html
        assert (await visitor.submit(page, new_password=NEW, again=NEW)).path == "/second-factor"


async def test_a_cookie_of_before_is_worth_nothing_behind_it(tmp_path):
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        visitor = stage.visitor()
        page = await visitor.get(address)
        planted = visitor.cookies[COOKIE]
        await visitor.submit(page, new_password=NEW, again=NEW)
        assert visitor.cookies[COOKIE] != planted
        attacker = stage.visitor()
        attacker.cookies[COOKIE] = planted
        assert (await attacker.get("/second-factor")).path == "/sign-in"


async def test_another_site_cannot_use_it_up(tmp_path):
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        visitor = stage.visitor()
        fields = (
            (await visitor.get(address)).form().filled({"new-password": "evil horse", "again": "evil horse"})
        )
        evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await visitor.post(address, fields, headers=evil)).status == 403
        without = [(name, value) for name, value in fields if name != "csrf"]
        assert (await visitor.post(address, without)).status == 403
        assert (await visitor.get(address)).status == 200


async def test_nothing_of_it_goes_anywhere(tmp_path, caplog):
    """No page names it to another, nothing is loaded from elsewhere, and no line of the log has it."""
    caplog.set_level(logging.DEBUG)
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        visitor = stage.visitor()
        page = await visitor.get(address)
        assert page.header("Referrer-Policy") == "same-origin"
        assert page.header("Cache-Control") == "no-store"
        named = set(re.findall(r'(?:src|href|action)="([^"?]*)[?"]', page.html))
        assert named == {"#main", "/static/gate.svg", "/static/portal.css", "/static/portal.js", address}
        on = await visitor.submit(page, follow=False, new_password=NEW, again=NEW)
        assert (on.header("Location"), on.header("Referrer-Policy")) == ("/second-factor", "same-origin")
        assert address not in (await visitor.get("/second-factor")).html
        await visitor.submit(page, new_password=NEW, again=NEW)
        await visitor.raw(f"GET {address} HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n".encode())
        await visitor.raw(f"GET {address} nonsense\r\n\r\n".encode())
    log = "\n".join(map(Formatter(LogFormat.LOGFMT).format, caplog.records))
    assert "reason=bad-request" in log  # so what cannot be read was told of
    assert address.removeprefix("/invitation/") not in log
    assert NEW not in log


@pytest.mark.parametrize("path", ["/invitation/", "/invitation/a/b", "/invitation"])
async def test_there_is_no_other_such_page(tmp_path, path):
    async with portal_stage(tmp_path) as stage:
        assert (await stage.visitor().get(path)).status == 404


async def test_who_has_a_second_factor_by_now_cannot_be_taken_over_by_an_old_link(tmp_path):
    async with portal_stage(tmp_path) as stage:
        address = await invited(stage)
        await stage.here.accounts.set_primary(ALICE, PRIMARY, OPERATOR)
        again = await stage.here.accounts.invitations.invite(ALICE, OPERATOR)
        await stage.here.enrol()
        for each in (address, f"/invitation/{again.token.reveal()}"):
            assert (await stage.visitor().get(each)).status == 410
        assert await stage.here.accounts.invitations.look(Secret("x")) is None


async def test_a_browser_that_says_its_origin_alone_may_use_it(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.accounts.add(ALICE, primary=None, actor=OPERATOR)
        invited = await stage.here.accounts.invitations.invite(ALICE, OPERATOR)
        visitor = stage.visitor()
        page = await visitor.get(f"/invitation/{invited.token.reveal()}")
        fields = page.form(page.path).filled({"new-password": PRIMARY.reveal(), "again": PRIMARY.reveal()})
        said = {"Origin": stage.url.rstrip("/")}
        assert (await visitor.post(page.path, fields, headers=said)).path == "/second-factor"
