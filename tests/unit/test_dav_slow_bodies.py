"""A body may take its time, and the path be something else by then: the wall is asked once more."""

from __future__ import annotations

import pytest

from proxy.dav.ports import Answer
from proxy.upstreams.place import UpstreamFailure
from support.dav_stage import HOST, SIGNED, put, stage
from support.imap_stage import soon
from support.sockets import Tls, on_both_loops

GONE = Answer(status=404, body=b"not found\n")
CARD = b"BEGIN:VCARD\r\nEND:VCARD\r\n"
PROPFIND = b"PROPFIND /alice/ HTTP/1.1"
CHUNKED = b"PUT /alice/x.vcf HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + SIGNED + b"\r\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(("outcome", "status"), [(GONE, 404), (UpstreamFailure("x"), 503)])
@on_both_loops
async def test_xml_for_a_path_that_has_changed_goes_nowhere(tls, outcome, status):
    async with stage(tls, judged_s=0.0) as played, played.client() as client:
        request = put(b"<in/>", first=PROPFIND)
        await client.send(request[:-1])
        await soon(played.wall.entered.wait())
        played.wall.outcome = outcome
        await client.send(request[-1:])
        assert (await client.answer()).status == status
        assert (len(played.wall.asked), played.said.connections) == (2, 0)


@pytest.mark.parametrize(("outcome", "status"), [(GONE, 404), (UpstreamFailure("x"), 503)])
@pytest.mark.parametrize("chunked", [False, True])
@on_both_loops
async def test_an_object_for_a_path_that_has_changed_does_not_end(tls, outcome, status, chunked):
    async with stage(tls, judged_s=0.0) as played, played.client() as client:
        request = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CARD), CARD) if chunked else put(CARD)
        await client.send(request[:-6])
        await soon(lambda: played.said.connections == 1)
        played.wall.outcome = outcome
        await client.send(request[-6:])
        assert (await client.answer()).status == status
    assert played.said.heard == []


@on_both_loops
async def test_what_has_not_changed_goes_on_as_it_was(tls):
    async with stage(tls, judged_s=0.0) as played, played.client() as client:
        for request in (put(b"<in/>", first=PROPFIND), put(CARD)):
            assert (await client.ask(request)).status == 200
    assert len(played.said.heard) == 2
    async with stage(tls) as played, played.client() as client:
        assert (await client.ask(put(CARD))).status == 200
    assert len(played.wall.asked) == 1
