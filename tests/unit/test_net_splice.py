"""Pipes between bare sockets: pooled when empty, closed otherwise, done without where there are none."""

from __future__ import annotations

import resource
import socket
import sys

import pytest

from proxy import limits
from proxy.net import splice
from proxy.net.channel import ConnectionLost, PlainChannel
from proxy.net.lane import SpliceLane
from support.sockets import descriptors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="splice is Linux's")


@pytest.fixture
def sockets():
    pairs = [socket.socketpair() for _ in range(2)]
    for sock in (all_of := [sock for pair in pairs for sock in pair]):
        sock.setblocking(False)
    yield all_of
    for sock in all_of:
        sock.close()


@pytest.fixture
def pool():
    before = descriptors()
    pool = splice.PipePool()
    yield pool
    pool.close()
    assert descriptors() == before


def test_linux_has_it():
    assert splice.available()


def test_octets_pass_through_a_pipe(sockets, pool):
    client, near_client, near_upstream, upstream = sockets
    pipe = pool.borrow()
    with pytest.raises(BlockingIOError):
        pipe.fill(near_client.fileno())
    client.send(b"a1 NOOP\r\n")
    assert pipe.fill(near_client.fileno()) == 9
    assert pipe.drain(near_upstream.fileno())
    assert upstream.recv(100) == b"a1 NOOP\r\n"
    client.shutdown(socket.SHUT_WR)
    assert pipe.fill(near_client.fileno()) == 0
    pool.give_back(pipe)


def test_a_full_sink_leaves_the_rest_in_the_pipe(sockets, pool):
    client, near_client, near_upstream, upstream = sockets
    sent = 0
    pipe = pool.borrow()
    while True:
        sent += client.send(b"x" * 60_000)
        pipe.fill(near_client.fileno())
        if not pipe.drain(near_upstream.fileno()):
            break
    assert 0 < pipe.held <= limits.RELAY_BUFFER_OCTETS
    got = 0
    while got < sent:
        got += len(upstream.recv(1_000_000))
        pipe.drain(near_upstream.fileno())
    assert pipe.held == 0
    pool.give_back(pipe)


def test_a_sink_that_is_gone_is_a_loss(sockets, pool):
    client, near_client, near_upstream, upstream = sockets
    client.send(b"x")
    upstream.shutdown(socket.SHUT_RDWR)
    pipe = pool.borrow()
    pipe.fill(near_client.fileno())
    with pytest.raises(ConnectionLost, match="EPIPE"):
        pipe.drain(near_upstream.fileno())
    pool.give_back(pipe)
    pool.give_back(fresh := pool.borrow())
    assert fresh is not pipe, "it still holds an octet of that session"


def test_empty_pipes_are_kept_and_few(pool):
    before = descriptors()
    first = pool.borrow()
    pool.give_back(first)
    assert pool.borrow() is first
    many = [first, *(pool.borrow() for _ in range(20))]
    for pipe in many:
        pool.give_back(pipe)
    assert descriptors() - before == 16


def test_without_descriptors_there_is_no_pipe(sockets, pool):
    client, near_client, near_upstream, upstream = sockets
    client.send(b"goes all the same")
    lane = SpliceLane(PlainChannel(near_client), PlainChannel(near_upstream), pool)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert pool.borrow() is None
        assert lane.take() == 17
        assert lane.give(17)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert upstream.recv(100) == b"goes all the same"
