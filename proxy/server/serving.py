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
from auth.notices import Outbox
from auth.store.store import Store
from auth.throttle import AddressThrottle
from config.models import Config
from proxy.activity import Activity
from proxy.limits import STOP_S, STOP_UNDER_WAY_S
from proxy.net.certificates import Certificates
from proxy.net.strangers import Strangers
from proxy.opening import key_ring, make_hasher, open_store
from proxy.ports import Ports
from proxy.process import Stop, on_signal
from proxy.server.built_in import BuiltIn
from proxy.server.errors import ServeError
from proxy.server.fronts import PROTOCOLS, Foundation, certificate_files, front_ends
from proxy.server.listening import Bound, Listening
from proxy.server.mailing import Mailing
from proxy.server.notifying import READY, STOPPING, notify
from proxy.server.places import workers_folder
from proxy.server.reloading import Generation, Reloader, Reread, Rereading
from proxy.sessions import Registry
from proxy.worker import Worker, WorkerLock

log = logging.getLogger(__name__)


async def serve(
    config: Config, *, ready: Callable[[Bound], None] | None = None, reread: Reread | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called once every listener answers.

    On SIGHUP the configuration is read again by `reread`; without one the certificates alone are. One that
    comes while it starts is answered when it serves, one that comes while it stops is not.
    """
    async with AsyncExitStack() as stack:
        stop = Stop.on_signals(stack)
        hung_up = asyncio.Event()
        on_signal(
            stack, signal.SIGHUP, hung_up.set
        )  # to the very end: unheard it would kill what is finished
        bound = (await _start(config, stack, stop, Rereading(hung_up, reread))).bound
        log.info("serving %s", bound)
        notify(READY)
        if ready is not None:
            ready(bound)
        await stop.wait()
        log.info("stopping")
        notify(STOPPING)
    if stop.fault is not None:
        raise ServeError(
            f"a part of the server ended: {stop.fault}", "please report this line; start it again"
        )


async def _start(config: Config, stack: AsyncExitStack, stop: Stop, rereading: Rereading) -> Listening:
    """Start every part; what is started last is taken down first."""
    certificates = Certificates(certificate_files(config), PROTOCOLS)
    stop.run_beside(stack, "certificates", certificates.follow())
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
    listening = Listening(strangers)
    base = Foundation(
        config=config,
        ports=ports,
        certificates=certificates,
        store=store,
        keys=keys,
        built_in=BuiltIn(config, stack, store),
        hasher=hasher,
        registry=registry,
        bound=lambda: listening.bound,
        mailing=Mailing(Outbox(store, keys, time.time), Identities(store, keys, time.time)),
    )
    first = Generation(config, AsyncExitStack())
    reloader = Reloader(base, listening, first, rereading)
    stack.push_async_callback(reloader.close)
    handlers = await front_ends(config, first.stack, base)
    await _start_worker(config, stack, stop, store, registry)
    stack.push_async_callback(activity.flush)
    stop.run_beside(stack, "history", activity.write())
    stop.run_beside(stack, "mail", base.mailing.follow())
    stack.callback(listening.stop)
    listening.change(config.listen, handlers)
    stack.push_async_callback(_close, listening, registry)
    stop.run_beside(stack, "configuration", reloader.follow())
    return listening


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
    listening.stop()
    registry.stop()
    if not await registry.settled(STOP_UNDER_WAY_S):
        log.warning("ending what was under way for %.0f s more", STOP_UNDER_WAY_S)
    registry.cut_all()
    await asyncio.gather(*(loop.finish(STOP_S) for loop in listening.all))
