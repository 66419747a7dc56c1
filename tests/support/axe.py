"""What axe-core finds on a page, as it looks by day on a desk and by night on a phone."""

from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe

from support.chromium import DESKTOP, PHONE, Profile

GRAVE = frozenset({"serious", "critical"})
_AXE = Axe()
_SHAPE = """() => [...document.querySelectorAll("body *")]
  .map((each) => `${each.tagName} ${each.className} ${each.id}`).join()"""
_ALL: dict[str, object] = {}
_COLOURS: dict[str, object] = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""What may differ by day: the rest is the same page."""


@dataclass
class Accessible:
    """Fails for every grave finding; looks once at pages that are built alike."""

    seen: set[str] = field(default_factory=set)

    def __call__(self, profile: Profile) -> None:
        page = profile.page
        shape = page.evaluate(_SHAPE)
        if shape in self.seen:
            return
        self.seen.add(shape)
        for size, scheme, rules in ((PHONE, "dark", _ALL), (DESKTOP, "light", _COLOURS)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": size[0], "height": size[1]})
            found = _grave(profile, rules)
            assert found == [], f"{page.url}, {scheme}: {found}"


def _grave(profile: Profile, rules: dict[str, object]) -> list[str]:
    """Name each rule that is broken gravely, with the places."""
    violations = _AXE.run(profile.page, options={"resultTypes": ["violations"], **rules}).response[
        "violations"
    ]
    return [
        f"{each['id']}: {', '.join(node['html'] for node in each['nodes'])}"
        for each in violations
        if each["impact"] in GRAVE
    ]
