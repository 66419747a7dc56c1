"""A command on a terminal of its own: its questions are waited for, then answered as a person would."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 30.0
AGAIN_S = 5.0
"""After so long a silence Ctrl-C is pressed again: input() misses one that comes just before it waits."""
CTRL_C = "\x03"


@dataclass(frozen=True)
class Dialog:
    """How a command ended, and all that was to be seen on the terminal."""

    code: int
    screen: str


Answer = str | Callable[[str], str]
"""What is typed, or what makes it from the screen so far."""


def on_terminal(
    command: Sequence[str | Path], answers: Sequence[tuple[str, Answer]], env: Mapping[str, str] | None = None
) -> Dialog:
    """Run `command`; each answer is typed, with Return, when its question is there. Ctrl-C is "\\x03"."""
    master, slave = pty.openpty()
    try:
        with subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=env,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - before any thread
        ) as process:  # fmt: skip
            os.close(slave)
            try:
                screen = _talk(master, answers)
            except BaseException:
                process.kill()
                raise
            return Dialog(process.wait(PATIENCE_S), screen)
    finally:
        os.close(master)


def _take_terminal() -> None:
    """Own the terminal, and hear Ctrl-C even where whoever started the tests does not."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _talk(master: int, answers: Sequence[tuple[str, Answer]]) -> str:
    screen, seen, typed = "", 0, ""
    for question, answer in answers:
        while question not in screen[seen:]:
            more = _more(master)
            assert more is not None, f"no {question!r} on the screen: {screen}"
            screen += more
        seen = screen.index(question, seen) + len(question)
        typed = answer if isinstance(answer, str) else answer(screen)
        os.write(master, typed.encode() + (b"" if typed == CTRL_C else b"\n"))
    while (more := _more(master, pressed=typed)) is not None:
        screen += more
    return screen.replace("\r\n", "\n")


def _more(master: int, *, pressed: str = "") -> str | None:
    """Give what came; None once the command has closed the terminal."""
    deadline = time.monotonic() + PATIENCE_S
    while not select.select([master], [], [], AGAIN_S)[0]:
        assert time.monotonic() < deadline, "the command is silent"
        if pressed == CTRL_C:
            os.write(master, CTRL_C.encode())
    try:
        return os.read(master, 65_536).decode("utf-8", "replace") or None
    except OSError:  # EIO: the other end is closed (Linux)
        return None
