"""An upstream that sends as much as it is asked for: 8 octets of count, then so many octets, and again.

usage: python -m bench._source PORT
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading


def feed(sock: socket.socket, block: memoryview) -> None:
    with sock, contextlib.suppress(OSError):
        while len(asked := sock.recv(8, socket.MSG_WAITALL)) == 8:
            (left,) = struct.unpack("!Q", asked)
            while left:
                left -= sock.send(block[:left])


def main(port: int) -> None:
    block = memoryview(os.urandom(1 << 18))
    with socket.create_server(("127.0.0.1", port), backlog=1_024) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=feed, args=(sock, block), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
