"""The kinds of value a config file holds: paths, host names, addresses and the address of a store.

Each reads the text of one key and raises the error `config.problems.wrong` makes, with a hint. Nothing here
looks at a file, a name server or a socket.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from config.address import Address, AddressError, Listen, Speaks, host_name, parse, parse_listen
from config.places import NoHome, located
from config.problems import wrong
from scopes.model import Network

_NO_HOME_HINT: Final = "write the whole path"
_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
_TAKEN_FIELDS: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "authorization", "connection", "content-length"),
        *("content-type", "cookie", "depth", "destination", "expect", "host", "if", "if-match"),
        *("if-modified-since", "if-none-match", "if-unmodified-since", "overwrite", "range"),
        *("schedule-reply", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    }
)
"""Fields of HTTP and DAV that say something else; an account named in one would break the requests."""

_WIDEST_BALANCERS: Final = {4: 8, 6: 32}
"""Prefix lengths: 10.0.0.0/8 is the widest private network, a /32 what a whole provider gets."""
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def url_of(path: Path) -> str:
    """Write the URL of an SQLite file as SQLAlchemy reads it: `sqlite:///` and the absolute path."""
    return f"sqlite:///{path.absolute()}"


def path_of(url: str) -> Path:
    """Give the file of a URL made by `url_of`."""
    return Path(url.removeprefix("sqlite:///"))


def sqlite_url(text: str, folder: Path) -> str:
    """Read `sqlite:PATH`; after the colon any number of slashes is one, so `sqlite:///var/x` is absolute."""
    scheme, _, rest = text.partition(":")
    scheme = scheme.partition("+")[0]
    if scheme in ("postgresql", "postgres"):
        raise wrong("PostgreSQL is not in this version", 'write "sqlite:PATH"')
    if scheme != "sqlite" or not rest.strip("/") or any(mark in rest for mark in "?#%\0"):
        raise wrong("is not the address of a store", 'write "sqlite:PATH", as in "sqlite:data/gate.db"')
    if rest == ":memory:":
        raise wrong("a store in memory forgets every account", 'write "sqlite:PATH"')
    return url_of(Path("/", rest.lstrip("/")) if rest.startswith("/") else _located(rest, folder))


def folder_of(info: ValidationInfo) -> Path:
    """Give the folder that relative paths start at."""
    context = info.context or {}
    return Path(context.get("folder", ""))


def _path(value: object, info: ValidationInfo) -> Path:
    """Read a path; a relative one starts at the config file's folder."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise wrong("is not a path", 'write it as text in quotes, as in "tls/server.pem"')
    return _located(value, folder_of(info))


def _located(text: str, folder: Path) -> Path:
    try:
        return located(text, folder)
    except NoHome as error:
        raise wrong(str(error), _NO_HOME_HINT) from None


def _host(value: str) -> str:
    try:
        return host_name(value)
    except AddressError as error:
        raise wrong(str(error), error.hint) from None


def _certificate_name(value: str) -> str:
    """A host name, an IP address, or a name whose first label is `*`."""
    star = "*." if value.startswith("*.") else ""
    return star + _host(value.removeprefix("*."))


def _address_for(speaks: Speaks, example: str) -> BeforeValidator:
    """Read the address of a server that speaks this."""

    def read(value: object, info: ValidationInfo) -> Address:
        if isinstance(value, Address):
            return value
        if not isinstance(value, str):
            raise wrong("is not text in quotes", f'write it as in "{example}"')
        try:
            return parse(value, folder_of(info), speaks)
        except AddressError as error:
            raise wrong(str(error), error.hint) from None

    return BeforeValidator(read)


def _listen(value: object) -> Listen:
    if isinstance(value, Listen):
        return value
    if not isinstance(value, str):
        raise wrong("is not text in quotes", 'write an IP address and a port, as in "127.0.0.1:1993"')
    try:
        return parse_listen(value)
    except AddressError as error:
        raise wrong(str(error), error.hint) from None


def _field_name(value: str) -> str:
    """The name of an HTTP field, a token (RFC 9110 §5.6.2) of letters, digits and hyphens."""
    if not _FIELD_NAME.match(value):
        hint = 'write letters, digits and hyphens, as in "X-Remote-User"'
        raise wrong("is not the name of an HTTP field", hint)
    if value.lower() in _TAKEN_FIELDS:
        hint = 'name a field of its own, as in "X-Remote-User"'
        raise wrong("is a field that HTTP or DAV needs for something else", hint)
    return value


def _balancer_network(value: object) -> Network:
    """The network of load balancers, whose word about who the client is gets believed."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    hint = 'write a network or an address, as in "192.0.2.10/32"'
    if not isinstance(value, str):
        raise wrong("is not text in quotes", hint)
    try:
        network = ip_network(value)
    except ValueError:
        try:
            meant = ip_network(value, strict=False)
        except ValueError:
            raise wrong(f"{value!r} is not a network", hint) from None
        raise wrong(f"{value!r} has bits behind its prefix", f"write {meant}, or one address") from None
    if network.prefixlen < _WIDEST_BALANCERS[network.version]:
        what = f"{value} is wider than the network of any load balancer"
        raise wrong(what, "list the balancers alone: who is listed may claim any address")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise wrong(f"{value} is IPv4 written as IPv6", "write it as IPv4")
    return network


ConfigPath = Annotated[Path, BeforeValidator(_path)]
HostName = Annotated[str, AfterValidator(_host)]
CertificateName = Annotated[str, AfterValidator(_certificate_name)]
ImapAddress = Annotated[Address, _address_for(Speaks.IMAP, "imaps://mail.example.org")]
SubmissionAddress = Annotated[Address, _address_for(Speaks.SUBMISSION, "smtps://mail.example.org")]
DavAddress = Annotated[Address, _address_for(Speaks.DAV, "unix:/run/radicale.sock")]
FieldName = Annotated[str, AfterValidator(_field_name)]
ListenAddress = Annotated[Listen, BeforeValidator(_listen)]
BalancerNetwork = Annotated[Network, BeforeValidator(_balancer_network)]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
WholeNumber = Annotated[int, Field(strict=True)]
