"""The process around a server: why it stops, what it may open, what Python could only ignore."""

from __future__ import annotations

import asyncio
import logging
import resource
import subprocess
import sys
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from config.load import load
from config.scaffold import Ports, init_dir
from proxy.opening import make_store
from proxy.process import Stop, allow_descriptors, log_ignored
from proxy.server.errors import ServeError
from proxy.server.serving import serve

SECRET = "k7mq-2xwd-hnrp-4tvc-9zsa"


async def breaks() -> None:
    raise KeyError(SECRET)


async def breaks_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(breaks())


async def returns() -> None:
    return


@pytest.mark.parametrize(
    ("work", "cause"),
    [(breaks, ": KeyError at test_process.py:"), (breaks_in_a_group, ": KeyError at "), (returns, "")],
)
async def test_a_part_that_ends_stops_the_server_and_is_named_without_its_text(work, cause, caplog):
    async with AsyncExitStack() as stack:
        stop = Stop()
        stop.run_beside(stack, "the part", work())
        await stop.wait()
    assert stop.fault.startswith("the part" + cause)
    assert stop.fault in caplog.text
    assert SECRET not in caplog.text


async def test_parts_that_are_taken_down_are_no_fault():
    async with AsyncExitStack() as stack:
        stop = Stop()
        stop.run_beside(stack, "a part", asyncio.Event().wait())
        stop.ask()
        await stop.wait()
    assert stop.fault is None


async def test_a_server_that_lost_a_part_closes_everything_and_says_so(tmp_path):
    config = load(
        init_dir(
            tmp_path / "gate", ports=Ports(imaps=0, imap=0, submissions=0, submission=0, https=0, portal=0)
        )
    )
    await make_store(config)

    def lose_the_worker(_) -> None:
        next(task for task in asyncio.all_tasks() if task.get_name() == "worker").cancel()

    with pytest.raises(ServeError, match="a part of the server ended: worker"):
        await serve(config, ready=lose_the_worker)
    assert not list((config.server.data / "workers").iterdir())


def test_what_python_ignores_is_one_line_without_its_text(caplog):
    caplog.set_level(logging.WARNING)
    error = ValueError(SECRET)
    log_ignored(SimpleNamespace(exc_type=ValueError, exc_value=error))
    log_ignored(SimpleNamespace(exc_type=None, exc_value=None))
    assert [record.getMessage() for record in caplog.records] == ["ignored: ValueError", "ignored: exception"]


def test_a_process_keeps_what_it_makes_and_holds_to_itself(tmp_path):
    script = (
        "import os, resource, sys; from proxy.process import keep_to_itself; os.umask(0); keep_to_itself();"
        "os.mkdir(sys.argv[1]); print(oct(os.stat(sys.argv[1]).st_mode & 0o777),"
        " resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "made"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0o700", "0"]


def test_open_files_are_allowed_up_to_the_hard_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = 512
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lower, hard))
        assert allow_descriptors(lower + 10) == lower + 10
        assert allow_descriptors(lower) == lower + 10, "never lowered"
        assert allow_descriptors(1 << 40) == (lower + 10 if hard == resource.RLIM_INFINITY else hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
