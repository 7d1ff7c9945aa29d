"""Kopf in a thread with an event loop of its own.

When it ends, Kopf cancels every task of its loop that is younger than itself, and it takes the process's signals: in
the loop of the service it would end the servers before they drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import kopf
import uvloop
from kubernetes.aio.client import Configuration

from notifyx_common.errors import Unavailable
from notifyx_common.logs import get_logger
from notifyx_operator.kube.names import FINALIZER, KOPF_PREFIX

log = get_logger(__name__)

T = TypeVar("T")

STOP_SECONDS = 15.0
START_SECONDS = 30.0


def kopf_settings(*, scan: bool) -> kopf.OperatorSettings:
    """Our own finalizer and annotations, so that another operator built on Kopf never takes ours for its own.

    ``scan``: follow the cluster's namespaces and resource definitions, which takes rights on the whole cluster.
    """
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=KOPF_PREFIX, v1=False)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=KOPF_PREFIX, key="last-handled", v1=False
    )
    settings.scanning.disabled = not scan
    # Events are posted by the reconciler, about what it did and nothing else.
    settings.posting.enabled = False
    # A watch that was cut without a word is noticed after this long.
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    return settings


class Connection(kopf.ConnectionInfo):
    """Kopf's connection, content with certificates that Python 3.13 finds too simple: some clusters have such."""

    def as_ssl_context(self) -> ssl.SSLContext:
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def add_login(registry: kopf.OperatorRegistry, configuration: Configuration) -> None:
    """Let Kopf reach the API server as ``configuration`` does; asked again, the token is read again."""

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        refresh = getattr(configuration, "refresh_api_key_hook", None)
        if refresh is not None:
            refresh(configuration)
        held: Any = configuration.api_key.get("BearerToken") or ""
        scheme, _, token = held.rpartition(" ")
        return Connection(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme.title() or "Bearer",
            token=token or None,
        )


def in_loop(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, T]], asyncio.Future[T]]:
    """How a coroutine is run in ``loop`` from another thread's loop, and awaited there."""

    def run(work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    return run


@contextlib.asynccontextmanager
async def running(
    registry: kopf.OperatorRegistry, *, namespaces: Sequence[str], died: Callable[[], None]
) -> AsyncIterator[threading.Thread]:
    """Kopf runs while the block is entered; ``died`` is called in this loop when it ends before.

    Raises :class:`Unavailable` when it does not start.
    """
    loop = asyncio.get_running_loop()
    ready, stop = threading.Event(), threading.Event()
    left = False

    async def operate() -> None:
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(scan=not namespaces),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            ready_flag=ready,
            stop_flag=stop,
        )

    def main() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(operate())
        except Exception:  # whatever it was: a thread's error is nobody else's to see, and the pod is started anew
            log.exception("kopf failed")
        finally:
            if not left:
                with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                    loop.call_soon_threadsafe(died)

    thread = threading.Thread(target=main, name="kopf", daemon=True)
    thread.start()
    try:
        if not await asyncio.to_thread(ready.wait, START_SECONDS):
            raise Unavailable("Kopf did not start.")
        yield thread
    finally:
        left = True
        stop.set()
        await asyncio.to_thread(thread.join, STOP_SECONDS)
