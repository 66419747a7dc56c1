"""The portal for people who do not see its pages, or use no mouse."""

from collections.abc import Iterator

import pytest

from support.axe import Accessible
from support.keyboard import Hands
from support.portal_tour import SHOWN, tour
from support.portal_walk import PRIMARY, Street, code_of, street


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(tmp_path_factory.mktemp("portal"), 3) as standing:
        yield standing


def test_no_page_keeps_anybody_out(town: Street) -> None:
    email, link = town.invited()
    with town.walk(Accessible()) as person:
        tour(person, email, link)
        person.go(link)
        assert "is good no more" in person.title


def test_nor_does_a_page_off_the_way(town: Street) -> None:
    _, link = town.invited()
    with town.walk(Accessible()) as person:
        person.accept(link)
        person.enrol()
        person.go(f"{town.url}confirm?then=/app-passwords/new")
        assert person.title == "Is it you?"
        person.type("Primary password", "not mine")
        person.type("Code", "000000")
        person.press("Continue")
        assert "is wrong" in person.text
        person.type("Primary password", PRIMARY)
        person.type("Code", person.recovery_codes.pop())
        person.press("Continue")
        assert person.path == "/app-passwords/new"
        person.go(f"{town.url}nowhere")
        assert person.title == "There is no such page"


def test_a_page_that_keeps_people_out_is_found(town: Street) -> None:
    with town.walk() as person:
        person.go(town.url)
        person.page.locator("label").first.evaluate("label => label.remove()")
        with pytest.raises(AssertionError, match="label: "):
            Accessible()(person.profile)


def test_hands_stay_on_the_keyboard_from_an_invitation_to_done(town: Street) -> None:
    email, link = town.invited()
    with town.walk() as person:
        hands = Hands(person.profile)
        person.go(link)
        hands.type("New primary password", PRIMARY)
        hands.type("The same once more", PRIMARY)
        hands.enter()
        hands.type("Code", code_of(person.page.locator("#key").inner_text()))
        hands.enter()
        hands.enter("I have them")
        hands.enter("Generate Password…")
        hands.type("Label", "Phone")
        hands.tick("contacts: address books")
        hands.enter("Generate")
        assert SHOWN.search(person.text)
        assert "It opens mail and contacts" in person.text
        hands.to("iPhone, iPad, Mac")
        person.page.keyboard.press("Enter")
        assert person.page.get_by_text("Contacts (CardDAV)").first.is_visible()
        hands.enter("App passwords")
        hands.enter("\N{MULTIPLICATION SIGN} Revoke Phone…")
        hands.enter("Revoke Phone")
        assert "0 of 25 active" in person.text
        hands.enter(f"{email}: Done")
        assert "You are signed out." in person.text


def test_the_first_stop_leads_past_what_every_page_begins_with(town: Street) -> None:
    with town.walk() as person:
        person.go(town.url)
        hands = Hands(person.profile)
        hands.to("Skip to the page")
        assert hands.stops == ["Skip to the page"]
        person.page.keyboard.press("Enter")
        hands.to("Email address")
        assert hands.stops[1:] == ["Email address"]
