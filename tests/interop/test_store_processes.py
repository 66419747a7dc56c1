"""A store is opened while another process closes it: whoever opens it never finds it missing.

The last process to close takes SQLite's log and index away while the next one looks at them.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auth.store.migrate import _make_private
from support.office import opened

LOOKS = 30_000
COME_AND_GO = """\
import os, sqlite3, sys
while os.getppid() == int(sys.argv[2]):
    with sqlite3.connect(sys.argv[1]) as store:
        store.execute("SELECT * FROM feed").fetchall()
    store.close()
"""


@pytest.fixture
def busy_store(tmp_path):
    """A store that another process opens and closes all the time."""
    asyncio.run(made(tmp_path))
    file = tmp_path / "gate.db"
    with subprocess.Popen([sys.executable, "-c", COME_AND_GO, file, str(os.getpid())]) as other:
        yield file
        assert other.poll() is None, "it must have been there all the time"
        other.kill()


async def made(folder: Path) -> None:
    async with opened(folder):
        pass


def test_files_that_vanish_while_they_are_made_private_are_no_outage(busy_store):
    for _ in range(LOOKS):
        _make_private(busy_store)
    assert busy_store.stat().st_mode & 0o777 == 0o600
