"""What every part of the tests shares."""

from pathlib import Path

import pytest
from hypothesis import settings

from support.running import running_demo

settings.register_profile("wicketgate", deadline=None)
settings.load_profile("wicketgate")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo of this tree, one a test file: what one test does to it, the next one of the file sees."""
    folder = tmp_path_factory.mktemp("demo")
    with running_demo(folder / "data", folder / "ready.json") as running:
        yield running
