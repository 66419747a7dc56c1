"""Where an upstream is: what must be configured, and what cannot be reached."""

from __future__ import annotations

import socket
import ssl

import pytest

from config.address import Address, AddressKind
from proxy.upstreams.place import Place, UpstreamFailure
from support.sockets import connections, on_both_loops


@pytest.mark.parametrize(
    "address",
    [
        Address(kind=AddressKind.IMAPS, host="localhost", port=993),
        Address(kind=AddressKind.IMAP_STARTTLS, host="localhost", port=143),
        Address(kind=AddressKind.EMBEDDED),
    ],
)
def test_a_place_without_what_it_needs_is_refused_at_the_start(address):
    with pytest.raises(ValueError):
        Place(address=address)


def test_only_starttls_needs_it():
    context = ssl.create_default_context()
    made = {
        kind: Place(
            address=Address(kind=kind, host="localhost", port=1), tls=context, embedded_socket=lambda: None
        )
        for kind in AddressKind
    }
    assert [kind for kind, place in made.items() if place.needs_starttls] == [
        AddressKind.IMAP_STARTTLS,
        AddressKind.SMTP_STARTTLS,
    ]


@on_both_loops
async def test_a_port_nobody_listens_on_is_an_outage():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    place = Place(
        address=Address(kind=AddressKind.IMAPS, host="127.0.0.1", port=port), tls=ssl.create_default_context()
    )
    with pytest.raises(UpstreamFailure, match=f"cannot connect to imaps://127.0.0.1:{port}: ECONNREFUSED"):
        await place.open(timeout_s=5)


@on_both_loops
async def test_a_unix_address_without_a_path_is_an_outage():
    with pytest.raises(UpstreamFailure, match="has no socket"):
        await Place(address=Address(kind=AddressKind.UNIX)).open(timeout_s=5)


@on_both_loops
async def test_in_clear_to_this_machine_alone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(kind=AddressKind.SMTP, host="127.0.0.1", port=server.getsockname()[1])
        connection = await Place(address=address).open(timeout_s=5)
        assert (connection.secure, connection.local) == (False, False)
        connection.abort()


@on_both_loops
async def test_no_tls_where_there_is_no_context():
    near, far = connections()
    with pytest.raises(UpstreamFailure, match="has no TLS"):
        await Place(address=Address(kind=AddressKind.UNIX)).secure(near, timeout_s=5)
    assert near.closed
    far.abort()
