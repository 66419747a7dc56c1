"""Which upstream an account has, by the domain of its primary email."""

from dataclasses import dataclass, field, replace

import pytest

from proxy.upstreams.by_domain import ByDomain
from proxy.upstreams.origin import Origin
from proxy.upstreams.place import UpstreamFailure
from scopes.model import Grant
from support.imap_stage import GRANT


@dataclass
class Server:
    served: list[str] = field(default_factory=list)

    async def sign_in(self, grant: Grant, origin: Origin) -> None:
        self.served.append(grant.email)


@pytest.mark.parametrize(
    ("email", "whose"),
    [
        ("a@example.net", "net"),
        ("a@EXAMPLE.net", "net"),
        ('"x@example.net"@example.org', "usual"),
        ("a@sub.example.net", "usual"),
        ("printer", "usual"),
        ("a@bücher.example", "books"),
        ("a@BÜCHER.example", "books"),
        ("a@xn--bcher-kva.example", "books"),
        ("a@strasse.example", "ss"),
        ("a@straße.example", "usual"),  # another domain: nothing is mapped
        ("a@\u03c3\u03c2.example", "usual"),
        ("example.net", "usual"),  # a name without a domain
        ("a@" + "x" * 70, "usual"),
    ],
)
async def test_each_account_has_its_own_server(email, whose):
    servers = {name: Server() for name in ("usual", "net", "books", "ss", "greek")}
    upstream = ByDomain(
        usual=servers["usual"],
        by_domain={
            "example.net": servers["net"],
            "xn--bcher-kva.example": servers["books"],
            "strasse.example": servers["ss"],
            "xn--4xaa.example": servers["greek"],  # two small sigmas
        },
    )
    await upstream.sign_in(replace(GRANT, email=email), Origin())
    assert {name: server.served for name, server in servers.items() if server.served} == {whose: [email]}


async def test_a_domain_without_a_server_is_an_outage():
    upstream = ByDomain(usual=None, by_domain={"example.net": Server()})
    with pytest.raises(UpstreamFailure, match=r"example\.org"):
        await upstream.sign_in(GRANT, Origin())
