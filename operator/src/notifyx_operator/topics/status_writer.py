"""Writes the results of passes to the API server: the status of each resource, and Events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from notifyx_common.clock import Clock
from notifyx_common.contracts.store.topics import TOPIC_STATUSES, TopicStatus, TopicStatusQuery
from notifyx_common.errors import NotifyxError
from notifyx_common.logs import get_logger
from notifyx_common.principal import system_principal
from notifyx_common.topics import StoreCalls
from notifyx_operator.kube.cluster import TOPICS, Cluster
from notifyx_operator.topics.demand import Demands
from notifyx_operator.topics.events import ResourceEvent, condition_events
from notifyx_operator.topics.latest_passes import LatestPasses
from notifyx_operator.topics.status import (
    ReconcileOutcome,
    changes,
    named_users,
    status_fields,
    with_topic_status,
    with_unknown,
)

log = get_logger(__name__)

KIND = "NotifyxTopic"

STATUS_BATCH = 100
"""Number of topics whose numbers are read in one request."""


class StatusWriter:
    """Reads what a status shows besides the outcome of a pass, and writes it.

    ``unknown_users`` returns which of some users do not exist, if that is known. ``latest`` knows the last pass over
    each resource: an earlier one writes nothing any more.
    """

    def __init__(
        self,
        store: StoreCalls,
        cluster: Cluster,
        *,
        clock: Clock,
        unknown_users: Callable[[Iterable[str]], Awaitable[Collection[str] | None]],
        demands: Demands,
        latest: LatestPasses,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._clock = clock
        self._unknown_users = unknown_users
        self._demands = demands
        self._latest = latest
        self.live: Mapping[str, int] | None = None
        """Live connections by topic, if they are known."""

    async def write(
        self,
        number: int,
        outcomes: Sequence[ReconcileOutcome],
        events: Iterable[ResourceEvent],
        limiter: asyncio.Semaphore,
    ) -> None:
        """Read the topics' numbers, write each changed status of pass ``number``, and post the Events."""
        events = list(events)
        named = [user for outcome in outcomes for user in named_users(outcome)]
        unknown = await self._unknown_users(named) if named else ()
        for start in range(0, len(outcomes), STATUS_BATCH):
            batch = outcomes[start : start + STATUS_BATCH]
            statuses = await self._read_statuses([outcome.claim.name for outcome in batch if outcome.state == "InSync"])
            measured = [
                self._demands.explain(with_unknown(with_topic_status(outcome, statuses, self.live), unknown))
                for outcome in batch
            ]
            events += [event for outcome in measured for event in condition_events(outcome)]
            await asyncio.gather(*(self._write_one(number, outcome, limiter) for outcome in measured))
        await self.post(events, limiter)

    async def _write_one(self, number: int, outcome: ReconcileOutcome, limiter: asyncio.Semaphore) -> None:
        claim = outcome.claim
        async with limiter:
            # A later pass has newer state.
            if not self._latest.is_latest(number, claim.uid):
                return
            differing = changes(claim.status, status_fields(outcome, self._clock.now()))
            if not differing:
                return
            try:
                await self._cluster.patch_status(TOPICS, claim.namespace, claim.name, differing)
            except NotifyxError as error:
                log.warning("status_write_failed", resource=claim.reference, reason=error.reason)

    async def _read_statuses(self, names: Sequence[str]) -> dict[str, TopicStatus]:
        """Read the numbers of these topics, by name; return nothing if the store fails, until the next pass."""
        if not names:
            return {}
        request = TopicStatusQuery(topics=list(names))
        try:
            found = await self._store.send(TOPIC_STATUSES, request, principal=system_principal("operator"))
        except NotifyxError as error:
            log.info("topic_status_read_failed", reason=error.reason)
            return {}
        return {one.name: one for one in found.items}

    async def post(self, events: Iterable[ResourceEvent], limiter: asyncio.Semaphore) -> None:
        """Post these Events."""
        await asyncio.gather(*(self._post_event(event, limiter) for event in events))

    async def _post_event(self, event: ResourceEvent, limiter: asyncio.Semaphore) -> None:
        claim = event.claim
        log.info("resource_event", resource=claim.reference, reason=event.reason, message=event.message)
        regarding = {"namespace": claim.namespace, "name": claim.name, "uid": claim.uid}
        async with limiter:
            try:
                await self._cluster.post_event(
                    KIND, regarding, warning=event.warning, reason=event.reason, message=event.message
                )
            except NotifyxError as error:
                log.warning("event_post_failed", resource=claim.reference, reason=error.reason)
