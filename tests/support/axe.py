"""What axe-core finds on a page, as it looks by day on a desk and by night on a phone."""

from axe_playwright_python.sync_playwright import Axe

from support.chromium import DESKTOP, PHONE, Profile

GRAVE = frozenset({"serious", "critical"})
_AXE = Axe()


def accessible(profile: Profile) -> None:
    """Fail for every grave finding."""
    page = profile.page
    try:
        for size, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": size[0], "height": size[1]})
            found = _grave(profile)
            assert found == [], f"{page.url}, {scheme}: {found}"
    finally:
        page.emulate_media(color_scheme="light")


def _grave(profile: Profile) -> list[str]:
    """Name each rule that is broken gravely, with the places."""
    violations = _AXE.run(profile.page).response["violations"]
    return [
        f"{each['id']}: {', '.join(node['html'] for node in each['nodes'])}"
        for each in violations
        if each["impact"] in GRAVE
    ]
