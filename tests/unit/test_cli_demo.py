"""The demo's folder: made whole or not at all, read again, and its page of settings."""

import asyncio
import shutil
from pathlib import Path

import pytest

from proxy.cli.demo_folder import DemoFolder, open_folder
from proxy.cli.demo_page import page
from support.office import raw

LOCAL = "127.0.0.1"


def opened(path: Path, *hosts: str, bind: str = LOCAL) -> DemoFolder:
    return asyncio.run(open_folder(path, hosts, bind))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's folder, made once."""
    path = tmp_path_factory.mktemp("made") / "demo"
    opened(path)
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "demo")
    return tmp_path / "demo"


def shown(folder: DemoFolder, label: str) -> str:
    """Give what the page says of alice's app password."""
    facts = {"host": "localhost", "imaps_port": 1993, "imap_port": 1143}
    lines = page(folder, facts).partition("alice@example.org")[2].splitlines()
    return next(line for line in lines if line.startswith(f"  {label} "))


def test_the_page_tells_revoked_from_expired(folder: Path) -> None:
    with raw(folder / "data") as connection:
        connection.execute("UPDATE app_password SET expires_at = created_at WHERE label = 'Mail only'")
        connection.execute(
            "UPDATE app_password SET revoked_at = created_at, revoked_why = 'revoked by its owner' "
            "WHERE label = 'Events only'"
        )
    again = opened(folder)
    assert shown(again, "Everything").endswith("opens mail, contacts, events")
    assert shown(again, "Mail only").endswith("expired")
    assert shown(again, "Events only").endswith("revoked")


def test_a_demo_whose_store_was_taken_away_still_starts(folder: Path) -> None:
    for path in (folder / "data").glob("gate.db*"):
        path.unlink()
    assert shown(opened(folder), "Everything").endswith("revoked")
