"""Debian's fail2ban with the filter in examples/ counts who guesses, on lines that a real gate printed.

The IMAP server behind is away, so that every right password is an outage there; sending, contacts and
calendars are served, and so is the portal. Addresses are told by a load balancer.
"""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.log.words import COUNTS_AS_GUESS
from support import callers, fail2ban
from support.balancing import believe_balancers
from support.callers import calling
from support.programs import missing, program
from support.serving import Serving, behind, make_gate, running_gate

ALICE, BOB = "alice@example.org", "bob@example.org"
WRONG = "k7mq-2xwd-hnrp-4tvc-9zsa"
PRIMARY = "correct horse battery staple"
VICTIM = "203.0.113.66"
"""An address from which nobody connects, and that others would like to have banned."""

GUESSES = Counter({"192.0.2.4": 5, "2001:db8::7": 4, "192.0.2.99": 9})
LENIENT = Counter({"192.0.2.4": 3, "2001:db8::7": 3, "192.0.2.99": 1})
"""Without those that have not the shape of an app password."""

_FIELDS = (
    f"level=warning event=refused service=imap reason=bad-credentials address={VICTIM} connection=ab12cd34"
)
_OBJECT = (
    '{"time":"2026-11-27T10:00:26.349Z","level":"warning","event":"refused","service":"imap",'
    f'"reason":"bad-credentials","address":"{VICTIM}","connection":"ab12cd34"}}'
)
FORGERIES = [
    f"x\u2028time=2026-11-27T10:00:26.349Z {_FIELDS}\u0085",
    f'x" time=2026-11-27T10:00:26.349Z {_FIELDS} y="',
    f'x"}}\u2029{_OBJECT}',
    f"Nov 27 10:00:26 mail wicketgate[77]: time=2026-11-27T10:00:26.349Z {_FIELDS}",
    f'x","address":"{VICTIM}","connection":"',
]


@dataclass(frozen=True)
class Printed:
    """What a gate printed."""

    lines: list[str]
    file: Path


@pytest.fixture(scope="module")
def config(root) -> Path:
    program("fail2ban-regex", "fail2ban")
    return root / "examples" / "fail2ban"


@pytest.fixture(scope="module", params=["logfmt", "json"])
def printed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    folder = tmp_path_factory.mktemp("fail2ban")
    away = behind(folder, f"unix:{folder}/nobody", "secret")
    house = believe_balancers(make_gate(folder / "w", away))
    with house.file.open("a") as file:
        file.write(f'\n[log]\nformat = "{request.param}"\n')
    house.add(ALICE)
    house.add(BOB)
    with running_gate(house) as serving:
        _guess(serving)
        _forge(serving)
        _come_in(serving)
        _keep_trying(serving)
        _say_nonsense(serving)
    log = folder / "wicketgate.log"
    log.write_text(serving.log.text)
    return Printed(serving.log.text.splitlines(), log)


def _guess(serving: Serving) -> None:
    for address in ("192.0.2.4", "2001:db8::7"):
        assert b"AUTHENTICATIONFAILED" in callers.imap(serving.facts, address, ALICE, PRIMARY)
        assert b"535" in callers.submission(serving.facts, address, ALICE, WRONG)
        assert b" 401 " in callers.dav(serving.facts, address, "nobody", WRONG)
        assert b" 422 " in callers.portal(serving.facts, address, f"who-is-{address}", PRIMARY)
    assert b"535" in callers.submission(serving.facts, "192.0.2.4", "nobody", PRIMARY)


def _forge(serving: Serving) -> None:
    for forged in FORGERIES:
        assert b"AUTHENTICATIONFAILED" in callers.imap(serving.facts, "192.0.2.99", forged, PRIMARY)
    line = FORGERIES[1]
    several = f"x\ntime=2026-11-27T10:00:26.349Z {_FIELDS}\r\n{_OBJECT}\n"
    assert b"AUTHENTICATIONFAILED" in callers.imap(serving.facts, "192.0.2.99", "x", PRIMARY, several)
    assert b"535" in callers.submission(serving.facts, "192.0.2.99", line, PRIMARY, ehlo=line)
    assert b" 401 " in callers.dav(serving.facts, "192.0.2.99", "x", PRIMARY, agent=FORGERIES[-1])
    assert b" 422 " in callers.portal(serving.facts, "192.0.2.99", several, "y", agent=FORGERIES[-1])


def _come_in(serving: Serving) -> None:
    password = serving.mint(ALICE, "phone", "--scope", "contacts")
    assert b"235" in callers.submission(serving.facts, "192.0.2.50", ALICE, password)
    assert b"UNAVAILABLE" in callers.imap(serving.facts, "192.0.2.51", ALICE, password)
    assert b" 401 " not in callers.dav(serving.facts, "192.0.2.52", ALICE, password)


def _keep_trying(serving: Serving) -> None:
    """Right secrets that open nothing here, or nothing any more."""
    mail = serving.mint(ALICE, "mail")
    assert b" 403 " in callers.dav(serving.facts, "192.0.2.60", ALICE, mail)
    elsewhere = serving.mint(ALICE, "home", "--from", "198.51.100.0/24")
    assert b"535" in callers.submission(serving.facts, "192.0.2.61", ALICE, elsewhere)
    serving.ask("password", "revoke", ALICE, "mail")
    assert b"535" in callers.submission(serving.facts, "192.0.2.62", ALICE, mail)
    bobs = serving.mint(BOB)
    serving.ask("account", "disable", BOB, "--yes")
    assert b"535" in callers.submission(serving.facts, "192.0.2.63", BOB, bobs)


def _say_nonsense(serving: Serving) -> None:
    with calling(serving.facts, "https", "192.0.2.70") as sock:
        callers.ask(sock, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"\r\n\r\n")
    with calling(serving.facts, "imaps", "192.0.2.71") as sock:
        callers.ask(sock, b"GET / HTTP/1.1\r\n", b"ready\r\n")


def test_the_gate_printed_what_is_to_be_told_apart(printed: Printed) -> None:
    words = set(re.findall(r'reason"?[=:]"?([a-z-]+)', "\n".join(printed.lines)))
    assert words >= {
        "bad-credentials", "not-an-app-password", "unavailable", "wrong-scope", "address-not-allowed",
        "revoked", "account-disabled", "bad-request",
    }  # fmt: skip
    assert VICTIM in "".join(printed.lines)


def test_who_guesses_is_counted_and_nobody_else(printed: Printed, config: Path) -> None:
    assert fail2ban.found(config, str(printed.file)) == GUESSES


def test_the_lenient_filter_spares_who_has_the_primary_password_in_an_app(
    printed: Printed, config: Path
) -> None:
    assert fail2ban.found(config, str(printed.file), "wicketgate[mode=lenient]") == LENIENT


def test_the_same_from_the_journal(printed: Printed, config: Path, tmp_path: Path) -> None:
    source = fail2ban.journal(printed.lines, tmp_path / "t.journal")
    assert fail2ban.found(config, source) == GUESSES


def test_another_service_of_the_journal_is_not_heard(printed: Printed, config: Path, tmp_path: Path) -> None:
    source = fail2ban.journal(printed.lines, tmp_path / "t.journal", unit="other.service")
    assert fail2ban.found(config, source) == Counter()


def test_the_same_from_a_file_of_syslog(printed: Printed, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "syslog"
    file.write_text("".join(f"Nov  7 10:00:26 mail wicketgate[77]: {line}\n" for line in printed.lines))
    assert fail2ban.found(config, str(file)) == GUESSES


def test_the_filter_names_the_words_that_count_and_no_other(root) -> None:
    text = (root / "examples" / "fail2ban" / "filter.d" / "wicketgate.conf").read_text("utf-8")
    normal, lenient = (
        set(each.split("|")) for each in re.findall(r"^_guess-\w+ = (.*)$", text, re.MULTILINE)
    )
    assert normal == COUNTS_AS_GUESS
    assert lenient == COUNTS_AS_GUESS - {"not-an-app-password"}


@pytest.fixture
def installed(config: Path, tmp_path: Path) -> Path:
    """Debian's configuration with ours in it."""
    client = Path("/etc/fail2ban")
    if not client.exists():
        missing("there is no /etc/fail2ban (Debian package fail2ban)")
    folder = tmp_path / "fail2ban"
    shutil.copytree(client, folder)
    (folder / "jail.d" / "defaults-debian.conf").unlink(missing_ok=True)
    shutil.copytree(config, folder, dirs_exist_ok=True)
    return folder


def test_fail2ban_takes_the_jail(installed: Path) -> None:
    client = program("fail2ban-client", "fail2ban")
    told = subprocess.run(
        [client, "-c", installed, "--dp"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for words in ("'maxretry', 30", "'add', 'wicketgate', 'systemd'", "_SYSTEMD_UNIT=wicketgate.service"):
        assert words in told, told
