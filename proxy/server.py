"""One serving process: everything put together, started in order, and taken down in the reverse order.

`serve` returns when SIGINT or SIGTERM has been received and everything is closed. Whatever cannot be
started (a port in use, an unreadable key) is a `ServeError` or the error of its own part, each with a hint
for people, and leaves nothing behind; so is a part that ends though it must not. Here is composition only;
nothing here knows a protocol.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from auth.gate import Gate
from auth.secret import Secret
from auth.store.store import Store
from auth.throttle import AddressThrottle
from config import models
from config.address import AddressKind, Listen
from config.private import read_secret_text
from proxy.activity import Activity
from proxy.embedded.children import EmbeddedMail
from proxy.failures import House
from proxy.imap.front_end import ImapFrontEnd
from proxy.imap.ports import Settings
from proxy.imap.upstream import ImapUpstream
from proxy.limits import STOP_S
from proxy.net.accept import AcceptLoop, listen
from proxy.net.certificates import Certificates
from proxy.net.strangers import Strangers
from proxy.net.tls import CertificateFiles, client_context
from proxy.opening import key_ring, make_hasher, open_store
from proxy.ports import Ports
from proxy.process import Stop, on_signal
from proxy.sessions import Registry
from proxy.upstreams.authzid import Authzid
from proxy.upstreams.place import Place
from proxy.worker import Worker, WorkerLock

log = logging.getLogger(__name__)


class ServeError(Exception):
    """The server cannot be started, or cannot go on; `hint` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The ports that answer, in the order of the config."""

    imaps: tuple[int, ...]
    imap: tuple[int, ...]


def mail_folder(config: models.Config) -> Path:
    """Where the built-in mail server keeps its mail."""
    return config.server.data / "mail"


def workers_folder(config: models.Config) -> Path:
    """Where the locks of the serving processes lie."""
    return config.server.data / "workers"


async def serve(config: models.Config, *, ready: Callable[[Bound], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called once every listener answers."""
    async with AsyncExitStack() as stack:
        stop = Stop.on_signals(stack)
        loops = await _start(config, stack, stop)
        bound = Bound(
            imaps=tuple(each.port for each in loops["imaps"]), imap=tuple(each.port for each in loops["imap"])
        )
        log.info("serving imaps=%s imap=%s", bound.imaps, bound.imap)
        if ready is not None:
            ready(bound)
        await stop.wait()
        log.info("stopping")
    if stop.fault is not None:
        raise ServeError(
            f"a part of the server ended: {stop.fault}", "please report this line; start it again"
        )


async def _start(config: models.Config, stack: AsyncExitStack, stop: Stop) -> dict[str, list[AcceptLoop]]:
    """Start every part; what is started last is taken down first."""
    certificates = _certificates(config, stack, stop)
    keys = key_ring(config)
    store = await open_store(config, keys)
    stack.push_async_callback(store.close)
    config.server.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    hasher = make_hasher(config)
    stack.callback(hasher.close)
    upstream = await _imap_upstream(config, stack)
    throttle = AddressThrottle()
    registry = Registry()
    strangers = Strangers(doubts=lambda peer: throttle.asker(peer, time.monotonic()).doubted)
    activity = Activity(store)
    front_end = ImapFrontEnd(
        Ports(
            gate=Gate(store, hasher, keys, throttle),
            registry=registry,
            recorder=activity,
            strangers=strangers,
        ),
        upstream,
        Settings(
            house=House(host=config.server.public_host, portal_url=config.server.portal_url),
            tls=lambda: certificates.context,
        ),
    )
    await _start_worker(config, stack, stop, store, registry)
    stack.push_async_callback(activity.flush)
    stop.run_beside(stack, "history", activity.write())
    loops = _listen(config.listen, front_end, strangers, stack)
    stack.push_async_callback(_close, [*loops["imaps"], *loops["imap"]], registry)
    return loops


def _certificates(config: models.Config, stack: AsyncExitStack, stop: Stop) -> Certificates:
    """Read the certificates, and again on SIGHUP and when their files change."""
    files = [
        CertificateFiles(names=each.names, certificate=each.certificate, key=each.key)
        for each in config.tls.certificate
    ]
    certificates = Certificates(files, alpn=("imap",))
    on_signal(stack, signal.SIGHUP, certificates.reload)
    stop.run_beside(stack, "certificates", certificates.follow())
    return certificates


async def _imap_upstream(config: models.Config, stack: AsyncExitStack) -> ImapUpstream:
    """Make the way to the IMAP server behind; the built-in one is started first."""
    told = config.upstream.imap
    if told.address.kind is AddressKind.EMBEDDED:
        mail = EmbeddedMail(mail_folder(config))
        stack.push_async_callback(mail.stop)
        await mail.start()
        place = Place(address=told.address, embedded_socket=lambda: mail.socket_path)
        return ImapUpstream(place=place, sign_in_as=Authzid(user=mail.user, secret=mail.secret))
    if told.sign_in is None:
        raise ServeError(f"no way to sign in at {told.address}", "write upstream.imap.sign_in")
    secret = Secret(read_secret_text(told.sign_in.secret_file))
    context = client_context(told.ca_file) if told.address.over_tls else None
    place = Place(address=told.address, tls=context, server_name=told.server_name)
    return ImapUpstream(
        place=place, sign_in_as=Authzid(user=told.sign_in.user, secret=secret, login=told.login)
    )


async def _start_worker(
    config: models.Config, stack: AsyncExitStack, stop: Stop, store: Store, registry: Registry
) -> None:
    """Hold this worker's lock and follow the change feed."""
    lock = WorkerLock(workers_folder(config))
    stack.callback(lock.release)
    worker = Worker(lock.name, store, registry)
    await worker.start()
    stop.run_beside(stack, "worker", worker.follow())


def _listen(
    listeners: models.Listeners, front_end: ImapFrontEnd, strangers: Strangers, stack: AsyncExitStack
) -> dict[str, list[AcceptLoop]]:
    """Open every listener before the first one accepts."""
    kinds = {"imaps": (listeners.imaps, True), "imap": (listeners.imap, False)}
    loops: dict[str, list[AcceptLoop]] = {kind: [] for kind in kinds}
    for kind, (places, implicit_tls) in kinds.items():
        for place in places:
            handler = partial(front_end.handle, implicit_tls=implicit_tls)
            loop = AcceptLoop(_bind(place), handler, strangers)
            stack.callback(loop.stop)
            loops[kind].append(loop)
    for loop in [*loops["imaps"], *loops["imap"]]:
        loop.start()
    return loops


async def _close(loops: Sequence[AcceptLoop], registry: Registry) -> None:
    """Accept no more and end what is going on."""
    for loop in loops:
        loop.stop()
    registry.cut_all()
    await asyncio.gather(*(loop.finish(STOP_S) for loop in loops))


def _bind(place: Listen) -> Any:
    try:
        return listen(place.host, place.port)
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                hint = "something else listens there; end it, or choose another port"
            case errno.EACCES:
                hint = "ports below 1024 need privileges: choose a higher one, or grant CAP_NET_BIND_SERVICE"
            case _:
                hint = "see whether this machine has the address"
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        what = f"cannot listen on {place}: {reason.lower()}"
        raise ServeError(what, hint) from None
