"""Servers of other people that a test runs: on free loopback ports, known to answer, ended by their id."""

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.waiting import until

PATIENCE_S = 30.0
_TRIES = 5
_LOOK_S = 0.02

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that was started a moment ago, and how to see that it answers."""

    process: Process
    answers: Callable[[], bool]
    stop: signal.Signals = signal.SIGTERM
    """What ends it and all that it started."""


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on at this moment, all different."""
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(sock.getsockname()[1]) for sock in socks]
    finally:
        for sock in socks:
            sock.close()


@contextmanager
def running(name: str, start: Callable[[], Started], logs: list[Path]) -> Iterator[None]:
    """Run a daemon, the leader of its own process group, until the block ends; nothing of it is left then.

    Daemons cannot say which port they were given, so `start` takes free ones, and is called again when one of
    them was taken in the meantime. `logs` tell why it did not start; without any, a port may be why.
    """
    started = _started(name, start, logs)
    try:
        yield
    finally:
        _end(started)


def greets(port: int, words: bytes, tls: ssl.SSLContext) -> bool:
    """Whether what listens there says these words first, under TLS."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock,
            tls.wrap_socket(sock, server_hostname="localhost") as secured,
        ):
            return secured.recv(4096).startswith(words)
    except OSError:
        return False


def _started(name: str, start: Callable[[], Started], logs: list[Path]) -> Started:
    said = ""
    for _ in range(_TRIES):
        started = start()
        try:
            if _answers(started):
                return started
        except BaseException:
            _end(started)
            raise
        _end(started)
        said = "".join(path.read_text(errors="replace") for path in logs if path.exists())
        if logs and "Address already in use" not in said:
            break
    raise AssertionError(f"{name} did not start: {said}")


def _answers(started: Started) -> bool:
    """Wait until it answers or has ended.

    Until it finds its port taken, it may be another server that answers, in whatever way.
    """
    deadline = time.monotonic() + PATIENCE_S
    while started.process.poll() is None and time.monotonic() < deadline:
        if started.answers():
            return True
        with suppress(subprocess.TimeoutExpired):
            started.process.wait(timeout=_LOOK_S)
    return False


def _end(started: Started) -> None:
    """End it by its id, and then whatever of its group outlives it."""
    process = started.process
    process.send_signal(started.stop)
    try:
        process.wait(timeout=PATIENCE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    until(lambda: not _lives(process.pid))


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
