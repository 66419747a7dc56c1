"""A person who opens an address in a browser, and may bring the one it ends at from another machine.

Standard input is watched by the event loop, so that neither a browser that comes back by itself nor Ctrl-C
waits for a line to be typed. What cannot be watched (a file, nothing at all) brings nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from proxy.cli.output import complain, emit_line, plain, say
from proxy.upstreams.oauth2.messages import DeviceCode

_LINE_OCTETS: Final = 65_536
"""Kept of what is typed; an address with a code has some 2,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTerminal:
    """Whoever runs the command."""

    as_json: bool = False

    def show(self, address: str) -> None:
        """Show the address that is to be opened."""
        if self.as_json:
            emit_line({"address": address})
        else:
            say("Open this address in a browser, sign in at the provider and agree:")
            say(f"  {address}")
            say("Where that browser is on another machine, paste the address it ends at here:")
        sys.stdout.flush()

    def show_code(self, code: DeviceCode) -> None:
        """Show what is to be typed on another device."""
        if self.as_json:
            seconds = int(code.lifetime_s)
            emit_line({"address": code.address, "user_code": code.user_code, "expires_in_s": seconds})
        else:
            say("Open this address on any device and type the code there:")
            say(f"  {plain(code.address)}")
            say(f"  {plain(code.user_code)}")
        sys.stdout.flush()

    async def brought(self, is_ours: Callable[[str], bool]) -> str:
        """Wait for the address where the browser ended; for ever where nobody can type one."""
        lines: asyncio.Queue[str] = asyncio.Queue()
        with suppress(OSError, ValueError, NotImplementedError):
            return await _watched(sys.stdin.fileno(), lines, is_ours)
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")


async def _watched(descriptor: int, lines: asyncio.Queue[str], is_ours: Callable[[str], bool]) -> str:
    """Read lines until one is right; OSError for what cannot be watched, and at its end."""
    loop = asyncio.get_running_loop()
    held = bytearray()

    def ready() -> None:
        data = os.read(descriptor, _LINE_OCTETS)
        held.extend(data)
        *whole, rest = bytes(held).split(b"\n") if data else (bytes(held), b"")  # its end ends a line
        held[:] = rest[-_LINE_OCTETS:]
        for line in whole:
            lines.put_nowait(line.decode("utf-8", "replace").strip())
        if not data:
            loop.remove_reader(descriptor)

    loop.add_reader(descriptor, ready)
    try:
        while True:
            line = await lines.get()
            if is_ours(line):
                return line
            if line:
                complain("this is not the address that the browser ended at", "copy all of it, from http on")
    finally:
        loop.remove_reader(descriptor)
