"""A real browser without a screen: Chromium, driven by Playwright, with nothing kept between profiles.

A profile fails its test for whatever the browser complained of: scripts, styles and addresses that the pages'
own policy forbids, or files that are not there. A page that refuses is none.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from support.programs import program

DESKTOP = (1200, 800)
PHONE = (390, 844)
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)  # fmt: skip
"""It asks for its maker's addresses as soon as it runs, whatever it is told not to do: it finds no name."""
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d\b")
_PATIENCE_MS = 20_000
_SPILLS = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const told = (each) => `${each.tagName} ${each.className} ${each.getBoundingClientRect().right}`;
  const beyond = (each) => each.getBoundingClientRect().right > wide + 0.5;
  return ["too wide", ...[...document.querySelectorAll("body *")].filter(beyond).map(told)];
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser until the block ends; skips where there is none.

    No test of asyncio may run meanwhile: Playwright has its own loop in this thread.
    """
    path = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Profile:
    """One person's browser, with one tab."""

    page: Page
    scripts: bool
    complaints: list[str] = field(default_factory=list)
    went_to: set[str] = field(default_factory=set)

    @property
    def spills(self) -> list[str]:
        """What stands beyond the right edge, where the page scrolls sideways."""
        return self.page.evaluate(_SPILLS)


@contextmanager
def profile(
    browser: Browser,
    *,
    size: tuple[int, int] = DESKTOP,
    scripts: bool = True,
    dark: bool = False,
    scale: float = 1,
    zone: str = "UTC",
) -> Iterator[Profile]:
    """A fresh profile that takes the demo's certificate; what it complained of fails the test at its end."""
    context = browser.new_context(
        ignore_https_errors=True,  # its authority is made anew for every demo
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        color_scheme="dark" if dark else "light",
        device_scale_factor=scale,
        locale="en-GB",
        timezone_id=zone,
    )
    context.set_default_timeout(_PATIENCE_MS)
    try:
        held = Profile(context.new_page(), scripts)
        held.page.on("console", lambda message: _listen(held, message))
        held.page.on("request", lambda request: _note(held, request))
        held.page.on("pageerror", lambda error: held.complaints.append(str(error)))
        held.page.on("requestfailed", lambda request: _failed(held, request.url, request.failure))
        yield held
        assert held.complaints == [], held.complaints
    finally:
        context.close()


def _note(held: Profile, request: Request) -> None:
    if request.is_navigation_request():
        held.went_to.add(request.url)


def _listen(held: Profile, message: ConsoleMessage) -> None:
    refused = _REFUSED.match(message.text) and message.location["url"] in held.went_to
    if message.type in ("error", "warning") and not refused:
        held.complaints.append(f"{message.type}: {message.text}")


def _failed(held: Profile, url: str, failure: str | None) -> None:
    if failure != "net::ERR_ABORTED":  # a page that was left, or a file that was saved
        held.complaints.append(f"{url}: {failure}")
