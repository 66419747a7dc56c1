"""A configuration with backups of it, and what its commands leave behind."""

from pathlib import Path

from support.house import House, make_house

ALICE = "alice@example.org"
PRINTER = "printer@example.org"
PASSPHRASE = "six words drawn by dice"


def furnished_house(folder: Path) -> House:
    """One person, one printer, an app password each; a backup with keys and one without."""
    made = make_house(folder)
    made.add(ALICE)
    made.ask("account", "add", PRINTER, "--service")
    for email in (ALICE, PRINTER):
        made.ask("password", "create", email, "--label", "app", "--scope", "mail", "--operator")
    made.ask("backup", str(folder / "plain"))
    passphrase(folder)
    made.ask("backup", str(folder / "whole"), "--with-keys", "--passphrase-file", str(folder / "passphrase"))
    return made


def passphrase(folder: Path, text: str = PASSPHRASE) -> str:
    """Write a passphrase into a file in `folder` and give its name."""
    file = folder / "passphrase"
    file.write_text(text + "\n")
    file.chmod(0o600)
    return str(file)


def data(house: House) -> Path:
    """Say where its store lies."""
    return house.file.parent / "data"


def named(house: House, name: str) -> str:
    """Give the path of a file beside its config file."""
    return str(house.file.parent / name)


def key_file(house: House) -> Path:
    """Give its one key file."""
    (file,) = (house.file.parent / "keys").iterdir()
    return file


def left(house: House) -> set[str]:
    """Name what lies about that should not."""
    folders = (house.file.parent, data(house))
    return {path.name for folder in folders for path in folder.iterdir() if path.name.startswith(".")}


def refused(house: House, *arguments: str, code: int = 1) -> str:
    """Run a command that must be refused, change nothing and leave nothing; give its words."""
    before = {path: path.read_bytes() for path in house.file.parent.rglob("*.db*") if path.is_file()}
    done = house.run(*arguments)
    assert (done.exit_code, done.stdout) == (code, ""), done.stderr
    after = {path: path.read_bytes() for path in house.file.parent.rglob("*.db*") if path.is_file()}
    assert before == after
    assert left(house) == set()
    return done.stderr
