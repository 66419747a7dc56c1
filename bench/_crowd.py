"""A crowd before a gate. usage: python -m bench._crowd PORT silent|guessing CONNECTIONS ADDRESSES

`silent` connects and says nothing; `guessing` signs in with secrets of the right shape, one after the other,
as fast as it is answered. Whoever is dropped comes back. Each connection has one of so many source addresses
of the loopback network. Prints a line once everyone has been let in or turned away, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import ssl
import sys
from ipaddress import IPv4Address

import uvloop

FIRST = IPv4Address("127.16.0.1")
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
COMES_BACK_S = 0.5
"""Before whoever was dropped comes back."""


async def silent(port: int, source: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        await reader.read(1)
    finally:
        writer.transport.abort()


async def guessing(port: int, source: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), ssl=context)
    try:
        await reader.readline()
        while not reader.at_eof():
            secret = "".join(secrets.choice(ALPHABET) for _ in range(20))
            writer.write(f"a LOGIN someone{secrets.randbelow(1000)}@example.org {secret}\r\n".encode())
            await reader.readline()
    finally:
        writer.transport.abort()


async def main(port: int, kind: str, connections: int, addresses: int) -> None:
    come = {"silent": silent, "guessing": guessing}[kind]

    async def again_and_again(number: int) -> None:
        source = str(FIRST + number % addresses)
        while True:
            with contextlib.suppress(OSError, ssl.SSLError, ValueError):
                await come(port, source)
            await asyncio.sleep(COMES_BACK_S)

    crowd = [asyncio.create_task(again_and_again(number)) for number in range(connections)]
    await asyncio.sleep(2)
    print("there", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)
    for one in crowd:
        one.cancel()
    await asyncio.wait(crowd)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
