"""An Exim of the test's own, on free loopback ports, where `gate` may act for every account.

It knows the mailboxes that a test has made, delivers to them or hands on to who keeps them (LMTP, RFC 2033),
and refuses everybody else's. An account may write as itself alone, and no message may have the header
`X-Refuse`.
"""

import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from support.daemons import Process, Started, free_ports, greets, running
from support.delivered import messages, wait_for
from support.imap import trusting
from support.programs import program
from support.unpacked import furnish, give, owner, start_as, unpacked

_SECRET = "submission-for-all"
_CONFIG = """\
exim_path = FOLDER/exim
exim_user = USER
exim_group = GROUP
spool_directory = FOLDER/spool
log_file_path = FOLDER/%slog
pid_file_path = FOLDER/pid
primary_hostname = exim.example.org
local_interfaces = 127.0.0.1
daemon_smtp_ports = WITH_TLS : WITH_STARTTLS
tls_on_connect_ports = WITH_TLS
daemon_startup_retries = 0
tls_advertise_hosts = *
tls_certificate = FOLDER/tls/server.pem
tls_privatekey = FOLDER/tls/server.key
auth_advertise_hosts = ${if def:tls_in_cipher {*}}
dsn_advertise_hosts = *
host_lookup =
keep_environment =
notifier_socket =
deliver_drop_privilege = true
acl_smtp_mail = sender
acl_smtp_rcpt = recipient
acl_smtp_data = message

begin acl
sender:
  require authenticated = *
  deny condition = ${if and {{def:sender_address} {!eqi{$sender_address}{$authenticated_id}}}}
    message = $sender_address does not belong to $authenticated_id
  accept
recipient:
  require verify = recipient
  accept
message:
  deny condition = ${if def:h_X-Refuse:}
    message = this message is refused
  accept

begin routers
mailbox:
  driver = accept
  address_data = ${lookup {$local_part@$domain} dsearch,filter=dir {FOLDER/mail} {$value} fail}
  transport = DELIVERY

begin transports
maildir:
  driver = appendfile
  directory = FOLDER/mail/$address_data
  maildir_format
  return_path_add
  user = USER
lmtp:
  driver = lmtp
  socket = SOCKET
  user = USER

begin authenticators
gate:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and {{eq{$auth2}{gate}} {crypteq{$auth3}{${readfile{FOLDER/gate}{}}}}}}
  server_set_id = $auth1
"""


@dataclass(frozen=True)
class Exim:
    """An Exim that answers."""

    folder: Path
    smtps: int
    smtp: int
    secret: str
    lmtp: Path | None

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate."""
        return self.folder / "tls" / "ca.pem"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "mainlog").read_text(errors="replace")

    def make_box(self, email: str) -> None:
        """Make a mailbox, empty."""
        box = self.folder / "mail" / email
        box.mkdir()
        shutil.chown(box, (self.folder / "mail").owner())

    def messages(self, email: str) -> list[EmailMessage]:
        """Give what has been delivered to an address, in no order."""
        return messages(self.folder / "mail" / email)

    def wait_for(self, email: str, subject: str) -> EmailMessage:
        """Wait until a message of this subject is delivered, the only one, and give it."""
        return wait_for(self.folder / "mail" / email, subject)


@contextmanager
def running_exim(lmtp: Path | None = None, secret: str = _SECRET) -> Iterator[Exim]:
    """Run Exim until the block ends; `lmtp` is the socket of whoever keeps the mail, None when Exim does.

    `secret` is the password of `gate`.
    """
    binary = unpacked("usr/sbin/exim4", "exim4-daemon-light")
    user = owner("Debian-exim")
    folder = Path(tempfile.mkdtemp(prefix="exim-"))
    made: list[Exim] = []

    def start() -> Started:
        made.append(Exim(folder, *free_ports(2), secret=secret, lmtp=lmtp))
        return Started(_start(made[-1], user), lambda: _answers(made[-1]))

    try:
        _furnish(folder, binary, user, secret)
        with running("Exim", start, [folder / "mainlog", folder / "paniclog"]):
            yield made[-1]
    finally:
        shutil.rmtree(folder)


def _furnish(folder: Path, binary: Path, user: pwd.struct_passwd, secret: str) -> None:
    """Write what is there before the first try; the program too, for its user may not reach the tests."""
    furnish(folder)
    shutil.copyfile(binary, folder / "exim")
    (folder / "exim").chmod(0o755)
    for name in ("spool", "mail"):
        (folder / name).mkdir()
    crypt = [program("openssl", "openssl"), "passwd", "-6", "-stdin"]
    hashed = subprocess.run(crypt, input=secret, capture_output=True, text=True, check=True).stdout
    (folder / "gate").write_text(hashed.strip())
    give(folder, user)


def _start(made: Exim, user: pwd.struct_passwd) -> Process:
    """With a configuration of another's it gives up root by itself, so it has none to begin with."""
    config = made.folder / "exim.conf"
    macros = {
        "FOLDER": made.folder, "USER": user.pw_name, "GROUP": user.pw_gid,
        "DELIVERY": "lmtp" if made.lmtp else "maildir",
        "SOCKET": made.lmtp,
        "WITH_TLS": made.smtps, "WITH_STARTTLS": made.smtp,
    }  # fmt: skip
    config.write_text("".join(f"{name} = {value}\n" for name, value in macros.items()) + _CONFIG)
    return start_as([made.folder / "exim", "-bdf", "-C", config], user)


def _answers(made: Exim) -> bool:
    return greets(made.smtps, b"220 exim.example.org ", trusting(str(made.ca_file)))
