"""What a test's Dovecot is told, and by which of its two forms.

2.3 (Debian 12) is what these tests were run with. 2.4 (Debian 13) was written from its documentation, was not
run yet, and knows none of the options.
"""

import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from grp import getgrgid
from pathlib import Path

from config.authority import issue, make_authority
from support.daemons import free_ports
from support.programs import missing

SECRET = "master-of-all"
"""Of `gate`, the master user."""
_HERE = "127.0.0.0/8"

_COMMON = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = {protocols}
listen = 127.0.0.1
ssl = required
auth_mechanisms = plain {token_mechanisms}
auth_master_user_separator = *
{names}
login_trusted_networks = {trusted}
haproxy_trusted_networks = {here}
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
  inet_listener proxied {{
    port = {proxied}
    ssl = yes
    haproxy = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener auth-sending {{
    mode = 0666
  }}
}}
{users}
{relay}
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
  {success}
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
  {allowed}
}}
{tokens}
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
  passwd_file_path = {folder}/users
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
_TOKENS = """\
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
"""
_INTROSPECTION = """\
introspection_mode = post
introspection_url = {url}
tls_ca_cert_file = {ca_file}
username_attribute = username
active_attribute = active
active_value = true
"""
_RELAY = """\
hostname = dovecot.example.org
submission_relay_host = 127.0.0.1
submission_relay_port = {port}
submission_relay_trusted = yes
submission_client_workarounds =
service submission-login {{
  {chroot}
  inet_listener submission {{
    port = {submission}
  }}
  inet_listener submissions {{
    port = {submissions}
    ssl = yes
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DovecotOptions:
    """What a test wants of its Dovecot."""

    trusts_us: bool = False
    """Whether it believes the gate, which is to say this machine, who its client is (ID, XCLIENT)."""
    passwords: Mapping[str, str] = field(default_factory=dict)
    """Accounts that have a password of their own here, as before there was a gate."""
    allow_nets: str = ""
    """From where these may be used (the side door): networks, or none for everywhere."""
    gate_nets: str = ""
    """From where the gate's own login may be used; none for everywhere."""
    must_be_known: bool = False
    """Whether the gate signs in for those alone who are in the list of accounts, as the examples have it."""
    any_name: bool = False
    """Whether accounts may have names beyond ASCII."""
    introspection: tuple[str, Path] | None = None
    """Where it asks about OAuth 2 tokens (RFC 7662), and the authority it trusts for that."""
    relay: int | None = None
    """The port on this machine where its submission service hands messages on; None is no such service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DovecotPorts:
    """Where it listens."""

    imaps: int
    imap: int
    """STARTTLS."""
    proxied: int
    """A PROXY header of version 1 or 2, then TLS, then IMAP."""
    submissions: int
    submission: int
    """Sending, for those whose options have a relay; STARTTLS."""

    @classmethod
    def free(cls) -> "DovecotPorts":
        """Give ports that nobody listens on at this moment."""
        return cls(**dict(zip(cls.__slots__, free_ports(len(cls.__slots__)), strict=True)))


def furnish(folder: Path, options: DovecotOptions) -> None:
    """Write what is there before the first try: certificate, users, mail folder."""
    folder.chmod(0o755)
    make_authority(folder / "tls")
    issue(folder / "tls", ["localhost", "127.0.0.1"])
    only = f"::::::allow_nets={options.gate_nets}" if options.gate_nets else ""
    (folder / "masters").write_text(f"gate:{{PLAIN}}{SECRET}{only}\n")
    (folder / "users").write_text(
        "".join(f"{email}:{{PLAIN}}{password}\n" for email, password in options.passwords.items())
    )
    (folder / "mail").mkdir()
    if os.getuid() == 0:
        owner = _owner()
        os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)


def configure(dovecot: str, folder: Path, ports: DovecotPorts, options: DovecotOptions) -> Path:
    """Write its configuration and give the file."""
    owner = _owner()
    root = os.getuid() == 0
    chroot = "" if root else "chroot ="
    relay = "" if options.relay is None else _RELAY
    if options.introspection is not None:
        url, ca_file = options.introspection
        own = folder / "introspection-ca.pem"  # where its own user can read it
        own.write_bytes(ca_file.read_bytes())
        (folder / "oauth2.conf").write_text(_INTROSPECTION.format(url=url, ca_file=own))
    config = folder / "dovecot.conf"
    config.write_text(
        (_form(dovecot, options) + _COMMON).format(
            folder=folder, uid=owner.pw_uid, gid=owner.pw_gid, chroot=chroot, here=_HERE,
            users="" if root else _AS_USER.format(user=owner.pw_name, group=getgrgid(owner.pw_gid).gr_name),
            compression=_COMPRESSION if (_MODULES / "lib30_imap_zlib_plugin.so").exists() else "",
            trusted=_HERE if options.trusts_us else "",
            allowed=f"override_fields = allow_nets={options.allow_nets}" if options.allow_nets else "",
            success="result_success = continue" if options.must_be_known else "",
            names="auth_username_chars =" if options.any_name else "",
            token_mechanisms="xoauth2 oauthbearer" if options.introspection else "",
            tokens=_TOKENS.format(folder=folder) if options.introspection else "",
            protocols="imap submission" if relay else "imap",
            relay=relay.format(port=options.relay, chroot=chroot, **asdict(ports)),
            **asdict(ports),
        )
    )  # fmt: skip
    return config


def _form(dovecot: str, options: DovecotOptions) -> str:
    version = subprocess.run([dovecot, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"(\d+)\.(\d+)", version)
    assert found is not None, version
    if (int(found[1]), int(found[2])) < (2, 4):
        return _FORM_2_3
    if options != DovecotOptions():
        missing("these options are written for Dovecot 2.3 alone")
    return _FORM_2_4


def _owner() -> pwd.struct_passwd:
    """Whose the mail is; Dovecot does not read mail as root."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
