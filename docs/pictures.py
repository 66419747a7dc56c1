"""Takes the README's two pictures of the portal from a running demo of this tree, with Chromium.

usage: .venv/bin/python docs/pictures.py      (writes docs/portal-list.png and docs/portal-password.png)
"""

from __future__ import annotations

import imaplib
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from playwright.sync_api import Locator, Page  # noqa: E402
from small_png import smaller  # noqa: E402

from support.chromium import chromium, profile  # noqa: E402
from support.portal_walk import Walk  # noqa: E402
from support.running import Demo, running_demo  # noqa: E402
from support.waiting import until  # noqa: E402

_EMAIL: Final = "carol@example.org"
_PORTS: Final = ("--imaps-port=1993", "--smtps-port=1465", "--https-port=8443", "--portal-port=8444")
"""The demo's own, which stand in the picture."""
_SIZE: Final = (900, 700)
_BELOW: Final = 24
_OCTETS_MOST: Final = 60 * 1024
_MADE: Final = (
    ("Laptop, Thunderbird", ("mail", "contacts", "events"), '("name" "Thunderbird" "version" "140.5.0")'),
    ("iPhone", ("mail", "contacts", "events"), '("name" "iPhone Mail" "version" "23B85")'),
    ("Tablet", ("contacts", "events"), None),
    ("Old phone", ("mail",), '("name" "K-9 Mail")'),
)
"""Label, what it opens, and what its client says of itself by IMAP ID; None for one that was not used yet."""


def take(folder: Path) -> None:
    """Make app passwords by the pages, use some of them, and take the pictures."""
    with (
        chromium() as browser,
        running_demo(folder / "data", folder / "ready.json", *_PORTS) as demo,
        profile(browser, size=_SIZE) as held,
    ):
        added = demo.cli("account", "import", "-", stdin=f"email\n{_EMAIL}\n")
        assert added.returncode == 0, added.stderr
        person = Walk(held)
        person.accept(demo.ask("account", "invite", _EMAIL, "--print")["invited"][0]["link"])
        person.enrol()
        for label, opens, client in reversed(_MADE):
            password = person.generate(label, *opens)
            if client is not None:
                _use(demo, password, client)
            person.back_to_list()
            if client is not None:
                until(lambda: _is_used(held.page, label))  # noqa: B023 - called here
        _picture(held.page, "portal-list.png", held.page.locator("li.card").last)
        person.generate("Work laptop", "mail", "events")
        _picture(held.page, "portal-password.png", held.page.locator("details.app").last)


def _use(demo: Demo, password: str, client: str) -> None:
    """Sign in by IMAP as that client."""
    context = ssl.create_default_context(cafile=demo.facts["ca_file"])
    with imaplib.IMAP4_SSL(demo.facts["host"], demo.facts["imaps_port"], ssl_context=context) as mailbox:
        mailbox.xatom("ID", client)
        mailbox.login(_EMAIL, password)


def _is_used(page: Page, label: str) -> bool:
    """Whether the list says by now when it was last used."""
    page.reload()
    return page.locator("li.card", has_text=label).get_by_text("IMAP").is_visible()


def _picture(page: Page, name: str, last: Locator) -> None:
    """Write what the page looks like, down to the end of `last`."""
    box = last.bounding_box()
    assert box is not None
    clip = {"x": 0, "y": 0, "width": _SIZE[0], "height": round(box["y"] + box["height"]) + _BELOW}
    png = smaller(page.screenshot(full_page=True, clip=clip, animations="disabled", caret="hide"))
    assert len(png) <= _OCTETS_MOST, f"{name}: {len(png)} octets"
    (HERE / name).write_bytes(png)
    print(f"{name}: {len(png)} octets")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        take(Path(made))
