"""A walk through all of the portal: each page that people can come to, and the mistakes that forms tell."""

import re

from support.portal_walk import CHANGED, Walk

SHOWN = re.compile(r"([a-z0-9]{4}-){4}[a-z0-9]{4}")


def arrive(person: Walk, link: str) -> None:
    """From an invitation to an empty list."""
    person.go(link)
    assert person.title == "Welcome"
    person.type("New primary password", "a new broom sweeps clean")
    person.type("The same once more", "another broom")
    person.press("Continue")
    assert "not the same" in person.text
    person.accept(link)
    assert person.path == "/second-factor"
    person.type("Code", "000000")
    person.press("Confirm")
    assert ("Copy" in person.text) == person.scripts
    person.enrol()
    assert person.title == "App-specific passwords"
    assert "0 of 25 active" in person.text


def make(person: Walk) -> None:
    """Generate some: a mistake first, one that lives long, one that ends soon enough to be renewed."""
    person.follow("Generate Password…")
    person.type("Label", "Phone")
    person.page.get_by_label("mail:").uncheck()
    person.press("Generate")
    assert "That cannot be made yet" in person.text
    person.follow("Cancel")
    assert SHOWN.fullmatch(person.generate("Phone", "mail", "contacts", "events"))
    assert person.page.locator("#password").evaluate("shown => shown.getClientRects().length") == 1, "broken"
    person.open_all()
    person.page.reload()
    assert not SHOWN.search(person.text)
    assert "is not shown again" in person.text
    person.back_to_list()
    person.generate("Old tablet", "mail", expires="in 30 days")
    person.back_to_list()
    assert "2 of 25 active" in person.text
    person.press_link("Renew… Old tablet")
    person.press("Renew")
    assert SHOWN.search(person.text)
    person.back_to_list()


def read(person: Walk) -> None:
    """Everything there is to read."""
    person.follow("View History")
    assert person.title == "History"
    for name in ("Activity", "Connections", "Account"):
        person.follow(name)
        assert person.title == name


def end(person: Walk) -> None:
    """Revoke one, then all, and read that they ended."""
    person.follow("App passwords")
    person.press_link("Revoke Phone…")
    assert person.title == "Revoke Phone?"
    person.press("Revoke Phone")
    assert "Phone" not in person.page.locator("ul.cards").inner_text()
    person.follow("Revoke All…")
    person.press("Revoke All")
    assert "0 of 25 active" in person.text
    person.follow("View History")
    assert person.page.locator("ul.cards > li").count() == 3


def account(person: Walk) -> None:
    """New recovery codes, another authenticator, another primary password, others signed out."""
    person.follow("Account")
    person.follow("Make new recovery codes")
    person.press("Make new recovery codes")
    person.recovery_codes = person.page.locator("#codes li").all_inner_texts()
    person.press("I have them")
    person.follow("Account")
    person.follow("Replace the authenticator")
    assert person.title == "Replace the authenticator"
    person.enrol()
    person.follow("Account")
    person.follow("Change the primary password")
    person.type("New primary password", CHANGED)
    person.type("The same once more", CHANGED)
    person.press("Change it")
    person.follow("Account")
    person.press("Sign out elsewhere")


def leave(person: Walk, email: str) -> None:
    """Done, a wrong code, a right one, and Done."""
    person.press(f"{email}: Done")
    assert "You are signed out." in person.text
    person.type("Email address", email)
    person.type("Primary password", CHANGED)
    person.press("Continue")
    person.type("Code", "000000")
    person.press("Sign in")
    assert "is wrong" in person.text
    person.answer()
    assert person.path == "/app-passwords", person.text
    person.press(f"{email}: Done")


def tour(person: Walk, email: str, link: str) -> None:
    """All of it."""
    arrive(person, link)
    make(person)
    read(person)
    end(person)
    account(person)
    leave(person, email)
