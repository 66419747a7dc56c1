"""A town to attack: a real Radicale with two people's things, the front-end before it, all of it watched."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scopes.model import Scope
from support.dav_door import Door, door
from support.dav_house import ALICES, HOME, KINDS, foreign_marks, furnish
from support.radicale_server import Radicale, Reply, radicale
from support.sockets import Tls


class Town:
    """The server, what it held at first, and the way in."""

    def __init__(self, server: Radicale, door: Door, folder: Path) -> None:
        self.server = server
        self.door = door
        self._kept = folder / "kept"
        furnish(server)
        server.keep(self._kept)
        self.before = server.stored("/")

    def request(self, scopes: frozenset[Scope], *request: object) -> Reply:
        """Do one request and see that nothing foreign has changed or come out."""
        reply = self.door.request(scopes, *request)  # type: ignore[arg-type]
        said = reply.body + repr(reply.fields).encode()
        for mark in foreign_marks(scopes):
            assert mark not in said, (request, said)
        assert self.foreign(scopes, self.server.stored("/")) == self.foreign(scopes, self.before), request
        return reply

    def is_unchanged(self) -> bool:
        """Whether all is stored as at first; if not, it is put back."""
        if self.server.stored("/") == self.before:
            return True
        self.server.restore(self._kept)
        self.door.wall._oracle.forget("ac_1")
        return False

    def foreign(self, scopes: frozenset[Scope], stored: dict[str, bytes]) -> dict[str, bytes]:
        """Of what is stored, give all that these scopes may not touch."""
        own = [ALICES[kind].path for kind, scope in KINDS.items() if scope in scopes]
        mine = [each.replace("%40", "@").strip("/") + "/" for each in [*own, f"{HOME}new/"]]
        return {name: octets for name, octets in stored.items() if not name.startswith(tuple(mine))}


@contextmanager
def town_in(folder: Path) -> Iterator[Town]:
    """Build a town that stands until the block ends."""
    with radicale() as server, door(server, Tls(folder)) as opened:
        yield Town(server, opened, folder)
