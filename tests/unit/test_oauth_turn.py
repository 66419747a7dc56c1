"""One process at a time refreshes the token of an account."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.upstreams.oauth2.turn import Turns
from proxy.upstreams.place import UpstreamFailure

HOLD = """
import asyncio, sys
from pathlib import Path
from proxy.upstreams.oauth2.turn import Turns
async def hold():
    async with Turns(folder=Path(sys.argv[1]), provider="home").of("ac_a"):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(hold())
"""


def turns(folder: Path, wait_s: float = 30.0, provider: str = "home") -> Turns:
    return Turns(folder=folder, provider=provider, wait_s=wait_s)


async def test_only_one_has_the_turn_and_each_gets_it(tmp_path: Path) -> None:
    inside = most = done = 0

    async def work() -> None:
        nonlocal inside, most, done
        async with turns(tmp_path).of("ac_a"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            done += 1

    await asyncio.gather(*(work() for _ in range(5)))
    assert (most, done) == (1, 5)
    assert list(tmp_path.iterdir()) == []


async def test_other_accounts_and_other_providers_do_not_wait(tmp_path: Path) -> None:
    async with (
        turns(tmp_path).of("ac_a"),
        turns(tmp_path).of("ac_b"),
        turns(tmp_path, provider="b").of("ac_a"),
    ):
        assert len(list(tmp_path.iterdir())) == 3


def test_another_process_is_waited_for_and_a_killed_one_is_not(tmp_path: Path) -> None:
    async def take(wait_s: float) -> None:
        async with turns(tmp_path, wait_s=wait_s).of("ac_a"):
            pass

    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UpstreamFailure, match="another process"):
            asyncio.run(take(0.0))
        process.kill()
        process.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    asyncio.run(take(30.0))
    assert list(tmp_path.iterdir()) == []


async def test_without_a_folder_it_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(UpstreamFailure, match="no such file or directory"):
        async with turns(tmp_path / "none").of("ac_a"):
            pass
