"""The whole portal as people see it, from an invitation to Done: any screen, with JavaScript or without."""

import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from proxy.portal.sentences import moment
from support.chromium import DESKTOP, PHONE, Profile
from support.portal_tour import tour
from support.portal_walk import Street, code_of, street
from support.waiting import until


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(tmp_path_factory.mktemp("portal"), 10) as standing:
        yield standing


def fits(profile: Profile) -> None:
    assert profile.spills == [], profile.page.url


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everything_is_done_on_any_screen(town: Street, size: tuple[int, int], scripts: bool) -> None:
    email, link = town.invited()
    with town.walk(fits, size=size, scripts=scripts) as person:
        tour(person, email, link)


def test_what_is_copied_and_saved_is_what_is_shown(town: Street) -> None:
    _, link = town.invited()
    with town.walk() as person:
        page = person.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])

        def copied() -> str:
            page.get_by_role("button", name="Copy", exact=True).click()
            page.get_by_role("button", name="Copied", exact=True).wait_for()
            return page.evaluate("navigator.clipboard.readText()")

        person.accept(link)
        key = page.locator("#key").inner_text()
        assert copied() == key
        person.type("Code", code_of(key))
        person.press("Confirm")
        codes = page.locator("#codes li").all_inner_texts()
        assert copied().splitlines() == codes
        with page.expect_download() as saved:
            page.get_by_role("link", name="Download", exact=True).click()
        assert saved.value.path().read_text("utf-8").splitlines()[-len(codes) :] == codes
        person.press("I have them")
        assert person.generate("Phone", "mail") == copied()


EAST_S = 5 * 3600 + 1800  # of UTC, all year in India


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_times_are_those_of_the_device_where_a_script_can_know_it(town: Street, scripts: bool) -> None:
    _, link = town.invited()
    ahead = EAST_S if scripts else 0
    with town.walk(fits, zone="Asia/Kolkata", scripts=scripts) as person:
        person.go(link)
        assert (" UTC, and once" in person.text) != scripts
        person.accept(link)
        person.enrol()
        person.generate("Phone", "mail", expires="in 30 days")
        shown = person.page.locator("main time")
        ends = datetime.fromisoformat(shown.get_attribute("datetime")).timestamp()
        assert shown.inner_text() == moment(int(ends) + ahead, time.time() + ahead).text
        assert ("Times are those of this device." in person.text) == scripts
        assert ("Times are UTC." in person.text) != scripts


DAYS_AGO = {  # what the server says, and of which day: what is said here, which is this clock behind this
    ("14:05", 0): "",
    ("14:05", 1): "{day}, ",
    ("today at 14:05", 0): "today at ",
    ("today at 14:05", 1): "on {day}, ",
    ("3 May, 14:05", 0): "{day}, ",
}


@pytest.mark.parametrize(("said", "days"), DAYS_AGO)
def test_a_time_alone_is_of_today_and_another_says_its_day(town: Street, said: str, days: int) -> None:
    with town.walk(zone="Asia/Kolkata") as person:
        person.go(town.url)
        then = "const then = new Date(now - days * 864e5)"
        asked = f"([said, days]) => {{ {then}; return [here(said, then, null), dayOf(then)] }}"
        shown, day = person.page.evaluate(asked, [said, days])
        before, clock = shown[:-5], shown[-5:]
        assert before == DAYS_AGO[said, days].format(day=day)
        assert re.fullmatch(r"\d\d:\d\d", clock)
        assert person.page.evaluate("here('3 May', now, null)") == person.page.evaluate("dayOf(now)")
        assert person.page.evaluate("here('14:05', new Date(0), new Date(1e6))") == "05:30"


def test_a_label_is_a_label_on_every_page_that_says_it(town: Street) -> None:
    hostile = "</title><script>alert(1)</script><img src=/x onerror=alert(2)>"
    _, link = town.invited()
    with town.walk() as person:
        ran: list[str] = []
        person.page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
        person.accept(link)
        person.enrol()
        person.generate(hostile, "mail")
        assert hostile in person.text
        person.back_to_list()
        person.press_link(f"Revoke {hostile}…")
        assert hostile in person.title
        person.press(f"Revoke {hostile}")
        assert hostile in person.text
        person.follow("View History")
        assert hostile in person.text
        assert ran == []


BROUGHT_IN = {
    "an image of another site": "new Image().src = 'https://elsewhere.example/'",
    "a style in the page": "document.body.setAttribute('style', 'color: red')",
    "a file that is not there": "document.body.append(Object.assign(new Image(), {src: '/static/none.png'}))",
}


@pytest.mark.parametrize("what", BROUGHT_IN)
def test_what_the_browser_complains_of_is_noticed(town: Street, what: str) -> None:
    def bring_in() -> None:
        with town.walk() as person:
            person.go(town.url)
            person.page.evaluate(f"() => {{ {BROUGHT_IN[what]} }}")
            until(lambda: person.page.evaluate("1") and person.profile.complaints)

    with pytest.raises(AssertionError, match="error: "):
        bring_in()


def test_what_stands_beyond_the_edge_is_noticed(town: Street) -> None:
    with town.walk(size=PHONE) as person:
        person.go(town.url)
        person.page.locator("h1").evaluate("title => { title.textContent = 'x'.repeat(200) }")
        person.page.locator("h1").evaluate("title => { title.style.overflowWrap = 'normal' }")
        with pytest.raises(AssertionError, match="too wide"):
            fits(person.profile)
