"""What tests do on the pages of app passwords, again and again."""

from __future__ import annotations

import re
from contextlib import contextmanager

from proxy.sessions import Live
from scopes.model import Service
from support.office import PRIMARY
from support.portal import Stage
from support.records import HOUR
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
