"""An administrator with Dovecot, Postfix and a spreadsheet: from the list to three hundred people invited.

What the README says under "Inviting 300 people", with people who open what they were sent.
"""

import os
import re
import subprocess

import pytest

from support import imap
from support.dovecot import running_dovecot
from support.dovecot_config import DovecotOptions
from support.mail_servers import make_mail_gate, signing_in, upstream
from support.people import Guest, with_portal
from support.postfix import running_postfix
from support.running import WICKETGATE
from support.serving import running_gate
from support.waiting import until

PEOPLE = 300
GATE = "gate@example.org"
MAIL = f'\n[mail]\nsender = "{GATE}"\n'
_LINK = re.compile(r"^https://\S+/invitation/[\w-]{43}$", re.MULTILINE)


def email(number: int) -> str:
    return f"person{number:03}@example.org"


def password(number: int) -> str:
    return f"the mailbox of {number}"


@pytest.fixture(scope="module")
def servers():
    known = {email(number): password(number) for number in range(PEOPLE)}
    options = DovecotOptions(passwords={**known, GATE: "gate's own"})
    with running_dovecot(options) as dovecot, running_postfix(dovecot) as postfix:
        yield dovecot, postfix


@pytest.fixture
def house(tmp_path, servers):
    dovecot, postfix = servers
    login = signing_in(tmp_path, dovecot.secret)
    house = make_mail_gate(
        tmp_path / "gate",
        upstream(f"imaps://localhost:{dovecot.imaps}", dovecot.ca_file, login),
        upstream(f"smtps://localhost:{postfix.ports.submissions}", postfix.ca_file, login),
    )
    return with_portal(house, 'kind = "imap"', MAIL)


def spreadsheet(tmp_path) -> None:
    """Write what German Excel saves as "CSV UTF-8"."""
    rows = [f"{email(number)};p{number}" for number in range(PEOPLE)]
    text = "".join(f"{row}\r\n" for row in ("Email;Aliases", *rows, ";"))
    (tmp_path / "people.csv").write_bytes(text.encode("utf-8-sig"))


def typed(house, command: str) -> str:
    """Run a line as it stands, beside people.csv, and give what it prints."""
    program, *arguments = command.replace("alice@example.org", email(0)).split()
    assert program == "wicketgate"
    done = subprocess.run(
        [WICKETGATE, *arguments],
        cwd=house.file.parent.parent,
        env={**os.environ, "WICKETGATE_CONFIG": str(house.file)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def test_three_hundred_people_are_invited_by_mail_and_their_links_work(tmp_path, root, house, servers):
    _, postfix = servers
    spreadsheet(tmp_path)
    preview, imported, check, invited, listed = [typed(house, line) for line in commands(root)]
    assert "all is well" in check
    assert "300 accounts would be added" in preview
    assert "300 accounts added" in imported
    assert invited == "invited 300 people by mail; it goes out while the gate serves\n"
    assert listed.count("missing") == PEOPLE
    with running_gate(house) as gate:
        until(lambda: len(list(postfix.mail.glob("person*/new/*"))) == PEOPLE, within_s=240)
        links = [sent_link(postfix, email(number)) for number in range(PEOPLE)]
        assert len(set(links)) == PEOPLE
        for number, link in enumerate(links):
            page = Guest(house, link).invitation()
            assert (page.status, email(number) in page.text) == (200, True)
        for number in (0, 150, 299):
            Guest(house, links[number]).come_in(password(number))
            phone = gate.mint(email(number))
            with imap.connect(gate.facts) as client:
                assert client.login(f"p{number}", phone)[0] == "OK"
            assert Guest(house, links[number]).invitation().status == 410
        assert not any(link.rpartition("/")[2] in gate.log.text for link in links)
    again = house.ask("account", "invite", "--all")
    assert (again["invited"], len(again["still_invited"])) == ([], PEOPLE - 3)
    assert typed(house, "wicketgate account list").count("enrolled") == 3


def commands(root) -> list[str]:
    """Give the commands of the README's section, in its order."""
    section = (root / "README.md").read_text("utf-8").partition("\n### Inviting 300 people\n")[2]
    return re.findall(r"^    (wicketgate .*)$", section.partition("\n#")[0], re.MULTILINE)


def sent_link(postfix, address: str) -> str:
    """The link in the one mail that somebody has got."""
    (message,) = postfix.messages(address)
    (link,) = _LINK.findall(message.get_content())
    return link
