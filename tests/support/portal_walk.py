"""What a person does with the portal in a real browser: reads, types and clicks.

Every page that a walk comes to is handed to its `look`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyotp
from playwright.sync_api import Browser, Locator, Page

from support.chromium import Profile, chromium, profile
from support.running import Demo, running_demo

PRIMARY = "a new broom sweeps clean"
CHANGED = "an old broom knows the corners"


@dataclass
class Walk:
    """One person in one browser."""

    profile: Profile
    look: Callable[[Profile], None] = lambda profile: None
    recovery_codes: list[str] = field(default_factory=list)

    @property
    def page(self) -> Page:
        return self.profile.page

    @property
    def path(self) -> str:
        return "/" + self.page.url.split("/", 3)[3].partition("?")[0]

    @property
    def text(self) -> str:
        """What stands on the page itself."""
        return self.page.locator("main").inner_text()

    @property
    def title(self) -> str:
        return self.page.locator("h1").inner_text()

    def go(self, url: str) -> None:
        """Type an address that somebody was given."""
        self.page.goto(url)
        self.look(self.profile)

    def click(self, what: Locator) -> None:
        """Click what leads to another page."""
        with self.page.expect_navigation(wait_until="load"):
            what.click()
        self.look(self.profile)

    @property
    def scripts(self) -> bool:
        return self.profile.scripts

    def follow(self, name: str) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=True).first)

    def press_link(self, name: str) -> None:
        """Follow the link that is called this by all who read it; on the screen some words are left out."""
        self.click(self.page.get_by_role("link", name=name))

    def back_to_list(self) -> None:
        self.follow("App passwords")

    def open_all(self) -> None:
        """Unfold what is folded."""
        folded = self.page.locator("details:not([open]) > summary")
        while folded.count():
            folded.first.click()
        self.look(self.profile)

    def press(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True))

    def type(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def accept(self, link: str, primary: str = PRIMARY) -> None:
        """Follow an invitation and choose a primary password."""
        self.go(link)
        self.type("New primary password", primary)
        self.type("The same once more", primary)
        self.press("Continue")

    def enrol(self) -> None:
        """Give the key on the page to an authenticator and answer with its code; keep the recovery codes."""
        self.type("Code", code_of(self.page.locator("#key").inner_text()))
        self.press("Confirm")
        self.recovery_codes = self.page.locator("#codes li").all_inner_texts()
        self.press("I have them")

    def sign_in(self, email: str, primary: str = PRIMARY) -> None:
        """Sign in with the next recovery code."""
        self.type("Email address", email)
        self.type("Primary password", primary)
        self.press("Continue")
        self.answer()

    def answer(self) -> None:
        """Type the next recovery code: with an authenticator's, everybody would wait for half a minute."""
        self.type("Code", self.recovery_codes.pop())
        self.press("Sign in")

    def generate(self, label: str, *opens: str, expires: str = "never") -> str:
        """Generate an app password from the list of them; gives what is shown."""
        self.follow("Generate Password…")
        self.type("Label", label)
        for name in ("mail", "contacts", "events"):
            box = self.page.get_by_label(f"{name}:")
            if name in opens or box.count():  # what is not served here is not offered
                box.set_checked(name in opens)
        self.page.get_by_label("It expires").select_option(label=expires)
        self.press("Generate")
        return self.page.locator("#password").inner_text()


def code_of(key: str) -> str:
    """What an authenticator shows that was given this key."""
    return pyotp.TOTP(key.replace(" ", "")).at(datetime.now(UTC))


@dataclass
class Street:
    """A demo whose portal people come to by browser, and a browser for them."""

    demo: Demo
    browser: Browser
    _invited: Iterator[tuple[str, str]]

    @property
    def url(self) -> str:
        return self.demo.facts["portal_url"]

    def invited(self) -> tuple[str, str]:
        """The next person who has not come yet: email address and link."""
        return next(self._invited)

    @contextmanager
    def walk(self, look: Callable[[Profile], None] = lambda profile: None, **more: object) -> Iterator[Walk]:
        """A new person with a browser."""
        with profile(self.browser, **more) as held:
            yield Walk(held, look)


@contextmanager
def street(folder: Path, people: int) -> Iterator[Street]:
    """Run a demo to which that many people are invited, and a browser."""
    with chromium() as browser, running_demo(folder / "data", folder / "ready.json") as demo:
        emails = [f"person{number}@example.org" for number in range(people)]
        added = demo.cli("account", "import", "-", stdin="\n".join(["email", *emails]))
        assert added.returncode == 0, added.stderr
        told = demo.ask("account", "invite", "--all", "--print")
        yield Street(demo, browser, iter([(each["email"], each["link"]) for each in told["invited"]]))
