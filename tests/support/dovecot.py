"""A Dovecot of the test's own, on free loopback ports, with `gate` as a master user for every account."""

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.authority import issue, make_authority
from support.programs import program

_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder}/tls/server.pem
ssl_key = <{folder}/tls/server.key
mail_location = maildir:{folder}/mail/%u
auth_mechanisms = plain
{compression}
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
{users}
passdb {{
  driver = passwd-file
  args = {folder}/masters
  master = yes
}}
passdb {{
  driver = passwd-file
  args = {folder}/nobody
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  {chroot}
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
_AS_USER = """\
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
service anvil {{
  chroot =
}}
"""
_MODULES = Path("/usr/lib/dovecot/modules")
_COMPRESSION = """\
mail_plugins = zlib
protocol imap {
  mail_plugins = zlib imap_zlib
}
"""


@dataclass(frozen=True)
class Dovecot:
    """A Dovecot that answers."""

    folder: Path
    imaps: int
    imap: int
    secret: str

    @property
    def ca_file(self) -> Path:
        """The authority that signed its certificate."""
        return self.folder / "tls" / "ca.pem"


@contextmanager
def running_dovecot() -> Iterator[Dovecot]:
    """Run Dovecot until the block ends; its folder is short, because it holds Unix sockets."""
    dovecot = program("dovecot", "dovecot-imapd")
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    try:
        made = Dovecot(folder=folder, imaps=_free_port(), imap=_free_port(), secret="master-of-all")
        config = _write(made)
        with subprocess.Popen([dovecot, "-F", "-c", config], stderr=subprocess.PIPE, text=True) as process:
            try:
                _wait(made, process)
                yield made
            finally:
                process.terminate()
                process.communicate(timeout=20)
    finally:
        shutil.rmtree(folder)


def _write(made: Dovecot) -> Path:
    folder = made.folder
    folder.chmod(0o755)
    make_authority(folder / "tls")
    issue(folder / "tls", ["localhost", "127.0.0.1"])
    (folder / "masters").write_text(f"gate:{{PLAIN}}{made.secret}\n")
    root = os.getuid() == 0
    owner = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.getuid())
    (folder / "nobody").write_text("")  # accounts have no passwords of their own here
    (folder / "mail").mkdir()
    if root:
        os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
    users = "" if root else _AS_USER.format(user=owner.pw_name, group=owner.pw_gid)
    compression = _COMPRESSION if (_MODULES / "lib30_imap_zlib_plugin.so").exists() else ""
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder, uid=owner.pw_uid, gid=owner.pw_gid, users=users, chroot="" if root else "chroot =",
            imap=made.imap, imaps=made.imaps, compression=compression,
        )
    )  # fmt: skip
    return config


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _wait(made: Dovecot, process: subprocess.Popen[str]) -> None:
    """Wait for the greeting; the kernel's backlog makes the connection wait for us once it listens."""
    context = ssl.create_default_context(cafile=made.ca_file)
    while process.poll() is None:
        try:
            with (
                socket.create_connection(("127.0.0.1", made.imaps), timeout=10) as sock,
                context.wrap_socket(sock, server_hostname="localhost") as tls,
            ):
                greeting = tls.recv(4096)
                assert greeting.startswith(b"* OK"), (made.folder / "log").read_text()
                return
        except ConnectionRefusedError:
            continue
    raise AssertionError(f"Dovecot did not start: {process.stderr.read() if process.stderr else ''}")
