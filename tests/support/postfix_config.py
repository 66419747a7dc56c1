"""What a test's Postfix is told: main.cf, master.cf, whose a sender is, and how a message is delivered."""

import os
import pwd
from dataclasses import asdict, dataclass
from pathlib import Path

from config.authority import issue, make_authority
from support.daemons import free_ports

DOMAINS = ("example.org", "example.net")
"""Whose mail is delivered."""

_MAIN = """\
compatibility_level = 3.6
config_directory = {folder}/etc
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file_prefixes = {folder}
maillog_file = {folder}/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = postfix.example.org
mydestination =
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
default_transport = error:5.1.2 this test sends nothing out
relay_transport = $default_transport
virtual_mailbox_domains = {domains}
virtual_transport = maildir
maildir_destination_recipient_limit = 1

smtpd_tls_cert_file = {folder}/tls/server.pem
smtpd_tls_key_file = {folder}/tls/server.key
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
smtpd_sasl_security_options = noanonymous
smtpd_sender_login_maps = regexp:{folder}/etc/senders
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_authorized_xclient_hosts = {xclient}
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
{more}
"""
_MASTER = """\
postlog unix-dgram n - n - 1 postlogd
127.0.0.1:{submissions} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes {sending}
127.0.0.1:{submission} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt {sending}
127.0.0.1:{proxied} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
  -o smtpd_upstream_proxy_protocol=haproxy {sending}
127.0.0.1:{relay} inet n - n - - smtpd
  -o smtpd_tls_auth_only=no -o {{ smtpd_recipient_restrictions =
    reject_sender_login_mismatch, permit_mynetworks, permit_sasl_authenticated, reject }}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
maildir unix - n n - - pipe
  flags=DOR user={owner} argv={folder}/etc/deliver ${{recipient}}
"""
_SENDING = """
  -o { smtpd_recipient_restrictions = reject_sender_login_mismatch, permit_sasl_authenticated, reject }"""
_SENDERS = r"/^([^+]+)(\+.*)?(@[^@]+)$/ ${1}${3}" + "\n"
"""Whose an address is."""
_DELIVER = """\
#!/bin/sh
set -eu
box={mail}/$1
mkdir -p "$box/new" "$box/cur" "$box/tmp"
name=$(date +%s).P$$.postfix
cat >"$box/tmp/$name"
mv "$box/tmp/$name" "$box/new/$name"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostfixOptions:
    """What a test wants of its Postfix."""

    xclient: bool = False
    """Whether it believes the gate, which is to say this machine, who its client is (XCLIENT)."""
    mail: Path | None = None
    """Where the Maildirs are, one an address; None is a folder of its own."""
    owner: str = "nobody"
    """Whose mail it is."""
    more: tuple[str, ...] = ()
    """Lines of main.cf besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostfixPorts:
    """Where it listens."""

    submissions: int
    """TLS from the first octet."""
    submission: int
    """STARTTLS."""
    proxied: int
    """A PROXY header of version 1 or 2, then TLS."""
    relay: int
    """In clear, for a server of this machine that vouches for whom it sends."""

    @classmethod
    def free(cls) -> "PostfixPorts":
        """Give ports that nobody listens on at this moment."""
        return cls(**dict(zip(cls.__slots__, free_ports(len(cls.__slots__)), strict=True)))


def furnish(folder: Path, mail: Path, owner: str) -> None:
    """Write what is there before the first try: certificate, tables, folders with their owners."""
    folder.chmod(0o755)
    make_authority(folder / "tls")
    issue(folder / "tls", ["localhost", "127.0.0.1"])
    for name in ("etc", "spool", "data"):
        (folder / name).mkdir()
    os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
    (folder / "etc" / "senders").write_text(_SENDERS)
    deliver = folder / "etc" / "deliver"
    deliver.write_text(_DELIVER.format(mail=mail))
    deliver.chmod(0o755)
    if not mail.exists():
        mail.mkdir()
        user = pwd.getpwnam(owner)
        os.chown(mail, user.pw_uid, user.pw_gid)


def configure(folder: Path, auth: Path, ports: PostfixPorts, options: PostfixOptions) -> None:
    """Write main.cf and master.cf; `auth` is the socket of Dovecot that is asked whom to let in."""
    main = _MAIN.format(
        folder=folder, auth=auth, domains=" ".join(DOMAINS), more="\n".join(options.more),
        xclient="127.0.0.0/8" if options.xclient else "",
    )  # fmt: skip
    master = _MASTER.format(folder=folder, sending=_SENDING, owner=options.owner, **asdict(ports))
    (folder / "etc" / "main.cf").write_text(main)
    (folder / "etc" / "master.cf").write_text(master)
