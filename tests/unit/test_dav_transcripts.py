"""Every dialog in tests/transcripts/dav, whole, byte by byte and at random splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dav_transcript import load, parse, play
from support.sockets import Tls
from support.transcript import ways, whole

FOLDER = Path(__file__).parents[1] / "transcripts" / "dav"
DIALOGS = sorted(path.stem for path in FOLDER.glob("*.txt"))
WAYS = ways(range(1))
OPENS = "-- opens contacts\nC: GET / HTTP/1.1\nC: Host: mail.example.org\nC:\nC:\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialog", DIALOGS)
async def test_dialog(tls, dialog, way):
    await play(load(FOLDER / f"{dialog}.txt"), tls, WAYS[way])


@pytest.mark.parametrize(
    "script",
    [
        OPENS + "S: HTTP/1.1 200 OK",
        OPENS + "S: HTTP/1.1 401 Unauthorized",
        "nonsense",
    ],
)
async def test_a_dialog_that_goes_otherwise_fails(tls, script):
    with pytest.raises((AssertionError, ExceptionGroup)):
        await play(parse(script), tls, whole)
