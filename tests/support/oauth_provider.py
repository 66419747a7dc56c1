"""An OAuth 2 provider of the tests' own, over TLS: authorization code with PKCE, device code, refresh.

It is as strict as a provider may be: codes are used once and only with their verifier and redirect URI,
refresh tokens rotate when told to, and an old one that comes again ends its whole family (RFC 9700 §4.14.2).
Tokens live as long as a test says. Faults are put on and off while it runs. Whoever owns a mailbox agrees at
once.
"""

from __future__ import annotations

import json
import secrets
import ssl
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from proxy.net.tls import CertificateFiles, server_context
from support.waiting import GIVE_UP_S

CLIENT_ID = "wicketgate-at-tests"
CLIENT_SECRET = "s3cret of the client"
SCOPES = ("imap", "smtp", "offline_access")


class Fault(StrEnum):
    """What is wrong with it."""

    BROKEN = "500"
    BUSY = "429"
    GARBAGE = "garbage"
    HUGE = "huge"
    REDIRECT = "redirect"
    SILENT = "silent"
    """Until `released`."""
    CUT = "cut"
    """The connection is closed in the middle of the answer."""


@dataclass
class Family:
    """What one authorisation has led to."""

    login: str
    good: bool = True
    newest: str = ""


@dataclass
class Code:
    login: str
    challenge: str
    redirect_uri: str


@dataclass
class Device:
    user_code: str
    login: str = ""
    denied: bool = False


@dataclass
class OAuthProvider:
    """The provider; every attribute may be changed by a test while it runs."""

    login: str = "alice@example.org"
    """Who sits at the browser."""
    agrees: bool = True
    lifetime_s: float = 3600.0
    rotates: bool = True
    scopes: tuple[str, ...] = SCOPES
    client_secret: str | None = CLIENT_SECRET
    """None: a public client."""
    refresh_lifetime_s: int | None = None
    """What it says of refresh tokens; nothing as long as they have no end."""
    fault: Fault | None = None
    interval_s: int = 1
    slow_downs: int = 0
    """Polls that are answered `slow_down` before anything else."""
    sent: list[dict[str, str]] = field(default_factory=list)
    """What browsers were sent with."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Every form that came, secrets and all."""
    released: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)
    """Set when a request waits for `released`."""
    mistakes: list[str] = field(default_factory=list)
    """What a client did that it must not."""
    port: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _news: threading.Condition = field(init=False)
    _codes: dict[str, Code] = field(default_factory=dict)
    _devices: dict[str, Device] = field(default_factory=dict)
    _refresh: dict[str, Family] = field(default_factory=dict)
    _access: dict[str, tuple[Family, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._news = threading.Condition(self._lock)

    # --- for tests ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def refreshes(self) -> int:
        """How often a refresh token was brought."""
        return sum(form.get("grant_type") == "refresh_token" for form in self.asked)

    def authorised(self, login: str) -> str:
        """Give the refresh token of an authorisation made by hand."""
        with self._lock:
            return self._new_refresh(Family(login))

    def takes(self, login: str, token: str) -> bool:
        """What a mail server asks: is this token good for this mailbox now?"""
        with self._lock:
            family, until = self._access.get(token, (None, 0.0))
            return family is not None and family.good and family.login == login and time.monotonic() < until

    def forget_access_tokens(self) -> None:
        """End every access token before its time."""
        with self._lock:
            self._access.clear()

    def revoke(self, login: str) -> None:
        """End every authorisation of a mailbox."""
        with self._lock:
            for family in self._refresh.values():
                family.good = family.good and family.login != login

    def wait_for_device(self) -> str:
        """Wait until a device asks, and give the code that it shows."""
        with self._news:
            assert self._news.wait_for(lambda: self._devices, GIVE_UP_S), "no device has asked"
            return next(iter(self._devices.values())).user_code

    def type_code(self, user_code: str, *, deny: bool = False) -> None:
        """Be the person with the other device."""
        with self._lock:
            device = next(each for each in self._devices.values() if each.user_code == user_code)
            device.login, device.denied = self.login, deny

    # --- endpoints ------------------------------------------------------------------------------------------

    def authorize(self, asked: dict[str, str]) -> str:
        """Give the address that the browser is sent back to."""
        self.sent.append(asked)
        back = {"state": asked["state"]}
        if not self.agrees:
            return _with_query(asked["redirect_uri"], {"error": "access_denied", **back})
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert set(asked["scope"].split()) == set(self.scopes)
        code = secrets.token_urlsafe(16)
        with self._lock:
            self._codes[code] = Code(self.login, asked["code_challenge"], asked["redirect_uri"])
        return _with_query(asked["redirect_uri"], {"code": code, **back})

    def device(self, form: dict[str, str]) -> dict[str, object]:
        assert set(form["scope"].split()) == set(self.scopes)
        code, user_code = secrets.token_urlsafe(16), secrets.token_hex(4).upper()
        with self._lock:
            self._devices[code] = Device(user_code)
            self._news.notify_all()
        return {
            "device_code": code,
            "user_code": user_code,
            "verification_uri": f"{self.url}/device",
            "expires_in": 60,
            "interval": self.interval_s,
        }

    def introspect(self, form: dict[str, str]) -> dict[str, object]:
        """RFC 7662: what a mail server asks that is no part of this process."""
        with self._lock:
            family, _ = self._access.get(form["token"], (None, 0.0))
            login = "" if family is None else family.login
        good = bool(login) and self.takes(login, form["token"])
        return {"active": True, "username": login} if good else {"active": False}

    def token(self, form: dict[str, str]) -> dict[str, object]:
        """Give tokens, or an object with `error`."""
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, self.client_secret):
            return {"error": "invalid_client", "error_description": "who are you?"}
        with self._lock:
            match form.get("grant_type"):
                case "authorization_code":
                    return self._by_code(form)
                case "refresh_token":
                    return self._by_refresh(form)
                case "urn:ietf:params:oauth:grant-type:device_code":
                    return self._by_device(form)
                case _:
                    return {"error": "unsupported_grant_type"}

    def _by_code(self, form: dict[str, str]) -> dict[str, object]:
        code = self._codes.pop(form["code"], None)
        proof = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if code is None or (code.challenge, code.redirect_uri) != (proof, form["redirect_uri"]):
            return {"error": "invalid_grant"}
        return self._tokens(Family(code.login), fresh=True)

    def _by_refresh(self, form: dict[str, str]) -> dict[str, object]:
        family = self._refresh.get(form["refresh_token"])
        if family is None or not family.good:
            return {"error": "invalid_grant"}
        if form["refresh_token"] != family.newest:
            family.good = False
            return {"error": "invalid_grant", "error_description": "used before: all tokens are revoked"}
        return self._tokens(family, fresh=self.rotates)

    def _by_device(self, form: dict[str, str]) -> dict[str, object]:
        if self.slow_downs:
            self.slow_downs -= 1
            return {"error": "slow_down"}
        device = self._devices.get(form["device_code"])
        if device is None:
            return {"error": "expired_token"}
        if not device.login:
            return {"error": "authorization_pending"}
        del self._devices[form["device_code"]]
        return {"error": "access_denied"} if device.denied else self._tokens(Family(device.login), fresh=True)

    def _tokens(self, family: Family, *, fresh: bool) -> dict[str, object]:
        access = f"at.{secrets.token_urlsafe(900)}"  # as long as Microsoft's
        self._access[access] = (family, time.monotonic() + self.lifetime_s)
        given = {"access_token": access, "token_type": "Bearer", "expires_in": int(self.lifetime_s)}
        if self.refresh_lifetime_s is not None:
            given["refresh_token_expires_in"] = self.refresh_lifetime_s
        return {**given, "refresh_token": self._new_refresh(family)} if fresh else given

    def _new_refresh(self, family: Family) -> str:
        family.newest = f"rt.{secrets.token_urlsafe(32)}"
        self._refresh[family.newest] = family
        return family.newest


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = GIVE_UP_S
    provider: OAuthProvider

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        assert parts.path == "/authorize", self.path
        self.send_response(302)
        self.send_header("Location", self.provider.authorize(_plain(parts.query)))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        form = _plain(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.path == "/introspect":
            self._say(200, json.dumps(self.provider.introspect(form)).encode())
            return
        self.provider.asked.append(form)
        if self.provider.fault is not None and self._misbehaves(self.provider.fault):
            return
        endpoints = {"/device": self.provider.device, "/token": self.provider.token}
        told = endpoints[self.path](form)
        self._say(400 if "error" in told else 200, json.dumps(told).encode())

    def _misbehaves(self, fault: Fault) -> bool:
        match fault:
            case Fault.BROKEN:
                self._say(500, b'{"error": "invalid_grant"}')  # which must not be believed
            case Fault.BUSY:
                self._say(429, b'{"error": "invalid_grant"}')
            case Fault.GARBAGE:
                self._say(200, b"<html>Sign in to the guest network</html>")
            case Fault.HUGE:
                self._say(200, b'{"access_token": "' + b"x" * 1_000_000 + b'"}')
            case Fault.REDIRECT:
                self.send_response(307)
                self.send_header("Location", f"{self.provider.url}/token")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case Fault.CUT:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
                self.close_connection = True
            case Fault.SILENT:
                self.provider.waiting.set()
                self.provider.released.wait(GIVE_UP_S)
                return False
        return True

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, provider: OAuthProvider, tls: ssl.SSLContext) -> None:
        handler = type("Handler", (_Handler,), {"provider": provider})
        super().__init__(("127.0.0.1", provider.port), handler)
        self.provider = provider
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that ends early is no news; a request that no client may make is."""
        mistake = sys.exception()
        if not isinstance(mistake, OSError):
            self.provider.mistakes.append(repr(mistake))


def _with_query(address: str, told: dict[str, str]) -> str:
    """Add a query; an address without a path gets one, as browsers have it."""
    return f"{address}{'' if urlsplit(address).path else '/'}?{urlencode(told)}"


def _plain(text: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(text, strict_parsing=True).items()}


@contextmanager
def running(provider: OAuthProvider, certificate: CertificateFiles) -> Iterator[OAuthProvider]:
    """Answer on a free port, the next time on the same one, until the block ends."""
    server = _Server(provider, server_context([certificate]))
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        provider.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert provider.mistakes == []
