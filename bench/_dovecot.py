"""Dovecot as a proxy, in a session of its own: TLS to the client, plain TCP to the mail server behind.

Its login processes are reused (`service_count = 0`, its high-performance mode) and everyone is let in, as
with nginx. Its penalty for failures is off, because all clients come from one address.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from pathlib import Path

from bench._processes import Measured

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{tls}/server.pem
ssl_key = <{tls}/server.key
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
passdb {{
  driver = static
  args = nopassword=y proxy=y host=127.0.0.1 port={stub}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home=/nonexistent
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = {processors}
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


def lacks() -> str | None:
    """What is missing to run it; None when nothing is."""
    return None if shutil.which("dovecot") else "Dovecot is not installed (Debian: dovecot-imapd)"


def dovecot(folder: Path, tls: Path, stub: int, port: int) -> Measured:
    """Start it on `port` before the mail server on `stub`; `folder` must have a short path."""
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    folder.mkdir(mode=0o755)
    config = folder / "dovecot.conf"
    config.write_text(
        CONFIG.format(
            folder=folder,
            tls=tls,
            user=user.pw_name,
            group=grp.getgrgid(user.pw_gid).gr_name,
            stub=stub,
            port=port,
            processors=os.cpu_count() or 1,
        )
    )
    return Measured(["dovecot", "-F", "-c", str(config)], ports=[port], log=folder / "errors", family=True)
