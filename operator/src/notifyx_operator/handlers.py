"""The Kopf handlers: each calls the reconciler for its resource and translates the result for Kopf.

Kopf runs in a thread and a loop of its own (see ``kopf_thread``); ``run_in_loop`` runs the work in the service's loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import kopf

from notifyx_common.backoff import Backoff
from notifyx_common.errors import NotifyxError
from notifyx_operator.kube.cluster import GROUP, TOPICS, VERSION
from notifyx_operator.topics.deletion import RetryLater
from notifyx_operator.topics.status import ReconcileOutcome

T = TypeVar("T")

MAX_RETRY_DELAY = 30.0
"""Maximum pause between two calls of a handler that failed, in seconds."""

_RETRIES = Backoff(0.5, MAX_RETRY_DELAY)


class TopicReconciler(Protocol):
    """The part that the handlers use of :class:`~notifyx_operator.topics.reconciler.Reconciler`."""

    async def sync(self, topic: str, uid: str) -> ReconcileOutcome | None: ...

    async def finish_deletion(self, topic: str, uid: str, *, waited: float) -> RetryLater | None: ...


class RunInLoop(Protocol):
    """Runs a coroutine in the reconciler's event loop, and waits for it."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Awaitable[T]: ...


def register(
    registry: kopf.OperatorRegistry,
    topics: TopicReconciler,
    run_in_loop: RunInLoop,
) -> None:
    """Declare every handler in ``registry``."""

    @kopf.on.create(GROUP, VERSION, TOPICS, id="topic", registry=registry)
    @kopf.on.update(GROUP, VERSION, TOPICS, id="topic", field="spec", registry=registry)
    async def changed(name: str, uid: str, retry: int, **_: Any) -> None:
        try:
            outcome = await run_in_loop(topics.sync(name, uid))
        except NotifyxError as error:
            raise kopf.TemporaryError(error.reason, delay=retry_delay(retry)) from None
        if outcome is not None and outcome.state == "StoreUnavailable":
            raise kopf.TemporaryError(outcome.message, delay=retry_delay(retry))

    @kopf.on.delete(GROUP, VERSION, TOPICS, id="topic", registry=registry)
    async def deleted(name: str, uid: str, retry: int, runtime: timedelta, **_: Any) -> None:
        try:
            retry_later = await run_in_loop(topics.finish_deletion(name, uid, waited=runtime.total_seconds()))
        except NotifyxError as error:
            raise kopf.TemporaryError(error.reason, delay=retry_delay(retry)) from None
        if retry_later is not None:
            raise kopf.TemporaryError("The store does not answer.", delay=min(retry_delay(retry), retry_later.within))


def retry_delay(retry: int) -> float:
    """Return the seconds before the next attempt: doubling up to :data:`MAX_RETRY_DELAY`, with jitter."""
    return _RETRIES.after(retry + 1)
