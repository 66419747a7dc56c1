"""The whole portal as people see it, from an invitation to Done: any screen, with JavaScript or without."""

from collections.abc import Iterator

import pytest

from support.chromium import DESKTOP, PHONE, Profile
from support.portal_tour import tour
from support.portal_walk import Street, street


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with street(tmp_path_factory.mktemp("portal"), 8) as standing:
        yield standing


def fits(profile: Profile) -> None:
    assert profile.spills == [], profile.page.url


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everything_is_done_on_any_screen(town: Street, size: tuple[int, int], scripts: bool) -> None:
    email, link = town.invited()
    with town.walk(fits, size=size, scripts=scripts) as person:
        tour(person, email, link)
