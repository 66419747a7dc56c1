"""The pages History and Activity: why an app password ended, who still tries it, and why a phone failed."""

from __future__ import annotations

from auth.refusal import Reason
from auth.store.rows import GRANTED
from scopes.model import Scope, Service
from support.office import ALICE, BOB, OPERATOR, OWNER
from support.portal import portal_stage
from support.records import DAY, HOUR, sign_in


async def test_why_did_my_phone_fail(tmp_path):
    async with portal_stage(tmp_path) as stage:
        here = stage.here
        await here.enrolled()
        account = await here.accounts.find(ALICE)
        old = await here.mint("Old iPhone")
        book = await here.mint("Address book", scopes={Scope.CONTACTS})
        await here.accounts.revoke(ALICE, old.id, OWNER)
        here.clock.now += HOUR
        now = int(here.clock.now)
        own = {"account_id": account.id}
        await here.store.record_sign_ins(
            [
                *(
                    sign_in(now - n, Reason.REVOKED, "iPhone Mail", app_password_id=old.id, **own)
                    for n in range(3)
                ),
                sign_in(now, Reason.WRONG_SCOPE, app_password_id=book.id, **own),
                sign_in(now, Reason.UNAVAILABLE, app_password_id=book.id, service=Service.DAV, **own),
                sign_in(now, GRANTED, "DAVx5/4.4", app_password_id=book.id, service=Service.DAV, **own),
            ]
        )
        visitor, _ = await stage.signed_in()
        page = (await visitor.get("/activity")).text
        assert "Your phone keeps trying Old iPhone, which you revoked on" in page
        assert "3 times since" in page
        assert "The app password Address book opens contacts, not mail." in page
        assert "The server of contacts and events did not answer." in page
        assert "DAVx5/4.4 opened contacts or events with Address book." in page
        assert "You revoked Old iPhone, from 192.0.2.7." in page
        assert "The administrator generated Old iPhone." in page
        assert "None" not in page
        past = (await visitor.get("/history")).text
        assert "You revoked it on" in past
        assert "Your phone still tried it:" in past


async def test_what_is_older_than_a_month_is_told_no_more(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled()
        account = await stage.here.accounts.find(ALICE)
        minted = await stage.here.mint("Phone")
        then = sign_in(int(stage.here.clock.now), app_password_id=minted.id, account_id=account.id)
        await stage.here.store.record_sign_ins([then])
        stage.here.clock.now += 31 * DAY
        visitor, _ = await stage.signed_in()
        page = (await visitor.get("/activity")).text
        assert "No app has signed in." in page
        assert "Nothing went wrong." in page
        assert "generated Phone" not in page


async def test_sign_ins_of_others_are_not_told(tmp_path):
    async with portal_stage(tmp_path) as stage:
        await stage.here.enrolled(BOB)
        await stage.here.enrolled()
        his = await stage.here.mint("Bob's", BOB)
        bob = await stage.here.accounts.find(BOB)
        now = int(stage.here.clock.now)
        await stage.here.store.record_sign_ins(
            [sign_in(now, "revoked", "Bob Mail", app_password_id=his.id, account_id=bob.id)]
        )
        await stage.here.accounts.revoke(BOB, his.id, OPERATOR)
        visitor, _ = await stage.signed_in()
        for path in ("/activity", "/history"):
            assert "Bob" not in (await visitor.get(path)).text
