"""A Cyrus IMAP of the test's own, on free loopback ports, where `gate` may act for every account.

Whoever signs in for the first time gets a mailbox. `ADMIN` is an administrator of it: Cyrus offers those
UNAUTHENTICATE (RFC 8437), and nobody else.
"""

import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from imaplib import IMAP4
from pathlib import Path

from support.daemons import PATIENCE_S, Process, Started, free_ports, greets, running
from support.imap import trusting
from support.programs import program
from support.unpacked import furnish, give, owner, start_as, unpacked

ADMIN = "chief@example.org"
_SECRET = "proxy-of-all"
_IMAPD = """\
configdirectory: {folder}/state
partition-default: {folder}/mail
defaultpartition: default
cyrus_user: {user}
servername: localhost
virtdomains: userid
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
proxyservers: {proxy}
admins: {admin}
allowplaintext: no
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
tls_server_cert: {folder}/tls/server.pem
tls_server_key: {folder}/tls/server.key
"""
_MASTER = """\
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {folder}/imapd.conf" listen="127.0.0.1:{imap}" prefork=0
  imaps cmd="{bin}/imapd -s -C {folder}/imapd.conf" listen="127.0.0.1:{imaps}" prefork=0
  lmtp cmd="{bin}/lmtpd -C {folder}/imapd.conf" listen="{folder}/lmtp" prefork=0
}}
DAEMON {{
  idled cmd="{bin}/idled -C {folder}/imapd.conf -d"
}}
"""


@dataclass(frozen=True)
class Cyrus:
    """A Cyrus that answers."""

    folder: Path
    imaps: int
    imap: int
    secret: str

    @property
    def lmtp(self) -> Path:
        """The socket for a server that delivers to it; whoever may connect is trusted."""
        return self.folder / "lmtp"

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate."""
        return self.folder / "tls" / "ca.pem"


@contextmanager
def running_cyrus(proxy: str = "gate", secret: str = _SECRET) -> Iterator[Cyrus]:
    """Run Cyrus until the block ends; `proxy` may act for others, `secret` is the password of `gate`."""
    package = unpacked("usr/lib/cyrus/bin/master", "cyrus-imapd").parent.parent.parent
    user = owner("cyrus")
    folder = Path(tempfile.mkdtemp(prefix="cyrus-"))
    made: list[Cyrus] = []

    def start() -> Started:
        made.append(Cyrus(folder, *free_ports(2), secret=secret))
        process = _start(made[-1], user)
        return Started(process, lambda: _answers(made[-1]), stop=signal.SIGQUIT)  # it waits for its children

    try:
        _furnish(folder, package, user, proxy, secret)
        with running("Cyrus", start, []):  # it tells syslog alone what is wrong
            yield made[-1]
    finally:
        shutil.rmtree(folder)


def _furnish(folder: Path, package: Path, user: pwd.struct_passwd, proxy: str, secret: str) -> None:
    """Write what is there before the first try; the programs too, for their user may not reach the tests."""
    furnish(folder)
    shutil.copytree(package, folder / "lib", symlinks=True)
    (folder / "state" / "socket").mkdir(parents=True)
    (folder / "mail").mkdir()
    config = _IMAPD.format(folder=folder, user=user.pw_name, admin=ADMIN, proxy=proxy)
    (folder / "imapd.conf").write_text(config)
    saslpasswd = program("saslpasswd2", "sasl2-bin")
    command = [saslpasswd, "-p", "-c", "-f", folder / "sasldb2", "-u", "localhost", "gate"]
    subprocess.run(command, input=secret.encode(), check=True)
    give(folder, user)


def _start(made: Cyrus, user: pwd.struct_passwd) -> Process:
    folder, programs = made.folder, made.folder / "lib" / "cyrus" / "bin"
    [libraries] = {path.parent for path in (folder / "lib").rglob("libcyrus.so.0")}
    (folder / "cyrus.conf").write_text(
        _MASTER.format(folder=folder, bin=programs, imap=made.imap, imaps=made.imaps)
    )
    files = ["-C", folder / "imapd.conf", "-M", folder / "cyrus.conf", "-p", folder / "pid"]
    return start_as([programs / "master", *files], user, LD_LIBRARY_PATH=str(libraries))


def _answers(made: Cyrus) -> bool:
    """Whether both ports talk TLS with our certificate, so that nobody else has one of them."""
    context = trusting(str(made.ca_file))
    try:
        with IMAP4("localhost", made.imap, timeout=PATIENCE_S) as client:
            client.starttls(context)
    except (OSError, IMAP4.error):
        return False
    return greets(made.imaps, b"* OK ", context)
