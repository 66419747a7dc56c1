"""Radicale's own path functions, run in a process of their own: Radicale is never imported here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What Radicale does to a request target and to an href: WSGI decodes once, then `sanitize_path`; answers go
# through `make_href`. One JSON string a line in, one JSON string a line out.
_CHILD = """
import json, sys
from urllib.parse import unquote, urlparse
from radicale import pathutils, xmlutils
for line in sys.stdin:
    wire = json.loads(line)
    path = pathutils.sanitize_path(unquote(urlparse(wire).path))
    print(json.dumps([path, xmlutils.make_href("", path), pathutils.strip_path(path)]), flush=True)
"""


class RadicalePaths:
    """Asks the child."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def reads(self, wire: str) -> tuple[str, str, str]:
        """Give what Radicale makes of a path on the wire: its own path, the href, the bare path."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(wire) + "\n")
        self._child.stdin.flush()
        path, href, bare = json.loads(self._child.stdout.readline())
        return path, href, bare


@contextmanager
def radicale_paths() -> Iterator[RadicalePaths]:
    """Run the child for as long as it is needed."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield RadicalePaths(child)
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait() == 0
