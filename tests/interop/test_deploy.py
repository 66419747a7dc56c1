"""docs/deploy.md, done to the letter in a copy of this machine: from a program to mail by an app password.

Left out is what downloads (apt, pipx, certbot), and systemd is not there: the servers are started by hand,
and the gate as its unit says.
"""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest

from config.authority import issue, make_authority
from support.machine_copy import MachineCopy, machine_copy
from support.programs import program
from support.service import as_user, command_for_others, settings
from support.serving import Log
from support.terminal import on_terminal
from support.waiting import until

ALICE = "alice@example.org"
OWN = "what-alice-chose"
PRIMARY = "correct horse battery"
DOWNLOADS = ("apt ", "PIPX_HOME=", "certbot ")
OFFLINE = "export SYSTEMD_OFFLINE=1"
"""systemctl enables what it is told to, and says that there is nothing to start."""
THERE = f"""
rm -f /usr/share/dovecot/protocols.d/submissiond.protocol
echo '{ALICE}:{{PLAIN}}{OWN}' > /etc/dovecot/users
cat > /etc/dovecot/conf.d/auth-system.conf.ext <<'END'
passdb {{
  driver = passwd-file
  args = /etc/dovecot/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home=/var/vmail/%u
}}
END
cat > /etc/dovecot/conf.d/99-there.conf <<'END'
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
log_path = /var/log/dovecot.log
END
install -d -o mail -g mail /var/vmail
install -d /etc/dovecot/private
touch /etc/dovecot/private/dovecot.pem /etc/dovecot/private/dovecot.key
postconf -e inet_protocols=ipv4 inet_interfaces=all mydestination= virtual_mailbox_domains=example.org \\
  virtual_mailbox_base=/var/vmail virtual_uid_maps=static:8 virtual_gid_maps=static:8 virtual_minimum_uid=1 \\
  'virtual_mailbox_maps=inline:{{ {ALICE}={ALICE}/Maildir/ }}' \\
  maillog_file=/var/log/postfix.log myhostname=mail.example.org
postconf -M postlog/unix-dgram='postlog unix-dgram n - n - 1 postlogd'
mkdir -p /var/spool/postfix/etc
echo '127.0.0.1 localhost mail.example.org' > /etc/hosts
"""
"""What an administrator has: accounts in Dovecot, and a Postfix that delivers to them."""


def blocks(root, heading: str) -> list[str]:
    """Give the blocks of shell commands below a heading of the page, in order."""
    text = (root / "docs/deploy.md").read_text("utf-8")
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, f"the page has no {heading!r}"
    return re.findall(r"^```sh\n(.*?)^```$", rest.partition("\n## ")[0], re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A machine on which the page was followed."""

    machine: MachineCopy
    folder: Path
    """Certificates as certbot would get them."""
    password: str
    """An app password of alice."""
    log: Log

    def run(self, script: str, *, stdin: str = "") -> str:
        """Run commands there, as an administrator who has signed in anew."""
        return self.machine.run(f"set +u\n. /etc/profile\n{script}", stdin=stdin)


@pytest.fixture(scope="module")
def deployed(root, tmp_path_factory):
    program("dovecot", "dovecot-imapd")
    program("postfix", "postfix")
    folder = tmp_path_factory.mktemp("deploy")
    _make_certificates(folder)
    command = command_for_others(root, folder / "wicketgate.sh")
    with machine_copy() as machine:
        _install(machine, root, folder, command)
        for heading in ("1. Install", "2. Certificate", "3. Configuration", "4. The server behind"):
            for block in blocks(root, heading):
                _follow(machine, block)
        machine.run("(dovecot && postfix start) >/dev/null 2>/var/log/start")
        first, checked = blocks(root, "5. First account")
        seed = _add_and_enrol(machine, first)
        assert "all is well" in _follow(machine, checked)
        start, create = blocks(root, "6. Start")
        _follow(machine, start.replace("enable --now", "enable"))
        with _started(machine) as log:
            password = _app_password(machine, create, seed)
            yield Deployed(machine=machine, folder=folder, password=password, log=log)


def _make_certificates(folder: Path) -> None:
    """Make what certbot would get, and what it would get later, from one authority."""
    for each in (folder, folder / "renewed"):
        each.mkdir(exist_ok=True)
        if each != folder:
            shutil.copy(folder / "ca.pem", each)
            shutil.copy(folder / "ca.key", each)
        make_authority(each)
        issue(each, ["mail.example.org"])


def _install(machine: MachineCopy, root: Path, folder: Path, command: Path) -> None:
    """Do what pipx and certbot would; have Dovecot and Postfix as they were before there was a gate."""
    live = "/etc/letsencrypt/live/mail.example.org"
    machine.run(f"""
        ln -s {root} /usr/local/src/wicketgate
        install -m 0755 {command} /usr/local/bin/wicketgate
        install -d {live} /etc/letsencrypt/renewal-hooks/deploy
        install -m 0644 {folder}/server.pem {live}/fullchain.pem
        install -m 0600 {folder}/server.key {live}/privkey.pem
        install -m 0644 {folder}/ca.pem /usr/local/share/ca-certificates/example.crt
        update-ca-certificates
    """)
    machine.run(THERE)


def _follow(machine: MachineCopy, block: str, stdin: str = "") -> str:
    """Do what a block of the page says, but for downloads, as an administrator who has signed in anew."""
    lines = [line for line in block.splitlines() if not line.startswith(DOWNLOADS)]
    return machine.run("\n".join([OFFLINE, "set +u", ". /etc/profile", "set -u", *lines]), stdin=stdin)


def _add_and_enrol(machine: MachineCopy, block: str) -> pyotp.TOTP:
    """Add alice and enrol her authenticator, as somebody at a terminal does; give what it shows."""
    add, enrol = block.splitlines()
    added = _at_terminal(machine, add, ("New primary password", PRIMARY), ("The same again", PRIMARY))
    assert f"added {ALICE}" in added

    def code(screen: str) -> str:
        return _authenticator(screen).now()

    enrolled = _at_terminal(machine, enrol, ("Code it shows now", code))
    assert f"{ALICE} has a second factor now" in enrolled
    return _authenticator(enrolled)


def _authenticator(screen: str) -> pyotp.TOTP:
    found = re.search(r"[?&]secret=([A-Z2-7]+)", screen)
    assert found, screen
    return pyotp.TOTP(found[1])


def _app_password(machine: MachineCopy, line: str, authenticator: pyotp.TOTP) -> str:
    """Make the app password; no code is taken twice, so the next one is shown, by a clock that is ahead."""
    ahead = authenticator.at(time.time() + authenticator.interval)
    answers = ("Primary password", PRIMARY), ("Code of the second factor", ahead)
    screen = _at_terminal(machine, line.strip(), *answers)
    found = re.search(r"^ +((?:\w{4}-){4}\w{4})$", screen, re.MULTILINE)
    assert found, screen
    return found[1]


def _at_terminal(machine: MachineCopy, line: str, *answers) -> str:
    dialog = on_terminal(machine.inside("bash", "-lc", line), answers)
    assert dialog.code == 0, dialog.screen
    return dialog.screen


@contextmanager
def _started(machine: MachineCopy) -> Iterator[Log]:
    """Start what the unit that was installed there starts, with what it hands over."""
    told = settings(machine.run("cat /etc/systemd/system/wicketgate.service"))
    (loaded,) = told["LoadCredential"]
    name, _, folder = loaded.partition(":")
    user, group = machine.run(f"""
        install -d -o wicketgate -m 0500 /run/credentials
        for file in {folder}/*; do
            install -o wicketgate -m 0400 "$file" "/run/credentials/{name}_$(basename "$file")"
        done
        id -u wicketgate
        id -g wicketgate
    """).split()
    environment = ("env", "-i", "PATH=/usr/bin:/bin", "CREDENTIALS_DIRECTORY=/run/credentials")
    start = *environment, *told["Environment"], *shlex.split(told["ExecStart"][0])
    command = machine.inside(*as_user(int(user), int(group), told), *start)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        log = Log(process.stderr)
        try:
            log.wait_for("serving imaps=(993,) imap=() submissions=(465,) submission=(587,)")
            yield log
        finally:
            machine.run("kill $(pgrep -u wicketgate) || true")
            process.wait()
            log.join()


def test_mail_goes_out_and_comes_in_by_the_app_password(deployed):
    program("swaks", "swaks")
    deployed.run(
        f"swaks --silent --server mail.example.org:465 --tlsc --tls-verify --from {ALICE} --to {ALICE}"
        f" --auth PLAIN --auth-user {ALICE} --auth-password {deployed.password} --header 'Subject: deployed'"
    )
    read = f"curl -sS -u {ALICE}:{deployed.password} 'imaps://mail.example.org/INBOX;MAILINDEX=1'"
    until(lambda: "Subject: deployed" in deployed.run(f"{read} || true"))
    deployed.log.wait_for("event=sign-in service=imap")


def test_servers_behind_listen_for_this_machine_alone(deployed):
    listening = set(re.findall(r"LISTEN\s+\d+\s+\d+\s+(\S+)", deployed.run("ss -ltn")))
    assert {place.rpartition(":")[2] for place in listening if not place.startswith("127.")} == {
        *("25", "993", "465", "587", "443")
    }
    assert {"127.0.0.1:10993", "127.0.0.1:10465"} <= listening


def test_files_are_whose_the_table_says(deployed):
    found = deployed.run("""
        cd /etc/wicketgate
        stat -c '%n %U:%G %a' wicketgate.toml keys keys/* certificates/*/*
        stat -c '%n %U:%G %a' /var/lib/wicketgate
        find /var/lib/wicketgate ! -user wicketgate
    """)
    assert re.sub(r"\d{4}-\d\d\.key", "KEY", found).splitlines() == [
        "wicketgate.toml root:root 644",
        "keys root:root 700",
        "keys/KEY root:root 400",
        "keys/upstream.secret root:root 400",
        "certificates/mail.example.org/fullchain.pem root:wicketgate 640",
        "certificates/mail.example.org/privkey.pem root:wicketgate 640",
        "/var/lib/wicketgate wicketgate:wicketgate 700",
    ]


def test_log_fail2ban_and_backup_are_set_up_as_the_page_says(deployed, root):
    program("fail2ban-client", "fail2ban")
    fail2ban, backup = blocks(root, "8. Log, fail2ban, backup")
    _follow(deployed.machine, fail2ban)
    assert "OK: configuration test is successful" in deployed.run("fail2ban-client -t 2>&1")
    assert "1 account, 1 active app password" in _follow(deployed.machine, backup)


def test_a_renewed_certificate_is_taken(deployed, root):
    """As certbot does it: new files in its own folder, then the hook."""
    deployed.run(f"""
        cd /etc/letsencrypt/live/mail.example.org
        install -m 0644 {deployed.folder}/renewed/server.pem fullchain.pem
        install -m 0600 {deployed.folder}/renewed/server.key privkey.pem
        RENEWED_LINEAGE=$PWD /etc/letsencrypt/renewal-hooks/deploy/wicketgate
        RENEWED_LINEAGE=/etc/letsencrypt/live/www.example.org /etc/letsencrypt/renewal-hooks/deploy/wicketgate
    """)
    shown = "openssl s_client -connect mail.example.org:993 </dev/null 2>/dev/null | openssl x509"
    renewed = (deployed.folder / "renewed/server.pem").read_text("ascii").partition("-----END")[0]
    until(lambda: renewed in deployed.run(shown))
