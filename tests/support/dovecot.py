"""A Dovecot of the test's own, on free loopback ports, with `gate` as a master user for every account.

Its configuration has two forms, chosen by the version: 2.3 (Debian 12), with which these tests were run, and
2.4 (Debian 13), written from its documentation and not run yet.
"""

import os
import pwd
import re
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

_COMMON = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
auth_mechanisms = plain
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
namespace inbox {{
  inbox = yes
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
{users}
"""
_FORM_2_3 = """\
ssl_cert = <{folder}/tls/server.pem
ssl_key = <{folder}/tls/server.key
mail_location = maildir:{folder}/mail/%u
{compression}
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
"""
_FORM_2_4 = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = {folder}/tls/server.pem
ssl_server_key_file = {folder}/tls/server.key
mail_driver = maildir
mail_path = {folder}/mail/%{{user}}
passdb masters {{
  driver = passwd-file
  passwd_file_path = {folder}/masters
  master = yes
}}
passdb accounts {{
  driver = passwd-file
  passwd_file_path = {folder}/nobody
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {gid}
    home = {folder}/mail/%{{user}}
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
"""From 2.4 on Dovecot compresses without a plugin."""


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
        config = _write(made, _form(dovecot))
        with subprocess.Popen([dovecot, "-F", "-c", config], stderr=subprocess.PIPE, text=True) as process:
            try:
                _wait(made, process)
                yield made
            finally:
                process.terminate()
                process.communicate(timeout=20)
    finally:
        shutil.rmtree(folder)


def _write(made: Dovecot, form: str) -> Path:
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
        (form + _COMMON).format(
            folder=folder, uid=owner.pw_uid, gid=owner.pw_gid, users=users, chroot="" if root else "chroot =",
            imap=made.imap, imaps=made.imaps, compression=compression,
        )
    )  # fmt: skip
    return config


def _form(dovecot: str) -> str:
    version = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"(\d+)\.(\d+)", version)
    assert found is not None, version
    return _FORM_2_4 if (int(found[1]), int(found[2])) >= (2, 4) else _FORM_2_3


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
