"""What is looked at before any page is asked, and what every answer carries. Pure, over a request's head.

A request must name us by one Host, be in origin form, and repeat no field that decides anything. One that
changes something must come from a page of ours: by what the browser says of its origin where it says so, and
always by the token in the form, which is made of the cookie (a page of before a step up has a stale one).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from aiohttp import web

from auth.secret import Secret
from proxy.limits import PORTAL_FIELDS, PORTAL_TARGET_OCTETS

COOKIE: Final = "__Host-wicketgate"
"""Its name (draft of RFC 6265's successor): set over TLS by this host alone, for all its paths."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_TOKEN_OCTETS: Final = 32
_ONCE: Final = frozenset(
    {"host", "content-type", "content-length", "origin", "sec-fetch-site", "transfer-encoding"}
)
_CONTINUE: Final = "100-continue"
_METHODS: Final = frozenset({"GET", "HEAD", "POST"})

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'self'; object-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-store",
        "Server": "Wicketgate",
    }
)
"""On every answer. Origins are told to ourselves alone, where POSTs are known by them (Fetch, `Origin`)."""


_TLS_ALONE: Final = ("Strict-Transport-Security", "max-age=31536000")
_THIS_MACHINE: Final = re.compile(r"(?:.+\.)?localhost(?::\d+)?")


def dress(response: web.StreamResponse, host: str) -> None:
    """Put on what every answer carries; `host` is what the request said, empty where that is not known.

    That a host is for TLS alone holds for all its ports (RFC 6797 §8.3), so it is not said of `localhost`,
    where whoever tries this out has other servers.
    """
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if host and not _THIS_MACHINE.fullmatch(host.lower()):
        response.headers.setdefault(*_TLS_ALONE)


@dataclass(frozen=True, slots=True)
class Stopped(Exception):  # noqa: N818 - what became of a request
    """A request that no page is asked for."""

    status: int
    why: str
    """For people; nothing of the request."""


def check_head(request: web.BaseRequest, is_ours: Callable[[str], bool]) -> None:
    """Look at the head. Raises Stopped."""
    if request.version.major != 1:
        raise Stopped(505, "this server speaks HTTP/1.1")
    names = [bytes(name).lower().decode("latin-1") for name, _ in request.raw_headers]
    if len(names) > PORTAL_FIELDS or any(names.count(name) > 1 for name in _ONCE):
        raise Stopped(400, "the request repeats what must be said once")
    hosts = [bytes(value).decode("latin-1") for name, value in request.raw_headers if name.lower() == b"host"]
    if len(request.raw_path) > PORTAL_TARGET_OCTETS:
        raise Stopped(414, "the address is too long")
    if not hosts or not is_ours(hosts[0].lower()):
        raise Stopped(421, "this is not the server of that name")
    if not request.raw_path.startswith("/") or request.raw_path.startswith("//"):
        raise Stopped(400, "the address must begin with a path")
    if request.method not in _METHODS:
        raise Stopped(405, "nothing here is done that way")
    if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
        raise Stopped(417, "this server does nothing of that kind")
    if request.method == "POST":
        _must_come_from_here(request, hosts[0])


def _must_come_from_here(request: web.BaseRequest, host: str) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site not in {"same-origin", "none"}:
        raise Stopped(403, "this form was sent from another site")
    if origin is not None and origin != "null" and origin.lower() != f"https://{host.lower()}":
        raise Stopped(403, "this form was sent from another site")
    if origin == "null" and site != "same-origin":
        raise Stopped(403, "this form was sent from another site")


def crossed(request: web.BaseRequest) -> bool:
    """Whether a link on another site led here, as far as the browser says so (Fetch Metadata)."""
    site, mode = request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")
    return request.method == "GET" and site in {"cross-site", "same-site"} and mode == "navigate"


def token_of(request: web.BaseRequest) -> Secret | None:
    """Give what the cookie holds; None where it is missing, was not made here, or comes twice.

    Pairs end at semicolons alone (RFC 6265 §4.2.1). A browser lets neighbours of our name set `a=b __Host-…`,
    or a white space of Unicode before the name: whoever reads those as two, or as our name, gives the prefix
    away, and with it whose session a visitor is in.
    """
    pairs = ";".join(request.headers.getall("Cookie", ())).split(";")
    named = (pair.strip(" \t").partition("=") for pair in pairs)
    held = [value for name, _, value in named if name == COOKIE]
    return Secret(held[0]) if len(held) == 1 and _TOKEN.match(held[0]) else None


def new_token(random: Callable[[int], str] = secrets.token_urlsafe) -> Secret:
    """Make one for a visitor without a session; it is stored nowhere."""
    return Secret(random(_TOKEN_OCTETS))


def form_token(token: Secret) -> str:
    """Give what the forms of a page carry: made of the cookie, and of no use without it."""
    return hmac.new(token.reveal_bytes(), b"wicketgate/portal/form/1", hashlib.sha256).hexdigest()


def check_form(form: Mapping[str, str], token: Secret | None) -> None:
    """See that a form was made for this cookie. Raises Stopped."""
    given = form.get("csrf", "")
    if token is None or not hmac.compare_digest(given.encode(), form_token(token).encode()):
        raise Stopped(403, "this page was too old to be used; go back, load it again and try once more")


def set_cookie(response: web.StreamResponse, token: Secret | None) -> None:
    """Let the browser keep a token until it is closed, or forget the one it has."""
    value = "" if token is None else token.reveal()
    age = "; Max-Age=0" if token is None else ""
    response.headers.add("Set-Cookie", f"{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{age}")
