"""What is measured of Wicketgate: accept loop, TLS, connect and relay as in `serve`, without a sign-in.

usage: python -m bench._relay_server LOOP UPSTREAM-PORT PLAIN-PORT TLS-PORT CERTIFICATE KEY
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from proxy.net.accept import AcceptLoop, listen
from proxy.net.connection import Connection
from proxy.net.relay import relay
from proxy.net.strangers import Caps, Strangers
from proxy.net.tls import CertificateFiles, server_context


async def serve(upstream_port: int, plain_port: int, tls_port: int, files: CertificateFiles) -> None:
    context = server_context([files])
    strangers = Strangers(Caps(per_address=10_000, in_all=10_000))

    async def plain(client: Connection) -> None:
        strangers.release(client)
        upstream = await Connection.open_tcp("127.0.0.1", upstream_port, timeout_s=5)
        await relay(client, upstream, idle_s=600)

    async def tls(client: Connection) -> None:
        await client.secure_as_server(context, timeout_s=10)
        await plain(client)

    loops = [
        AcceptLoop(listen("127.0.0.1", port), handler, strangers)
        for port, handler in ((plain_port, plain), (tls_port, tls))
    ]
    for loop in loops:
        loop.start()
    await asyncio.Event().wait()


def main(loop: str, upstream: str, plain: str, tls: str, certificate: str, key: str) -> None:
    files = CertificateFiles(names=("localhost",), certificate=Path(certificate), key=Path(key))
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(int(upstream), int(plain), int(tls), files))


if __name__ == "__main__":
    main(*sys.argv[1:])
