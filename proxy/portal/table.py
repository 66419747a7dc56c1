"""Which page a request is for: by method and path, the routes with the fewest braces first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.portal.guard import Stopped
from proxy.portal.visit import Route


@dataclass(frozen=True, slots=True)
class Found:
    """A route, and what stands in its braces."""

    route: Route
    match: Mapping[str, str]


class Table:
    """The routes, those with the fewest braces first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        ordered = sorted(routes, key=lambda route: route.path.count("{"))
        self._routes = [(re.compile(_pattern(route.path)), route) for route in ordered]

    def find(self, method: str, path: str) -> Found | None:
        """Give the route of a path. Raises Stopped where it takes other methods alone."""
        there = False
        for pattern, route in self._routes:
            if (matched := pattern.fullmatch(path)) is not None:
                if route.method == method:
                    return Found(route, matched.groupdict())
                there = True
        if there:
            raise Stopped(405, "nothing here is done that way")
        return None


def _pattern(path: str) -> str:
    parts = re.split(r"\{(\w+)\}", path)
    return "".join(re.escape(part) if n % 2 == 0 else f"(?P<{part}>[^/]+)" for n, part in enumerate(parts))
