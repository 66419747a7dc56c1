"""Minting killed at any moment: what was printed works, and what was not is at most one row that says so.

The store takes SIGKILL in the middle of anything. A few kills hit a chosen place exactly, because the process
is held there by a full pipe or a locked store; many more come at moments drawn around the end of a run.
`WICKETGATE_TESTS_LONG=1` makes them 200.
"""

import asyncio
import os
import random
import re
import secrets
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from scopes.model import Grant
from support.house import House, make_house
from support.insiders import Insiders, inside
from support.office import locked, raw
from support.running import WICKETGATE

KILLS = 200 if os.environ.get("WICKETGATE_TESTS_LONG") == "1" else 40
AT_ONCE = 2
LIMIT = 25
PATIENCE_S = 30
FULL = "full@example.org"
PRINTER = "printer@example.org"
PEOPLE = [f"person{number}@example.org" for number in range(KILLS // 12)]
_GROUPED = re.compile(r"\b[a-z0-9]{4}(?:-[a-z0-9]{4}){4}\b")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory) -> House:
    """Persons with a second factor, a printer, and one account with room for two more app passwords."""
    house = make_house(tmp_path_factory.mktemp("mint") / "house")
    for email in (*PEOPLE, FULL):
        house.add(email)
    house.ask("account", "add", PRINTER, "--service")
    asyncio.run(fill(house))
    return house


async def fill(house: House) -> None:
    async with inside(house.file) as insiders:
        await insiders.mint(FULL, [f"old {number}" for number in range(LIMIT - 2)])


@pytest.fixture
def house(furnished, tmp_path) -> House:
    return furnished.copy(tmp_path / "house")


@dataclass(frozen=True)
class Run:
    """One `password create`, and what came of it."""

    email: str
    label: str
    output: str
    code: int

    @property
    def password(self) -> str | None:
        """The password, if it was printed whole."""
        found = _GROUPED.search(self.output)
        return None if found is None else found[0]


@dataclass
class Moments:
    """When to kill: around the time a password is printed, which every kill tells more about."""

    random: random.Random
    printed_s: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self) -> tuple[float, bool]:
        """Give seconds after the start, and whether they were drawn around the end."""
        with self.lock:
            if self.random.random() < 0.15:
                return self.random.uniform(0, 1.3 * self.printed_s), False
            return self.printed_s * self.random.gauss(1.0, 0.06), True

    def learn(self, *, printed: bool) -> None:
        with self.lock:
            self.printed_s *= 0.98 if printed else 1.02


def start(house: House, email: str, label: str, *more: str, stdout: int = subprocess.PIPE):
    return subprocess.Popen(
        [WICKETGATE, "-c", house.file, "password", "create", email, "--label", label,
         "--scope", "mail", "--operator", *more],
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def seconds_to_print(house: House, email: str, label: str) -> float:
    began = time.monotonic()
    with start(house, email, label) as process:
        process.stdout.readline()
        seconds = time.monotonic() - began
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return seconds


def mint(house: House, email: str, label: str) -> Run:
    with start(house, email, label) as process:
        output, _ = process.communicate(timeout=60)
    return Run(email, label, output, process.returncode)


def mint_and_kill(house: House, moments: Moments, number: int) -> Run:
    email = [*PEOPLE, FULL, PRINTER][number % (len(PEOPLE) + 2)]
    label = f"kill {number}"
    seconds, around_the_end = moments.draw()
    with start(house, email, label, *(["--json"] if number % 2 else [])) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, seconds))
        process.kill()
        output, _ = process.communicate(timeout=60)
    run = Run(email, label, output, process.returncode)
    if around_the_end and email != FULL:
        moments.learn(printed=run.password is not None)
    return run


def test_mints_killed_at_random_moments(house):
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # pytest shows it when the test fails
    with ThreadPoolExecutor(AT_ONCE) as pool:
        whole = list(pool.map(lambda n: seconds_to_print(house, PEOPLE[n], "whole"), range(AT_ONCE)))
        moments = Moments(random.Random(seed), max(whole))
        runs = list(pool.map(lambda number: mint_and_kill(house, moments, number), range(KILLS)))
    printed = [run for run in runs if run.password is not None]
    print(f"{len(printed)} printed, {sum(run.code == 0 for run in runs)} ended by themselves")
    assert 0 < len(printed) < KILLS, "the moments do not lie around the end of a run"
    store_is_whole(house)
    rows_fit(house, runs)
    asyncio.run(every_printed_one_works(house, printed))
    never_shown_are_listed(house, runs)
    limit_holds(house)


def store_is_whole(house: House) -> None:
    with raw(house.file.parent / "data") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        changes = store.execute("SELECT COUNT(*), MAX(seq) FROM change").fetchone()
        assert changes == store.execute("SELECT seq, seq FROM feed").fetchone()
        made = "SELECT id FROM app_password ORDER BY id"
        recorded = (
            "SELECT app_password_id FROM audit WHERE deed = 'app password created' ORDER BY app_password_id"
        )
        assert store.execute(made).fetchall() == store.execute(recorded).fetchall()


def rows_fit(house: House, runs: list[Run]) -> None:
    """At most one row a run; one that ended well left one, and said that it was shown."""
    with raw(house.file.parent / "data") as store:
        rows = store.execute("SELECT label, shown_at FROM app_password WHERE label LIKE 'kill %'").fetchall()
    count, shown = Counter(label for label, _ in rows), dict(rows)
    assert set(count.values()) <= {1}
    assert set(count) <= {run.label for run in runs}
    for run in runs:
        assert run.password is None or count[run.label] == 1
        assert run.code != 0 or shown[run.label] is not None
        assert run.password is not None or shown.get(run.label) is None


async def every_printed_one_works(house: House, printed: list[Run]) -> None:
    async with inside(house.file) as insiders:
        for run in printed:
            await works(insiders, run.email, run.password, run.label)


async def works(insiders: Insiders, email: str, password: str, label: str) -> None:
    grant = await insiders.sign_in(email, password)
    assert isinstance(grant, Grant), grant
    assert (grant.email, grant.label) == (email, label)


def never_shown_are_listed(house: House, runs: list[Run]) -> None:
    printed = {run.label for run in runs if run.password is not None}
    for email in (*PEOPLE, PRINTER, FULL):
        rows = house.ask("password", "list", email)
        never = {row["label"] for row in rows if row["perhaps_never_shown"]}
        assert never >= {row["label"] for row in rows if row["label"].startswith("kill")} - printed
        assert house.run("password", "list", email).stdout.count("perhaps never shown") == len(never)


def limit_holds(house: House) -> None:
    """No account has too many, and the store still takes what there is room for."""
    for email in (*PEOPLE, PRINTER, FULL):
        active = len(house.ask("password", "list", email))
        assert active <= LIMIT
        more = house.run("password", "create", email, "--label", "more", "--scope", "mail", "--operator")
        assert more.exit_code == (0 if active < LIMIT else 1), more.stderr


# --- the two moments that matter, exactly -------------------------------------------------------------------


class FullPipe:
    """A pipe that takes nothing until it is emptied: who writes to it waits."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.write_end, False)
        self.filling = 0
        with suppress(BlockingIOError):
            while True:
                self.filling += os.write(self.write_end, b"." * 4096)
        os.set_blocking(self.write_end, True)

    def empty(self) -> None:
        taken = 0
        while taken < self.filling:
            taken += len(os.read(self.read_end, self.filling - taken))

    def read_password(self) -> str:
        text = ""
        while not _GROUPED.search(text):
            text += os.read(self.read_end, 4096).decode()
        return _GROUPED.search(text)[0]

    def rest(self) -> bytes:
        os.set_blocking(self.read_end, False)
        return os.read(self.read_end, 65_536 + self.filling)

    def close_write_end(self) -> None:
        os.close(self.write_end)


@pytest.fixture
def pipe():
    made = FullPipe()
    yield made
    os.close(made.read_end)


def mint_up_to_the_commit(house: House, pipe: FullPipe, email: str):
    """Start a mint that cannot print, and wait for its row."""
    process = start(house, email, "phone", stdout=pipe.write_end)
    pipe.close_write_end()
    began = time.monotonic()
    with raw(house.file.parent / "data") as store:
        while not store.execute("SELECT 1 FROM app_password WHERE label = 'phone'").fetchall():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
            if process.returncode is not None or time.monotonic() - began > PATIENCE_S:
                process.kill()
                pytest.fail(f"no row was committed before the print: {process.communicate()[1]}")
    return process


def kill(process) -> None:
    with process:
        process.kill()
        process.communicate(timeout=60)


@pytest.mark.parametrize("email", [PEOPLE[0], PRINTER])
def test_killed_between_commit_and_print_it_leaves_one_row_that_was_never_shown(house, pipe, email):
    kill(mint_up_to_the_commit(house, pipe, email))
    pipe.empty()
    assert pipe.rest() == b""
    [row] = house.ask("password", "list", email)
    assert (row["label"], row["perhaps_never_shown"]) == ("phone", True)
    store_is_whole(house)


@pytest.mark.parametrize("email", [PEOPLE[0], PRINTER])
def test_killed_between_print_and_note_it_leaves_a_password_that_works(house, pipe, email):
    process = mint_up_to_the_commit(house, pipe, email)
    with locked(house.file.parent / "data"):  # so that the note cannot be written
        pipe.empty()
        password = pipe.read_password()
        kill(process)
    [row] = house.ask("password", "list", email)
    assert (row["label"], row["perhaps_never_shown"]) == ("phone", True)
    store_is_whole(house)
    asyncio.run(one_works(house, email, password))


async def one_works(house: House, email: str, password: str) -> None:
    async with inside(house.file) as insiders:
        await works(insiders, email, password, "phone")


def test_of_two_at_once_for_the_last_place_one_gets_it(house):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seconds_to_print(house, FULL, "last but one")
        runs = list(pool.map(lambda number: mint(house, FULL, f"last {number}"), range(2)))
    assert sorted((run.code, run.password is None) for run in runs) == [(0, False), (1, True)]
    assert len(house.ask("password", "list", FULL)) == LIMIT
    store_is_whole(house)
