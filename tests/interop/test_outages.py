"""What is broken behind the gate is an outage for its clients, never a wrong password, and it passes.

The store and the upstream are taken away from a serving process and given back. Each test has app passwords
of its own: one that the process remembers from a sign-in before the outage, and one that it has never seen.
"""

import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.cutting import carry_out, idle, wait_for_end
from support.imap import refusal
from support.office import locked, raw
from support.serving import Serving, behind, make_gate, running_gate
from support.slow_upstream import SECRET, serving_at, slow_upstream

ALICE = "alice@example.org"
UNAVAILABLE = "[UNAVAILABLE] sign-in is not possible at the moment, try again later"
GARBAGE = b"no database " * 20_000


@pytest.fixture(scope="module")
def upstream():
    with slow_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def gate(tmp_path_factory, upstream):
    folder = tmp_path_factory.mktemp("outage")
    house = make_gate(folder / "gate", upstream.settings(folder))
    house.add(ALICE)
    with running_gate(house) as serving:
        yield serving


@pytest.fixture
def minted(gate):
    """Two app passwords: one to be remembered, one that stays new."""
    yield [gate.mint(ALICE, label) for label in ("remembered", "new")]
    gate.house.ask("password", "revoke-all", ALICE, "--yes")


def signs_in(gate: Serving, dial, password: str) -> None:
    client = dial(gate.facts)
    client.login(ALICE, password)
    assert client.noop()[0] == "OK"
    client.logout()


# --- the store ----------------------------------------------------------------------------------------------


@contextmanager
def table_gone(file: Path, table: str):
    with raw(file.parent, file.name) as store:
        store.execute(f"ALTER TABLE {table} RENAME TO gone")
        try:
            yield
        finally:
            store.execute(f"ALTER TABLE gone RENAME TO {table}")


@contextmanager
def moved(file: Path, put: Callable[[Path, Path], object] = lambda aside, place: None):
    """Move the file aside; `put` puts something else in its place."""
    aside = file.with_name("aside")
    file.rename(aside)
    try:
        put(aside, file)
        yield
    finally:
        if file.is_dir():
            file.rmdir()
        aside.replace(file)


@contextmanager
def overwritten(file: Path, octets: bytes):
    """Change what the file holds, nothing being left in its log; it stays the same file."""
    with raw(file.parent, file.name) as store:
        assert store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    before = file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(octets)
        opened.truncate(len(octets))
    try:
        yield
    finally:
        with file.open("r+b") as opened:
            opened.write(before)
            opened.truncate(len(before))


DAMAGES = {
    "feed gone": lambda file: table_gone(file, "feed"),
    "removed": moved,
    "a folder in its place": lambda file: moved(file, lambda _, place: place.mkdir()),
    "garbage in its place": lambda file: moved(file, lambda _, place: place.write_bytes(GARBAGE)),
    "an older copy in its place": lambda file: moved(file, shutil.copyfile),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_that_cannot_be_read_is_an_outage_and_passes(gate, dial, minted, damage):
    remembered, new = minted
    signs_in(gate, dial, remembered)
    session, client = dial(gate.facts), dial(gate.facts)
    session.login(ALICE, remembered)
    with DAMAGES[damage](gate.data / "gate.db"):
        assert refusal(client, ALICE, remembered) == UNAVAILABLE
        assert refusal(client, ALICE, new) == UNAVAILABLE
        assert refusal(client, "nobody@example.org", new) == UNAVAILABLE
        assert session.noop()[0] == "OK"
    assert session.noop()[0] == "OK"
    session.logout()
    client.login(ALICE, new)
    client.logout()
    signs_in(gate, dial, remembered)


@pytest.mark.parametrize("octets", [GARBAGE, b""], ids=["garbage", "nothing"])
def test_a_store_overwritten_in_place_never_makes_a_right_password_wrong(gate, dial, minted, octets):
    signs_in(gate, dial, minted[0])
    with overwritten(gate.data / "gate.db", octets):
        # SQLite may have kept pages, and then still tells what was committed last: that is no guess.
        assert {told(gate, dial, password) for password in minted} <= {"", UNAVAILABLE}
    for password in minted:
        signs_in(gate, dial, password)


def told(gate: Serving, dial, password: str) -> str:
    """Sign in; gives the words of the refusal, none when let in."""
    client = dial(gate.facts)
    try:
        client.login(ALICE, password)
    except client.error as error:
        return error.args[0].decode()
    client.logout()
    return ""


def test_while_another_process_holds_the_store_people_are_let_in(gate, dial, minted):
    remembered, new = minted
    signs_in(gate, dial, remembered)
    with locked(gate.data):  # readers of a write-ahead log wait for no writer
        signs_in(gate, dial, remembered)
        signs_in(gate, dial, new)
        assert refusal(dial(gate.facts), ALICE, "k7mq-2xwd-hnrp-4tvc-9zsa").startswith(
            "[AUTHENTICATIONFAILED]"
        )


def test_a_password_whose_hash_is_to_be_renewed_works_in_a_store_that_is_held(tmp_path, upstream, dial):
    house = make_gate(tmp_path / "gate", upstream.settings(tmp_path))
    house.add(ALICE)
    text = house.file.read_text("utf-8")
    made = house.ask("password", "create", ALICE, "--label", "old", "--scope", "mail", "--operator")
    house.file.write_text(text.replace("app = { memory_kib = 1024 }", "app = { memory_kib = 2048 }"), "utf-8")
    with running_gate(house) as gate:
        with locked(gate.data):
            signs_in(gate, dial, made["password"])
            assert hashes(gate) == {"m=1024,t=1,p=1"}
        signs_in(gate, dial, made["password"])
    with running_gate(house) as gate:
        signs_in(gate, dial, made["password"])
        assert hashes(gate) == {"m=2048,t=1,p=1"}


def hashes(gate: Serving) -> set[str]:
    """At which costs the stored hashes of app passwords were made."""
    with raw(gate.data) as store:
        return {row[0].split("$")[3] for row in store.execute("SELECT verifier_hash FROM app_password")}


# --- the upstream -------------------------------------------------------------------------------------------


def nothing_there(path: Path) -> None:
    assert not path.exists()


def nobody_listens(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def no_socket_at_all(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize("outage", [nothing_there, nobody_listens, no_socket_at_all])
def test_an_upstream_that_is_down_is_an_outage_and_passes(tmp_path, dial, outage):
    folder = Path(tempfile.mkdtemp(prefix="wg-"))  # short, as Unix sockets need it
    path = folder / "s"
    outage(path)
    house = make_gate(tmp_path / "gate", behind(tmp_path, f"unix:{path}", SECRET))
    house.add(ALICE)
    with running_gate(house) as gate:
        password = gate.mint(ALICE)
        client = dial(gate.facts)
        for _ in range(2):
            assert refusal(client, ALICE, password) == UNAVAILABLE
        path.unlink(missing_ok=True)
        with serving_at(path):
            client.login(ALICE, password)
            assert client.noop()[0] == "OK"
            client.logout()
    folder.rmdir()


# --- last use and history -----------------------------------------------------------------------------------


def not_a_database(file: Path) -> None:
    file.write_bytes(GARBAGE)


def a_folder(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.mkdir()


def removed(file: Path) -> None:
    file.unlink(missing_ok=True)


@pytest.fixture
def house(tmp_path, upstream):
    made = make_gate(tmp_path / "gate", upstream.settings(tmp_path))
    made.add(ALICE)
    return made


@pytest.mark.parametrize("damage", [not_a_database, a_folder])
def test_a_broken_activity_file_at_the_start_disturbs_no_sign_in_and_no_cut(house, dial, damage):
    damage(house.file.parent / "data" / "activity.db")
    with running_gate(house) as gate:
        assert works_without_activity(gate, dial) == (0, 1)


@pytest.mark.parametrize("damage", [not_a_database, a_folder, removed])
def test_an_activity_file_that_breaks_later_disturbs_no_sign_in_and_no_cut(house, dial, damage):
    with running_gate(house) as gate:
        signs_in(gate, dial, gate.mint(ALICE, "earlier"))
        gate.ask("password", "revoke", ALICE, "earlier")  # the worker has written its report there
        for file in gate.data.glob("activity.db*"):
            damage(file)
        cut = works_without_activity(gate, dial)
    # One that was removed is made anew, and reports are found again; of the others none can be.
    assert cut == ((1, 0) if damage is removed else (0, 1))


def works_without_activity(gate: Serving, dial) -> tuple[int, int]:
    """Sign in and revoke; gives what the command heard of the cut."""
    password = gate.mint(ALICE)
    session = idle(dial(gate.facts), ALICE, password)
    signs_in(gate, dial, password)
    assert [row["label"] for row in gate.ask("password", "list", ALICE)] == ["phone"]
    done = carry_out(gate, "password", "revoke", ALICE, "phone")
    wait_for_end(session)
    assert "was revoked" in refusal(dial(gate.facts), ALICE, password)
    return done.cut
