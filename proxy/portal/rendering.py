"""Pages out of templates, and the few files they load. Everything put into a page is escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE: Final = Path(__file__).parent
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_STATIC_AGE_S: Final = 30 * 86_400
_TAG_CHARACTERS: Final = 32
_MARK_CHARACTERS: Final = 12

environment: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def html(template: str, facts: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """Render a page."""
    text = environment.get_template(template).render(**facts)
    return web.Response(text=text, status=status, content_type="text/html")


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """A file that pages load."""

    body: bytes
    kind: str
    tag: str

    def answer(self, known: str | None) -> web.Response:
        """Give it, or say that what the browser has is the same (RFC 9110 §13.1.2)."""
        headers = {"ETag": self.tag, "Cache-Control": f"public, max-age={_STATIC_AGE_S}"}
        if known == self.tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, headers=headers, content_type=self.kind, charset="utf-8")


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:_TAG_CHARACTERS]}"'
    return StaticFile(body=body, kind=_KINDS[path.suffix], tag=tag)


STATIC: Final[Mapping[str, StaticFile]] = {
    f"/static/{path.name}": _read(path)
    for path in sorted((_HERE / "static").iterdir())
    if path.suffix in _KINDS
}


def _address(name: str) -> str:
    """Give the address of a file with what is in it: after an upgrade no browser keeps to an older one."""
    path = f"/static/{name}"
    mark = STATIC[path].tag.strip('"')[:_MARK_CHARACTERS]
    return f"{path}?{mark}"


environment.globals["static"] = _address
