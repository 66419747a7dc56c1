"""A browser goes from the portal to a provider on another site and back, with and without scripts."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import pytest

from auth.secret import Secret
from support import imap
from support.axe import Accessible
from support.chromium import DESKTOP, PHONE, chromium, profile
from support.dialects import GMAIL
from support.house import PRIMARY, code
from support.oauth_provider import Fault
from support.oauth_town import Town, moved_in
from support.serving import running_gate

BOB, CAROL = "bob@example.org", "carol@example.org"
ELSEWHERE = "https://127.0.0.1"
"""Another site than https://localhost: what comes from there comes without the portal's cookie."""


@dataclass
class Moved:
    town: Town
    seed: Secret
    seed_of_carol: Secret


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A town whose provider has its pages on another site; Bob comes by it, Carol by a password there."""
    with ExitStack() as stack:
        town = moved_in(stack, tmp_path_factory.mktemp("town"), GMAIL)
        before = f'authorization_endpoint = "{town.provider.url}/'
        after = f'portal = true\nauthorization_endpoint = "{ELSEWHERE}:{town.provider.port}/'
        text = town.house.file.read_text("utf-8")
        assert before in text
        town.house.file.write_text(text.replace(before, after), "utf-8")
        seeds = [town.house.add(email) for email in (BOB, CAROL)]
        stored = ["account", "set-upstream", CAROL, "--secret-file", "-", "--no-try"]
        town.house.ask(*stored, stdin="a password of before\n")
        yield Moved(town, *seeds)


@pytest.fixture(scope="module")
def browser(moved):  # Bob is added before: Playwright has a loop of its own in this thread
    with chromium() as running:
        yield running


@pytest.fixture
def house(moved, tmp_path):
    provider = moved.town.provider
    provider.login, provider.agrees, provider.fault = BOB, True, None
    provider.asked.clear()
    return moved.town.house.copy(tmp_path / "gate")


def fits(held) -> None:
    assert held.spills == [], held.page.url


def connections(page, gate, seed, email=BOB) -> None:
    """Sign in and go to the page."""
    page.goto(f"https://localhost:{gate.facts['portal_port']}/")
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Primary password").fill(PRIMARY)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Code").fill(code(seed))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Connections").click()


def go(page, look=lambda: None) -> None:
    """To the provider, and back."""
    page.get_by_role("link", name="Let Wicketgate in at home for reading mail").click()
    look()
    page.get_by_role("link", name="Go on to home").click()
    page.wait_for_url("**/connections")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "without"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_owner_lets_the_gate_in_and_an_app_reads_mail(moved, browser, house, size, scripts):
    with running_gate(house) as gate, profile(browser, size=size, scripts=scripts) as held:
        page, seen = held.page, []
        page.on(
            "request", lambda request: seen.append(request.url) if request.is_navigation_request() else None
        )
        look = partial(Accessible() if size is DESKTOP and scripts else fits, held)
        connections(page, gate, moved.seed)
        look()
        go(page, look)
        assert "it works for reading mail and sending mail" in page.inner_text("main")
        look()
        away, landed, here, _ = seen[-4:]
        assert away.startswith(f"{ELSEWHERE}:")
        assert [urlsplit(url).path for url in (landed, here)] == [
            "/connections/authorised",
            "/connections/authorised/here",
        ]
        made = gate.ask("password", "create", BOB, "--label", "phone", "--scope", "mail", "--operator")
        with imap.connect(gate.facts) as client:
            client.login(BOB, made["password"])
            assert client.select()[0] == "OK"
        assert "code=" not in gate.log.text


@pytest.mark.parametrize("look", [Accessible(), fits], ids=["axe", "phone"])
def test_a_stored_password_that_is_refused_is_not_saved(moved, browser, house, look):
    size = PHONE if look is fits else DESKTOP
    with running_gate(house) as gate, profile(browser, size=size) as held:
        page = held.page
        connections(page, gate, moved.seed_of_carol, CAROL)
        look(held)
        page.get_by_role("link", name="Replace the password for reading mail").click()
        page.get_by_label("Sending mail").uncheck()
        page.get_by_label("New password there").fill("not mine")
        page.get_by_role("button", name="Try it and save").click()
        assert "is refused by" in page.inner_text("main")
        look(held)


def test_a_no_there_and_a_provider_that_is_out_are_told_apart(moved, browser, house):
    provider = moved.town.provider
    with running_gate(house) as gate, profile(browser) as held:
        connections(held.page, gate, moved.seed)
        provider.agrees = False
        go(held.page)
        assert "No permission came from home." in held.page.inner_text("main")
        provider.agrees, provider.fault = True, Fault.BROKEN
        go(held.page)
        assert "No answer came from home." in held.page.inner_text("main")


def test_a_link_on_another_site_leads_to_the_page_and_ends_no_session(moved, browser, house):
    with running_gate(house) as gate, profile(browser) as held:
        page = held.page
        connections(page, gate, moved.seed)
        there = page.url.replace("/connections", "/account")
        page.route("https://mail.example/", lambda route: route.fulfill(
            body=f'<!doctype html><html lang="en"><title>mail</title><a href="{there}">renew</a></html>',
            content_type="text/html",
        ))  # fmt: skip
        page.goto("https://mail.example/")
        page.get_by_role("link", name="renew").click()
        page.wait_for_url("**/account")
        assert "Change the primary password" in page.inner_text("main")
