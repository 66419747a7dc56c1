"""A person whose hands stay on the keyboard: Tab until it is there, then Enter or Space.

Wherever Tab stops, the screen must show it, and what stops there must have a name.
"""

from dataclasses import dataclass, field

from playwright.sync_api import Page

from support.chromium import Profile

_STOPS_MOST = 80
_HERE = """() => {
  const here = document.activeElement;
  if (!here || here === document.body) return null;
  const look = getComputedStyle(here);
  const box = here.getBoundingClientRect();
  const label = here.labels && here.labels.length ? here.labels[0].textContent : here.textContent;
  return {
    name: label.replace(/\\s+/g, " ").trim(),
    shown: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0,
    within: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
  };
}"""


@dataclass
class Hands:
    """Two hands on the keyboard, before one profile."""

    profile: Profile
    stops: list[str] = field(default_factory=list)

    @property
    def page(self) -> Page:
        return self.profile.page

    def to(self, name: str) -> None:
        """Press Tab until what is called this has the focus."""
        for _ in range(_STOPS_MOST):
            self.page.keyboard.press("Tab")
            here = self.page.evaluate(_HERE)
            if here is None:
                continue
            assert here["name"], f"nameless: {self.page.url}"
            assert here["shown"], f"{here['name']} does not show that it has the focus: {self.page.url}"
            assert here["within"], f"{here['name']} is not on the screen: {self.page.url}"
            self.stops.append(here["name"])
            if here["name"] == name:
                return
        raise AssertionError(f"Tab never comes to {name} on {self.page.url}, only to {self.stops}")

    def type(self, name: str, text: str) -> None:
        """Fill in a field."""
        self.to(name)
        self.page.keyboard.type(text)

    def tick(self, name: str) -> None:
        """Tick a box, or untick it."""
        self.to(name)
        self.page.keyboard.press("Space")

    def enter(self, name: str = "") -> None:
        """Press Enter: on what is called this, else where the focus is."""
        if name:
            self.to(name)
        with self.page.expect_navigation(wait_until="load"):
            self.page.keyboard.press("Enter")
