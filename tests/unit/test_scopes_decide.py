"""Every decision there is, by name, and that the default is no."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scopes.decide import OPENED_BY, Decision, permits
from scopes.model import Grant, Limits, Scope, Service

NOW = 1_700_000_000.0
HOME = ip_address("192.0.2.7")


def grant(
    *scopes: Scope,
    expires_at: int | None = None,
    networks: tuple[str, ...] = (),
    read_only: bool = False,
    send_only: bool = False,
) -> Grant:
    return Grant(
        account_id="ac_1",
        email="alice@example.org",
        app_password_id="ap_1",
        label="Phone",
        scopes=frozenset(scopes),
        expires_at=expires_at,
        limits=Limits(
            networks=tuple(ip_network(network) for network in networks),
            read_only=read_only,
            send_only=send_only,
        ),
    )


OPENS = {
    (Scope.MAIL, Service.IMAP): True,
    (Scope.MAIL, Service.SUBMISSION): True,
    (Scope.MAIL, Service.DAV): False,
    (Scope.CONTACTS, Service.IMAP): False,
    (Scope.CONTACTS, Service.SUBMISSION): False,
    (Scope.CONTACTS, Service.DAV): True,
    (Scope.EVENTS, Service.IMAP): False,
    (Scope.EVENTS, Service.SUBMISSION): False,
    (Scope.EVENTS, Service.DAV): True,
}


def test_every_pair_of_scope_and_service_is_decided_here():
    assert OPENS.keys() == {(scope, service) for scope in Scope for service in Service}


@pytest.mark.parametrize(("scope", "service"), OPENS)
def test_one_scope_opens_its_services_and_no_other(scope, service):
    wanted = Decision.PERMITTED if OPENS[scope, service] else Decision.WRONG_SCOPE
    assert permits(grant(scope), service, HOME, NOW) is wanted


@given(st.sets(st.sampled_from(Scope)), st.sampled_from(Service))
def test_several_scopes_open_exactly_their_union(scopes, service):
    opened = any(OPENS[scope, service] for scope in scopes)
    assert (permits(grant(*scopes), service, HOME, NOW) is Decision.PERMITTED) == opened


def test_no_scope_opens_nothing():
    assert {permits(grant(), service, HOME, NOW) for service in Service} == {Decision.WRONG_SCOPE}


def test_a_service_without_a_row_is_refused():
    assert permits(grant(*Scope), "gopher", HOME, NOW) is Decision.WRONG_SCOPE  # type: ignore[arg-type]


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        OPENED_BY[Service.IMAP] = frozenset(Scope)  # type: ignore[index]


@pytest.mark.parametrize(
    ("expires_at", "wanted"),
    [
        (None, Decision.PERMITTED),
        (int(NOW) + 1, Decision.PERMITTED),
        (int(NOW), Decision.EXPIRED),
        (int(NOW) - 1, Decision.EXPIRED),
    ],
)
def test_expiry_ends_a_grant_at_its_very_second(expires_at, wanted):
    assert permits(grant(Scope.MAIL, expires_at=expires_at), Service.IMAP, HOME, NOW) is wanted


@pytest.mark.parametrize(
    ("peer", "wanted"),
    [
        ("192.0.2.7", Decision.PERMITTED),
        ("192.0.3.7", Decision.ADDRESS_NOT_ALLOWED),
        ("::ffff:192.0.2.7", Decision.PERMITTED),
        ("::ffff:192.0.3.7", Decision.ADDRESS_NOT_ALLOWED),
        ("2001:db8::1", Decision.PERMITTED),
        ("2001:db9::1", Decision.ADDRESS_NOT_ALLOWED),
    ],
)
def test_networks_narrow_where_a_client_comes_from(peer, wanted):
    limited = grant(Scope.MAIL, networks=("192.0.2.0/24", "2001:db8::/32"))
    assert permits(limited, Service.IMAP, ip_address(peer), NOW) is wanted


def test_a_client_without_an_address_is_in_no_network():
    limited = grant(Scope.MAIL, networks=("0.0.0.0/0", "::/0"))
    assert permits(limited, Service.IMAP, None, NOW) is Decision.ADDRESS_NOT_ALLOWED
    assert permits(grant(Scope.MAIL), Service.IMAP, None, NOW) is Decision.PERMITTED


LIMITED = {
    Service.IMAP: (Decision.PERMITTED, Decision.SEND_ONLY),
    Service.SUBMISSION: (Decision.READ_ONLY, Decision.PERMITTED),
    Service.DAV: (Decision.PERMITTED, Decision.SEND_ONLY),
}


@pytest.mark.parametrize("service", Service)
def test_what_only_reads_never_sends_and_what_only_sends_never_reads(service):
    reader, sender = LIMITED[service]
    assert permits(grant(*Scope, read_only=True), service, HOME, NOW) is reader
    assert permits(grant(*Scope, send_only=True), service, HOME, NOW) is sender


def test_limits_of_use_come_after_the_scope_and_before_the_address():
    limited = grant(Scope.MAIL, read_only=True, networks=("198.51.100.0/24",))
    assert permits(limited, Service.DAV, HOME, NOW) is Decision.WRONG_SCOPE
    assert permits(limited, Service.SUBMISSION, HOME, NOW) is Decision.READ_ONLY
    limited = grant(Scope.EVENTS, read_only=True, networks=("198.51.100.0/24",))
    assert permits(limited, Service.DAV, HOME, NOW) is Decision.ADDRESS_NOT_ALLOWED
