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
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_TRIES = 5
_PATIENCE_S = 30.0
_SECRET = "master-of-all"


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
        _furnish(folder)
        made, process = _started(dovecot, folder)
        with process:
            try:
                yield made
            finally:
                process.terminate()
                process.wait(timeout=_PATIENCE_S)
    finally:
        shutil.rmtree(folder)


def _started(dovecot: str, folder: Path) -> tuple[Dovecot, "subprocess.Popen[bytes]"]:
    """Dovecot cannot say which port it was given, so a port is tried, and another when that one was taken."""
    form = _form(dovecot)
    said = ""
    for _ in range(_TRIES):
        made = Dovecot(folder=folder, imaps=_free_port(), imap=_free_port(), secret=_SECRET)
        config = _write(made, form)
        with (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen([dovecot, "-F", "-c", config], stderr=errors)
        if _answers(made, process):
            return made, process
        said = "".join(path.read_text() for path in (folder / "stderr", folder / "log") if path.exists())
        if "Address already in use" not in said:
            break
    raise AssertionError(f"Dovecot did not start: {said}")


def _form(dovecot: str) -> str:
    version = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"(\d+)\.(\d+)", version)
    assert found is not None, version
    return _FORM_2_4 if (int(found[1]), int(found[2])) >= (2, 4) else _FORM_2_3


def _furnish(folder: Path) -> None:
    """Write what is there before the first try: certificate, master user, mail folder."""
    folder.chmod(0o755)
    make_authority(folder / "tls")
    issue(folder / "tls", ["localhost", "127.0.0.1"])
    (folder / "masters").write_text(f"gate:{{PLAIN}}{_SECRET}\n")
    (folder / "nobody").write_text("")  # accounts have no passwords of their own here
    (folder / "mail").mkdir()
    if os.getuid() == 0:
        owner = _owner()
        os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)


def _owner() -> pwd.struct_passwd:
    """Whose the mail is; Dovecot does not read mail as root."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


def _write(made: Dovecot, form: str) -> Path:
    owner = _owner()
    root = os.getuid() == 0
    users = "" if root else _AS_USER.format(user=owner.pw_name, group=owner.pw_gid)
    compression = _COMPRESSION if (_MODULES / "lib30_imap_zlib_plugin.so").exists() else ""
    config = made.folder / "dovecot.conf"
    config.write_text(
        (form + _COMMON).format(
            folder=made.folder, uid=owner.pw_uid, gid=owner.pw_gid, users=users,
            chroot="" if root else "chroot =", imap=made.imap, imaps=made.imaps, compression=compression,
        )
    )  # fmt: skip
    return config


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _answers(made: Dovecot, process: "subprocess.Popen[bytes]") -> bool:
    """Wait for the greeting or the end of the process, which is ended when it does not come.

    Until Dovecot finds its port taken, it may be another server that answers, in whatever way.
    """
    context = ssl.create_default_context(cafile=made.ca_file)
    deadline = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", made.imaps), timeout=_PATIENCE_S) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            if tls.recv(4096).startswith(b"* OK"):
                return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
    process.kill()
    process.wait()
    return False
