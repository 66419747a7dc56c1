"""One serving process: everything put together, started in order, and taken down in the reverse order.

`serve` returns when SIGINT or SIGTERM has been received and everything is closed. Whatever cannot be
started (a port in use, an unreadable key) is a `ServeError` or the error of its own part, each with a hint
for people, and leaves nothing behind; so is a part that ends though it must not. Here is composition only;
nothing here knows a protocol.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from auth.gate import Gate
from auth.identities import Identities
from auth.oauth_tokens import OAuthTokens
from auth.store.store import Store
from auth.throttle import AddressThrottle
from config.models import Config
from proxy.activity import Activity
from proxy.limits import STOP_S, STOP_UNDER_WAY_S
from proxy.net.certificates import Certificates
from proxy.net.strangers import Strangers
from proxy.net.tls import CertificateFiles
from proxy.opening import key_ring, make_hasher, open_store
from proxy.ports import Ports
from proxy.process import Stop, on_signal
from proxy.server.errors import ServeError
from proxy.server.fronts import PROTOCOLS, Stores, front_ends
from proxy.server.listening import Bound, Listening, open_listeners
from proxy.server.places import workers_folder
from proxy.server.providers import access_tokens
from proxy.server.sign_ins import Safes
from proxy.sessions import Registry
from proxy.worker import Worker, WorkerLock

log = logging.getLogger(__name__)


async def serve(config: Config, *, ready: Callable[[Bound], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called once every listener answers."""
    async with AsyncExitStack() as stack:
        stop = Stop.on_signals(stack)
        bound = (await _start(config, stack, stop)).bound
        log.info("serving %s", bound)
        if ready is not None:
            ready(bound)
        await stop.wait()
        log.info("stopping")
    if stop.fault is not None:
        raise ServeError(
            f"a part of the server ended: {stop.fault}", "please report this line; start it again"
        )


async def _start(config: Config, stack: AsyncExitStack, stop: Stop) -> Listening:
    """Start every part; what is started last is taken down first."""
    certificates = _certificates(config, stack, stop)
    keys = key_ring(config)
    store = await open_store(config, keys)
    stack.push_async_callback(store.close)
    config.server.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    hasher = make_hasher(config)
    stack.callback(hasher.close)
    throttle = AddressThrottle()
    registry = Registry()
    strangers = Strangers(doubts=lambda peer: throttle.asker(peer, time.monotonic()).doubted)
    activity = Activity(store)
    ports = Ports(
        gate=Gate(store, hasher, keys, throttle), registry=registry, recorder=activity, strangers=strangers
    )
    tokens = access_tokens(config, OAuthTokens(store, keys, time.time))
    for each in tokens.values():
        stack.push_async_callback(each.close)
    safes = Safes(secrets=Identities(store, keys, time.time), tokens=tokens)
    handlers = await front_ends(config, stack, ports, certificates, Stores(store=store, safes=safes))
    await _start_worker(config, stack, stop, store, registry)
    stack.push_async_callback(activity.flush)
    stop.run_beside(stack, "history", activity.write())
    listening = open_listeners(config.listen, handlers, strangers, stack)
    stack.push_async_callback(_close, listening, registry)
    return listening


def _certificates(config: Config, stack: AsyncExitStack, stop: Stop) -> Certificates:
    """Read the certificates, and again on SIGHUP and when their files change."""
    files = [
        CertificateFiles(names=each.names, certificate=each.certificate, key=each.key)
        for each in config.tls.certificate
    ]
    certificates = Certificates(files, PROTOCOLS)
    on_signal(stack, signal.SIGHUP, certificates.reload)
    stop.run_beside(stack, "certificates", certificates.follow())
    return certificates


async def _start_worker(
    config: Config, stack: AsyncExitStack, stop: Stop, store: Store, registry: Registry
) -> None:
    """Hold this worker's lock and follow the change feed."""
    lock = WorkerLock(workers_folder(config))
    stack.callback(lock.release)
    worker = Worker(lock.name, store, registry)
    await worker.start()
    stop.run_beside(stack, "worker", worker.follow())


async def _close(listening: Listening, registry: Registry) -> None:
    """Accept no more and end what is going on; a message or a request under way is finished first."""
    for loop in listening.all:
        loop.stop()
    registry.stop()
    if not await registry.settled(STOP_UNDER_WAY_S):
        log.warning("ending what was under way for %.0f s more", STOP_UNDER_WAY_S)
    registry.cut_all()
    await asyncio.gather(*(loop.finish(STOP_S) for loop in listening.all))
