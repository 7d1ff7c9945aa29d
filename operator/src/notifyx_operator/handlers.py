"""The Kopf handlers: each hands its resource to the reconciler and turns the answer into Kopf's words.

Kopf runs in a thread and a loop of its own (see ``kopf_thread``); the work is done in the service's loop, by way of
``here``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import kopf

from notifyx_common.backoff import Backoff
from notifyx_common.errors import NotifyxError
from notifyx_operator.kube.cluster import GROUP, PLATFORMS, TOPICS, VERSION
from notifyx_operator.topics.deletion import Wait
from notifyx_operator.topics.status import Outcome

T = TypeVar("T")

LONGEST_PAUSE = 30.0
_RETRIES = Backoff(0.5, LONGEST_PAUSE)


class Topics(Protocol):
    """What the handlers need of :class:`~notifyx_operator.topics.reconciler.Reconciler`."""

    async def sync(self, topic: str, uid: str) -> Outcome | None: ...

    async def end(self, topic: str, uid: str, *, waited: float) -> Wait | None: ...


class Here(Protocol):
    """Runs a coroutine where the reconciler lives, and waits for it."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Awaitable[T]: ...


def register(registry: kopf.OperatorRegistry, topics: Topics, here: Here, platform_changed: Callable[[], None]) -> None:
    """Declare every handler in ``registry``."""

    @kopf.on.create(GROUP, VERSION, TOPICS, id="topic", registry=registry)
    @kopf.on.update(GROUP, VERSION, TOPICS, id="topic", field="spec", registry=registry)
    async def changed(name: str, uid: str, retry: int, **_: Any) -> None:
        try:
            outcome = await here(topics.sync(name, uid))
        except NotifyxError as error:
            raise kopf.TemporaryError(error.reason, delay=pause(retry)) from None
        if outcome is not None and outcome.state == "StoreUnavailable":
            raise kopf.TemporaryError(outcome.message, delay=pause(retry))

    @kopf.on.delete(GROUP, VERSION, TOPICS, id="topic", registry=registry)
    async def deleted(name: str, uid: str, retry: int, runtime: timedelta, **_: Any) -> None:
        try:
            wait = await here(topics.end(name, uid, waited=runtime.total_seconds()))
        except NotifyxError as error:
            raise kopf.TemporaryError(error.reason, delay=pause(retry)) from None
        if wait is not None:
            raise kopf.TemporaryError("The store does not answer.", delay=min(pause(retry), wait.longest))

    # An event needs no finalizer: a platform's resource must go with its release, operator or not.
    @kopf.on.event(GROUP, VERSION, PLATFORMS, registry=registry)
    async def platform(type: str | None, meta: Mapping[str, Any], status: Mapping[str, Any], **_: Any) -> None:
        # Our own writes of its status are no news.
        if type == "DELETED" or status.get("observedGeneration") != meta.get("generation"):
            platform_changed()


def pause(retry: int) -> float:
    """Seconds before the next try: doubling up to :data:`LONGEST_PAUSE`, with jitter."""
    return _RETRIES.after(retry + 1)
