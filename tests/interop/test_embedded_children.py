"""The embedded child's life: it serves, comes back when it dies, and never outlives its parent."""

import asyncio
import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

from config.address import SOCKET_PATH_OCTETS
from proxy.embedded.child import Child, ChildFailedError, Program, Time
from proxy.embedded.children import EmbeddedMail, socket_folder
from proxy.embedded.childside import lock
from support.embedded import ALICE, HELLO, raw
from support.waiting import eventually

PARENT = """
import asyncio, sys
from pathlib import Path
from proxy.embedded import children
async def main():
    more = [None] if sys.argv[2] == "EmbeddedDelivery" else []
    server = getattr(children, sys.argv[2])(Path(sys.argv[1]), *more)
    await server.start()
    print(server.pid, server.socket_path, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_leaves_nothing_behind(tmp_path):
    mail = EmbeddedMail(tmp_path / "mail")
    with pytest.raises(RuntimeError):
        _ = mail.socket_path
    await mail.start()
    pid, path = mail.pid, mail.socket_path
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(os.fsencode(path)) <= SOCKET_PATH_OCTETS
    with raw(mail) as client:
        assert client.run(b"a", b"NOOP") == b"a OK done\r\n"
        await mail.stop()
        assert client.line() == b""
    assert not alive(pid)
    assert not path.parent.exists()
    assert mail.pid is None
    await mail.stop()


def test_it_serves_under_uvloop_too(tmp_path):
    async def life():
        mail = EmbeddedMail(tmp_path)
        await mail.start()
        dead = mail.pid
        os.kill(dead, signal.SIGKILL)
        await eventually(lambda: mail.pid not in (None, dead) and answers(mail))
        await mail.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(life())


async def test_it_can_be_started_again(tmp_path):
    mail = EmbeddedMail(tmp_path)
    for _ in range(2):
        await mail.start()
        with raw(mail):
            pass
        await mail.stop()


async def test_the_secret_is_in_no_argument_and_no_environment(tmp_path):
    mail = EmbeddedMail(tmp_path)
    await mail.start()
    try:
        secret = mail.secret.reveal_bytes()
        for name in ("cmdline", "environ"):
            assert secret not in Path(f"/proc/{mail.pid}/{name}").read_bytes()
    finally:
        await mail.stop()


async def test_a_dead_child_comes_back_at_the_same_place_after_growing_pauses(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    pauses, now = [], 0.0

    async def sleep(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    mail = EmbeddedMail(tmp_path, clock=Time(monotonic=lambda: now, sleep=sleep))
    await mail.start()
    try:
        with raw(mail) as client:
            appended = client.run(b"a", b"APPEND INBOX {%d+}\r\n" % len(HELLO) + HELLO)
        path = mail.socket_path
        for _ in range(3):
            dead = mail.pid
            os.kill(dead, signal.SIGKILL)
            await eventually(lambda dead=dead: mail.pid not in (None, dead) and answers(mail))
        assert mail.socket_path == path
        assert pauses == [0.1, 0.2, 0.4]
        now = 100.0  # it has lived long: forgiven
        dead = mail.pid
        os.kill(dead, signal.SIGKILL)
        await eventually(lambda: mail.pid not in (None, dead) and answers(mail))
        assert pauses[-1] == 0.1
        with raw(mail) as client:
            assert b"* 1 EXISTS" in client.run(b"b", b"SELECT INBOX")
            assert b"[APPENDUID " + appended.split()[3] + b" 2]" in client.run(
                b"c", b"APPEND INBOX {%d+}\r\n" % len(HELLO) + HELLO
            )
    finally:
        await mail.stop()
    assert "ended with status -9" in caplog.text


class Spawner:
    """Makes processes as asyncio does, but for the tries that are to fail."""

    def __init__(self, *failures: Exception | None) -> None:
        self.made = []
        self._failures = list(failures)

    async def __call__(self, *command, **options):
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            raise failure
        self.made.append(await asyncio.create_subprocess_exec(*command, **options))
        return self.made[-1]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (BlockingIOError(errno.EAGAIN, "its text"), "mail did not start: resource temporarily unavailable"),
        (OSError("its text"), "mail did not start: OSError"),
        (ValueError("its text"), "is not kept as it should be: ValueError at test_embedded_children.py:"),
    ],
)
async def test_a_system_that_gives_no_process_is_asked_again(tmp_path, caplog, failure, said):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    clock = Time(monotonic=lambda: 0.0, sleep=sleep)
    mail = EmbeddedMail(tmp_path, clock=clock, spawn=Spawner(None, failure))
    await mail.start()
    try:
        dead = mail.pid
        os.kill(dead, signal.SIGKILL)
        await eventually(lambda: mail.pid not in (None, dead) and answers(mail))
    finally:
        await mail.stop()
    assert pauses == [0.1, 0.2]
    assert said in caplog.text
    assert "its text" not in caplog.text


async def test_a_folder_that_another_serves_is_said_once_with_what_to_do(tmp_path, caplog):
    async def latecomer(*_command, **options):
        program = "import sys; sys.stderr.write('error: another server has the mail in /m\\n')"
        return await asyncio.create_subprocess_exec(sys.executable, "-c", program, **options)

    mail = EmbeddedMail(tmp_path, spawn=latecomer)
    with pytest.raises(ChildFailedError) as failed:
        await mail.start()
    assert str(failed.value) == "another Wicketgate already serves this folder: it has the mail in /m"
    assert "end that one first" in failed.value.hint
    assert caplog.text == ""


async def test_a_first_start_without_a_process_says_why_and_leaves_nothing(tmp_path):
    mail = EmbeddedMail(tmp_path, spawn=Spawner(OSError(errno.EMFILE, "its text")))
    with pytest.raises(ChildFailedError, match="did not start: too many open files") as failed:
        await mail.start()
    assert "ulimit" in failed.value.hint
    assert mail.pid is None


async def test_a_process_that_cannot_be_understood_is_ended():
    """Its first line has no end: reading it fails, and the process must not live on unseen."""

    async def talker(*command, **options):
        program = "import sys; print('x' * 100_000, flush=True); sys.stdin.read()"
        talking.append(await asyncio.create_subprocess_exec(sys.executable, "-c", program, **options))
        return talking[0]

    talking = []
    child = Child(Program(name="talker", arguments=("-c", "")), spawn=talker)
    with pytest.raises(ChildFailedError, match="talker did not start"):
        await child.start()
    assert talking[0].returncode is not None
    assert child.pid is None


def answers(mail: EmbeddedMail) -> bool:
    try:
        with raw(mail):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("server", ["EmbeddedMail", "EmbeddedDelivery", "EmbeddedDav"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_a_killed_parent_takes_its_child_along(tmp_path, how, server):
    parent = subprocess.Popen(  # noqa: ASYNC220 - it is killed before its own loop could be
        [sys.executable, "-c", PARENT, str(tmp_path), server],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        words = (await asyncio.to_thread(parent.stdout.readline)).decode().split()
        pid, path = int(words[0]), Path(words[1])
        assert alive(pid)
        assert path.exists()
        parent.send_signal(how)
        parent.wait()
        await eventually(lambda: not alive(pid))
        assert not path.parent.exists()
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_whole_group_is_the_parents_to_decide(tmp_path, caplog, how):
    mail = EmbeddedMail(tmp_path)
    await mail.start()
    try:
        pid = mail.pid
        os.kill(pid, how)
        with raw(mail) as client:
            assert client.run(b"a", b"NOOP") == b"a OK done\r\n"
        assert mail.pid == pid
    finally:
        await mail.stop()
    assert not alive(pid)
    assert "started again" not in caplog.text


async def test_mail_in_use_is_an_error_that_says_so(tmp_path):
    with lock(tmp_path):
        mail = EmbeddedMail(tmp_path)
        with pytest.raises(
            ChildFailedError, match="another Wicketgate already serves this folder: it has the mail in"
        ):
            await mail.start()
    assert mail.pid is None


async def test_last_words_in_pieces_are_heard_whole():
    """Their line end may come alone: `sys.exit` writes it so."""
    child = Child(Program(name="mute", arguments=()))
    stderr = asyncio.StreamReader()
    reading = asyncio.create_task(child._log_lines(stderr))
    for piece in (b"error: no", b" room", b"\n"):
        stderr.feed_data(piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    stderr.feed_eof()
    await reading
    assert str(child._failure()) == "mute did not start: no room"


async def test_long_lines_of_a_child_are_logged_in_pieces(caplog):
    text = "import os; os.write(2, b'x' * 9000 + b'\\nend'); print('ready', flush=True); os.read(0, 1)"
    child = Child(Program(name="talker", arguments=("-c", text)))
    await child.start()
    await child.stop()
    assert "".join(record.args[1] for record in caplog.records) == "x" * 9000 + "end"
    assert max(len(record.args[1]) for record in caplog.records) <= 8192


async def test_questions_of_a_child_are_answered_and_a_bad_answer_ends_nothing(caplog):
    """What it hears to `2` says that `1` was left without an answer and the connection stood."""
    text = "print('ready\\n1\\n2', flush=True); print(input(), flush=True); input()"
    heard = []
    all_said = asyncio.Event()

    async def answer(question):
        heard.append(question)
        if question == b"1":
            raise ValueError("its text")
        if question != b"2":
            all_said.set()
        return b"answer to " + question

    child = Child(Program(name="asker", arguments=("-c", text), answer=answer))
    await child.start()
    async with asyncio.timeout(30):
        await all_said.wait()
    await child.stop()
    assert heard == [b"1", b"2", b"answer to 2"]
    assert "a question of asker has no answer: ValueError" in caplog.text
    assert "its text" not in caplog.text


async def test_a_child_that_says_something_else_has_failed():
    child = Child(Program(name="json.tool", arguments=("-m", "json.tool", "--help")))
    with pytest.raises(ChildFailedError, match=r"json\.tool did not start"):
        await child.start()
    assert child.pid is None


def test_a_long_path_is_not_taken(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    made = socket_folder({"XDG_RUNTIME_DIR": str(long)})
    try:
        assert not made.is_relative_to(long)
        assert made.stat().st_mode & 0o777 == 0o700
    finally:
        made.rmdir()


@pytest.mark.parametrize("value", ["", "relative", "/nonexistent"])
def test_a_runtime_folder_that_is_none_is_not_taken(value):
    made = socket_folder({"XDG_RUNTIME_DIR": value})
    made.rmdir()


def test_a_child_whose_pipe_is_closed_at_once_ends(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "proxy.embedded.mail", str(tmp_path / "mail"), str(tmp_path / "s")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == 1
    assert b"error: the parent has gone" in done.stderr
    assert ALICE.encode() not in done.stderr
