"""Programs with contacts and calendars: khal and khard on a synced folder, python-caldav, curl."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.dav_gate import Person
from support.programs import missing, program

_KHAL = """\
[calendars]
[[all]]
path = {items}/*
type = discover
[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = UTC
default_timezone = UTC
[sqlite]
path = {folder}/khal.db
"""
_KHARD = """\
[addressbooks]
[[all]]
path = {items}/{book}
[general]
editor = true
merge_editor = true
[contact table]
display = formatted_name
[vcard]
preferred_version = 3.0
"""
# PyPI's caldav brings twenty packages, QUIC among them; Debian's needs little that khal has not brought.
_PYTHON = "/usr/bin/python3"
_CALDAV = """
import datetime, json, sys
import caldav
url, ca, user, verb, *more = sys.argv[1:]
client = caldav.DAVClient(url, username=user, password=sys.stdin.read(), ssl_verify_cert=ca)
days = datetime.datetime(2029, 12, 31), datetime.datetime(2030, 1, 3)

def summaries(events):
    return sorted(each.vobject_instance.vevent.summary.value for each in events)

def calendars():
    return sorted(str(each.url) for each in client.principal().calendars())

def whole(text):
    told = {}
    calendar = client.principal().make_calendar(name="Made by a library")
    told["calendars"] = calendars()
    told["made"] = str(calendar.url)
    told["name"] = calendar.get_properties([caldav.dav.DisplayName()])["{DAV:}displayname"]
    event = calendar.save_event(text)
    told["saved"] = summaries(calendar.date_search(*days, expand=False))
    told["busy"] = calendar.freebusy_request(*days).data.count("FREEBUSY;")
    state = calendar.objects_by_sync_token()
    event.vobject_instance.vevent.summary.value = "changed"
    event.save()
    told["changed"] = summaries(calendar.objects_by_sync_token(state.sync_token, load_objects=True))
    told["found"] = summaries([calendar.event_by_uid(event.id)])
    event.delete()
    told["deleted"] = summaries(calendar.events())
    calendar.delete()
    told["left"] = calendars()
    return told

def put(url, text):
    caldav.Event(client, url=url, data=text, parent=caldav.Calendar(client, url=url)).save()

def make():
    client.principal().make_calendar(name="mine")

try:
    told = {"calendars": calendars, "whole": whole, "put": put, "make": make}[verb](*more)
except caldav.lib.error.DAVError as error:
    told = [type(error).__name__, str(error)]
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Khal:
    """A calendar in the terminal, on what was synced into `items`."""

    folder: Path
    items: Path

    def add(self, calendar: str, summary: str) -> None:
        """Create an event on the second day of 2030."""
        self._run("new", "-a", calendar, "2030-01-02", "10:00", "11:00", summary)

    @property
    def events(self) -> list[str]:
        """The events of the first days of 2030, each with its calendar."""
        listed = self._run("list", "--format", "{calendar}: {title}", "--day-format", "", "2030-01-01", "3d")
        return sorted(line for line in listed.splitlines() if line)

    def _run(self, *words: str) -> str:
        config = self.folder / "khal.conf"
        config.write_text(_KHAL.format(items=self.items, folder=self.folder))
        return _run([program("khal", "khal"), "-c", str(config), *words])


@dataclass(frozen=True)
class Khard:
    """Contacts in the terminal, on one address book that was synced into `items`."""

    folder: Path
    items: Path
    book: str

    def add(self, first: str, last: str, email: str) -> None:
        """Create a contact."""
        filled = self.folder / "contact.yaml"
        filled.write_text(f"First name : {first}\nLast name : {last}\nEmail :\n    work : {email}\n")
        self._run("new", "-a", "all", "-i", str(filled))

    @property
    def emails(self) -> list[str]:
        """Who has which address."""
        found = self._run("email", "--parsable").splitlines()
        return sorted(" ".join(line.split("\t")[:2]) for line in found if "\t" in line)

    @property
    def names(self) -> list[str]:
        """Who is in it."""
        found = self._run("list", "--parsable").splitlines()
        return sorted(line.split("\t")[1] for line in found if "\t" in line)

    def _run(self, *words: str) -> str:
        config = self.folder / "khard.conf"
        config.write_text(_KHARD.format(items=self.items, book=self.book))
        return _run([program("khard", "khard"), "-c", str(config), *words])


def caldav(person: Person, opens: str, verb: str, *more: str) -> Any:
    """Let python-caldav do one thing; it tells what it saw, or what it was refused by."""
    known = subprocess.run([_PYTHON, "-c", "import caldav"], capture_output=True, check=False)
    if known.returncode != 0:
        missing("python-caldav is not installed (Debian package python3-caldav)")
    facts = person.facts
    told = _run(
        [_PYTHON, "-c", _CALDAV, facts["dav_url"], facts["ca_file"], person.email, verb, *more],
        person.password(opens),
    )
    return json.loads(told)


def curl(person: Person, opens: str, method: str, path: str, *options: str) -> tuple[int, str]:
    """Do one request: status and all that was answered, the password on standard input."""
    facts = person.facts
    secret = f'user = "{person.email}:{person.password(opens)}"\n'
    answered = _run(
        [
            program("curl", "curl"), "--config", "-", "--silent", "--show-error", "--include",
            "--cacert", facts["ca_file"], "--write-out", "\n%{http_code}", "--request", method, *options,
            facts["dav_url"].rstrip("/") + path,
        ],
        secret,
    )  # fmt: skip
    text, _, status = answered.rpartition("\n")
    return int(status), text


def _run(command: list[str], stdin: str = "") -> str:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env=_environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment() -> dict[str, str]:
    """Nothing of who runs the tests: no settings at home, and UTC."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}
