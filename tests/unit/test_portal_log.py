"""What the portal tells the log: who came in, who was refused, and nothing of what was typed."""

import pytest

from proxy.log.words import COUNTS_AS_GUESS
from support.office import ALICE, PRIMARY
from support.portal import code_of, portal_stage
from support.told import log as _log
from support.told import told, words

log = _log
TYPED = "wrong horse battery"


async def test_a_sign_in_is_one_line_when_both_halves_were_right(tmp_path, log):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        await stage.signed_in()
    (line,) = told(log)
    assert line.pop("connection")
    assert line == {
        "level": "info",
        "event": "sign-in",
        "service": "portal",
        "address": "127.0.0.1",
        "tls": "TLSv1.3",
        "account": ALICE,
        "client": "Visitor/1",
    }


@pytest.mark.parametrize("name", [ALICE, "nobody@example.org", "x\ny event=refused"])
@pytest.mark.parametrize(("password", "right_code"), [(TYPED, True), (PRIMARY.reveal(), False)])
async def test_a_refusal_is_one_line_with_the_name_that_was_typed(tmp_path, log, name, password, right_code):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email=name, password=password)
        assert told(log) == []
        code = stage.here.code().reveal() if right_code else "000000"
        await visitor.submit(page, code=code)
    (line,) = told(log)
    assert (line["event"], line["reason"], line["account"]) == ("refused", "bad-credentials", name)
    assert line["reason"] in COUNTS_AS_GUESS
    assert TYPED not in log.text
    assert code not in log.text


async def test_a_wrong_proof_of_who_is_in_is_a_guess_too(tmp_path, log):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        visitor, _ = await stage.signed_in()
        page = await visitor.get("/confirm")
        page = await visitor.submit(page, password=TYPED, code=stage.here.code().reveal())
        await visitor.submit(page, password=PRIMARY.reveal(), code=stage.here.code().reveal())
    assert words(log) == [("sign-in", ""), ("refused", "bad-credentials")]
    assert told(log)[1]["account"] == ALICE


async def test_who_enrols_for_the_first_time_has_signed_in(tmp_path, log):
    async with portal_stage(tmp_path) as stage:
        await stage.here.person()
        visitor = stage.visitor()
        page = await visitor.submit(await visitor.get("/sign-in"), email=ALICE, password=PRIMARY.reveal())
        assert words(log) == []
        key = page.html.partition('id="key">')[2].partition("<")[0]
        await visitor.submit(page, code=code_of(key, stage.here.clock.now).reveal())
    assert words(log) == [("sign-in", "")]


async def test_what_was_not_looked_at_is_no_guess(tmp_path, log):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        page, tries = None, 0
        while page is None or page.path != "/sign-in" or page.status != 422:
            visitor = stage.visitor()
            page = await visitor.submit(await visitor.get("/sign-in"), email=ALICE, password=TYPED)
            tries += 1
            assert tries < 100
    assert set(words(log)) == {("refused", "too-many-tries")}
    assert told(log)[0]["account"] == ALICE


async def test_who_has_begun_is_still_a_stranger_and_who_is_in_is_none(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        begun = stage.visitor()
        await begun.submit(await begun.get("/sign-in"), email=ALICE, password=TYPED)
        signed_in, _ = await stage.signed_in()
        assert await stage.strangers_while(begun, "/sign-in/code") == 1
        assert await stage.strangers_while(signed_in, "/confirm") == 0
