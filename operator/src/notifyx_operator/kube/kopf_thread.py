"""Runs Kopf in a thread with an event loop of its own.

When it ends, Kopf cancels every task of its loop that started later, and it handles the process's signals: in the
service's loop it would end the servers before they drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import kopf
import uvloop

from notifyx_common.backoff import between
from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_operator.kube.api import Login
from notifyx_operator.kube.diff_base import HashedDiffBase
from notifyx_operator.kube.kopf_sessions import KopfSessions
from notifyx_operator.kube.names import FINALIZER, KOPF_PREFIX

log = get_logger(__name__)

T = TypeVar("T")

STOP_TIMEOUT = 15.0
START_TIMEOUT = 30.0
"""Timeouts of Kopf's end and start, in seconds."""


def kopf_settings(*, scan: bool) -> kopf.OperatorSettings:
    """Return Kopf's settings, with our own finalizer and annotations, so that no other Kopf operator uses them.

    ``scan``: watch the cluster's namespaces and resource definitions, which needs cluster-wide rights.
    """
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=KOPF_PREFIX, v1=False)
    settings.persistence.diffbase_storage = HashedDiffBase(KOPF_PREFIX)
    settings.scanning.disabled = not scan
    # The reconciler posts the Events, about its own changes only.
    settings.posting.enabled = False
    # A watch whose connection broke silently is noticed after this time.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # While the API server is away, a request is tried again for two minutes; after its return topics wait no longer
    # than the longest of these pauses.
    settings.networking.error_backoffs = [between(0.5, 1.0), *(between(1.0, 2.0) for _ in range(80))]
    return settings


def runner_in_loop(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, T]], asyncio.Future[T]]:
    """Return a function that runs a coroutine in ``loop`` and returns a future of the calling thread's loop."""

    def run(work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    return run


@contextlib.asynccontextmanager
async def run_kopf(
    registry: kopf.OperatorRegistry, *, login: Login, namespaces: Sequence[str], died: Callable[[], None]
) -> AsyncIterator[threading.Thread]:
    """Run Kopf for the time of the block; call ``died`` in this loop if it ends earlier. Adds a login to ``registry``.

    Raises :class:`Unavailable` if it does not start.
    """
    loop = asyncio.get_running_loop()
    ready, stop = threading.Event(), threading.Event()
    leaving = False

    sessions = KopfSessions(login)

    @kopf.on.login(registry=registry)
    async def credentials(**_: Any) -> kopf.AiohttpSession:
        return sessions.open()

    async def operate() -> None:
        try:
            await kopf.operator(
                registry=registry,
                settings=kopf_settings(scan=not namespaces),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=list(namespaces),
                ready_flag=ready,
                stop_flag=stop,
            )
        finally:
            await sessions.close()

    def main() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(operate())
        except Exception:  # nobody else sees a thread's error; ``died`` reports the end
            log.exception("kopf_failed")
        finally:
            if not leaving:
                with contextlib.suppress(RuntimeError):  # the loop may be closed already
                    loop.call_soon_threadsafe(died)

    thread = threading.Thread(target=main, name="kopf", daemon=True)
    thread.start()
    try:
        if not await asyncio.to_thread(ready.wait, START_TIMEOUT):
            raise Unavailable("Kopf did not start.")
        yield thread
    finally:
        leaving = True
        stop.set()
        await asyncio.to_thread(thread.join, STOP_TIMEOUT)
