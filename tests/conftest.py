"""What every part of the tests shares."""

import contextlib
import gc
import os
import secrets
from pathlib import Path

import pytest
from hypothesis import settings

from support.imap import connect
from support.running import running_demo

os.environ.setdefault("WICKETGATE_TESTS_SEED", str(secrets.randbits(32)))  # one for all processes of a run
settings.register_profile("wicketgate", deadline=None)
settings.load_profile("wicketgate")


@pytest.fixture(scope="module", autouse=True)
def _light_collector():
    """Take what lives by now out of the collector's way: tests that look for leaks collect often.

    Once would not do: pytest keeps three reports a test, soon more than all that the tests themselves make.
    """
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def dial():
    """Connect with imaplib as often as a test likes; every connection is closed at its end."""
    clients = []

    def connected(facts, *, starttls: bool = False):
        clients.append(connect(facts, starttls=starttls))
        return clients[-1]

    yield connected
    for client in clients:
        with contextlib.suppress(OSError):  # one that has logged out is closed already
            client.shutdown()
