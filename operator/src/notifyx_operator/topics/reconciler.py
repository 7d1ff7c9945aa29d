"""Reconciles topics with their resources: one pass observes, plans, applies and reports.

Level-triggered: a pass starts from the current state of the store and the API server and uses nothing of earlier ones,
so that a restart at any instant is safe. Passes run one at a time. Requests that arrive while one runs share the next:
a thousand resources applied at once cost a few lists, not a thousand.

The store is read before the resources are listed: if a topic's owner is then in no list, it is really gone.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import get_args

from notifyx_common.background import every
from notifyx_common.backoff import AROUND, Backoff
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.topics import READ_TOPIC, Topic
from notifyx_common.errors import NotFound, NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import system_principal
from notifyx_common.topics import AppliedAction, StoreCalls, apply, observe
from notifyx_operator.kube.cluster import TOPICS, Cluster
from notifyx_operator.settings import OperatorSettings
from notifyx_operator.topics.admission import rejections
from notifyx_operator.topics.claims import Claim, read_claim
from notifyx_operator.topics.deletion import DeletionTimeouts, RetryLater, after_failure
from notifyx_operator.topics.demand import Demands
from notifyx_operator.topics.events import ResourceEvent, events_of_pass
from notifyx_operator.topics.latest_passes import LatestPasses
from notifyx_operator.topics.origins import read_origins
from notifyx_operator.topics.outcomes import deletion_blockers, outcomes_of
from notifyx_operator.topics.status import (
    ReconcileOutcome,
    State,
)
from notifyx_operator.topics.status_writer import StatusWriter
from notifyx_topics.consent import Consent, NameRules
from notifyx_topics.plan import Rejection, plan_topics
from notifyx_topics.resource import Resource

log = get_logger(__name__)

MAX_SINGLE_READS = 8
"""Maximum number of topics that a pass reads one by one; for more, the whole list is cheaper."""

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class PassReport:
    """The result of a pass: by UID, the outcome of each resource and what blocks each deletion."""

    number: int
    outcomes: dict[str, ReconcileOutcome] = field(default_factory=dict)
    blockers: dict[str, NotifyxError | None] = field(default_factory=dict)
    leaving: dict[str, Claim] = field(default_factory=dict)
    events: tuple[ResourceEvent, ...] = ()
    waiting: tuple[Claim, ...] = ()


class Reconciler:
    """Reconciles the NotifyxTopics.

    ``endpoints`` returns the current number of store endpoints, ``connections`` the live connections by topic, and
    ``unknown_users`` which of some users do not exist, each if it is known. The declared demand is recorded in
    ``demands``. ``own`` are topics of the platform itself. Resources are left alone while ``manages`` returns false:
    another operator has them.
    """

    def __init__(
        self,
        store: StoreCalls,
        cluster: Cluster,
        *,
        settings: OperatorSettings,
        clock: Clock,
        metrics: Metrics,
        endpoints: Callable[[], int],
        connections: Callable[[], Awaitable[Mapping[str, int] | None]],
        unknown_users: Callable[[Iterable[str]], Awaitable[Collection[str] | None]],
        demands: Demands,
        own: Sequence[Resource] = (),
        manages: Callable[[], bool] = lambda: True,
    ) -> None:
        self._manages = manages
        self._store = store
        self._own = tuple(own)
        self._rules, self._quotas = NameRules(settings.topic_names), settings.quotas
        self._connections = connections
        self._demands = demands
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._endpoints = endpoints
        self._one_at_a_time = asyncio.Lock()
        # Two limiters: a topic that was just changed does not wait behind all topics of a resync.
        self._urgent = asyncio.Semaphore(settings.status_parallel)
        self._routine = asyncio.Semaphore(settings.status_parallel)
        self._requested: dict[str, asyncio.Future[PassReport]] = {}
        self._passes = 0
        self._latest = LatestPasses()
        self._writer = StatusWriter(
            store, cluster, clock=clock, unknown_users=unknown_users, demands=demands, latest=self._latest
        )
        self._results = metrics.counter("notifyx_reconciles_total")
        self._seconds = metrics.histogram("notifyx_reconcile_seconds")
        self._states = metrics.gauge("notifyx_topic_resources")
        self._declared = metrics.gauge("notifyx_declared_demand")

    async def sync(self, topic: str, uid: str) -> ReconcileOutcome | None:
        """Reconcile all resources that claim ``topic``; return the outcome of the one with this UID, if it is listed.

        Its status has been written. Raises :class:`NotifyxError` if the cluster does not answer.
        """
        return (await self._join_pass(topic)).outcomes.get(uid)

    async def finish_deletion(self, topic: str, uid: str, *, waited: float) -> RetryLater | None:
        """Settle the topic of a resource whose deletion began ``waited`` seconds ago; ``None``: it may be released.

        Raises :class:`NotifyxError` if the cluster does not answer.
        """
        return await self._settled(await self._join_pass(topic), uid, waited)

    async def _settled(self, report: PassReport, uid: str, waited: float) -> RetryLater | None:
        """Return when to try again to settle the topic of a deleted resource; ``None`` if nothing blocks it by now."""
        error = report.blockers.get(uid)
        if error is None:
            return None
        claim = report.leaving[uid]
        timeouts = DeletionTimeouts(unresponsive=self._settings.store_give_up, absent=self._settings.store_gone)
        verdict = after_failure(
            claim.name, problem=error.reason, waited=waited, endpoints=self._endpoints(), timeouts=timeouts
        )
        if isinstance(verdict, RetryLater):
            return verdict
        await self._writer.post([ResourceEvent(claim, "TopicKept", verdict.message, warning=True)], self._urgent)
        return None

    async def resync(self) -> PassReport:
        """Reconcile every topic with its resource."""
        async with self._one_at_a_time:
            report = await self._pass(None)
        self._writer.live = await self._connections()
        await self._writer.write(report.number, list(report.outcomes.values()), report.events, self._routine)
        await self._free_stuck(report)
        self._latest.retain(report.number, report.outcomes)
        counted = Counter(outcome.state for outcome in report.outcomes.values())
        for state in STATES:
            self._states.labels(state).set(counted[state])
        for unit, amount in self._demands.counted.declared.items():
            self._declared.labels(unit, "declared").set(amount)
            self._declared.labels(unit, "counted").set(self._demands.counted.total[unit])
        return report

    async def run(self) -> None:
        """Resync periodically; sooner after a failure and while the store is unavailable."""
        retries = Backoff(2.0, self._settings.resync_seconds, jitter=AROUND)
        failures = 0

        async def step() -> float | None:
            nonlocal failures
            report = await self.resync()
            unavailable = any(outcome.state == "StoreUnavailable" for outcome in report.outcomes.values())
            failures = failures + 1 if unavailable else 0
            return retries.ceiling(failures) if unavailable else None

        await every(self._settings.resync_seconds, step, away=(NotifyxError,), backoff=retries)

    async def _join_pass(self, topic: str) -> PassReport:
        """Return the report of a pass over ``topic`` that starts after this call."""
        if topic not in self._requested:
            self._requested[topic] = asyncio.get_running_loop().create_future()
        joined = self._requested[topic]
        requested: dict[str, asyncio.Future[PassReport]] = {}
        try:
            async with self._one_at_a_time:
                if self._requested.get(topic) is joined:
                    requested, self._requested = self._requested, {}
                    report = await self._pass(frozenset(requested))
            if requested:
                outcomes = list(report.outcomes.values())
                await self._writer.write(report.number, outcomes, report.events, self._urgent)
        except BaseException as error:
            reported = error if isinstance(error, NotifyxError) else Unavailable("The operator was interrupted.")
            for future in requested.values():
                future.set_exception(reported)
                future.exception()  # its caller may have been cancelled
            if not isinstance(error, NotifyxError):
                raise
        else:
            for future in requested.values():
                future.set_result(report)
        return await asyncio.shield(joined)

    async def _pass(self, names: frozenset[str] | None) -> PassReport:
        started = time.perf_counter()
        self._passes += 1
        observed: list[Topic] = []
        failure: NotifyxError | None = None
        try:
            observed = await self._observe(names)
        except NotifyxError as error:
            failure = error
        # A quota of topics counts all of a namespace.
        only = next(iter(names)) if names is not None and len(names) == 1 and not self._quotas.counts_topics else None
        managing = self._manages()
        claims = [read_claim(document) async for document in self._cluster.topics(only)] if managing else []
        rejected = rejections(_desired(claims), self._rules, self._quotas)
        if names is not None:
            claims = [claim for claim in claims if claim.name in names]
        applied: list[AppliedAction] = []
        if failure is None:
            try:
                namespaces = (self._settings.namespaces or None) if managing else ()
                applied = await self._apply_plan(claims, observed, rejected, names, namespaces)
            except NotifyxError as error:
                failure = error
        states = outcomes_of(claims, applied, failure)
        report = PassReport(
            number=self._passes,
            outcomes={outcome.claim.uid: outcome for outcome in states},
            blockers=deletion_blockers(claims, applied, failure),
            leaving={claim.uid: claim for claim in claims if claim.deleting},
            waiting=tuple(claim for claim in claims if claim.waits_for_kopf),
            events=tuple(events_of_pass(claims, applied, states)),
        )
        self._demands.record_pass(states, names)
        self._latest.record(report.number, report.outcomes)
        for outcome in states:
            self._results.labels(outcome.state).inc()
        self._seconds.observe(time.perf_counter() - started)
        return report

    async def _observe(self, names: frozenset[str] | None) -> list[Topic]:
        if names is None or len(names) > MAX_SINGLE_READS:
            topics = await observe(self._store)
            return topics if names is None else [topic for topic in topics if topic.name in names]
        found = []
        for name in sorted(names):
            try:
                found.append(
                    await self._store.send(READ_TOPIC, TopicPath(name), principal=system_principal("operator"))
                )
            except NotFound:
                continue
        return found

    async def _apply_plan(
        self,
        claims: Sequence[Claim],
        observed: Sequence[Topic],
        rejected: Mapping[str, Rejection],
        names: frozenset[str] | None,
        namespaces: Collection[str] | None,
    ) -> list[AppliedAction]:
        """Apply the plan, topic by topic. Once the store does not answer, fail the remaining actions untried."""
        staying = [claim for claim in claims if not claim.deleting]
        desired = _desired(claims)
        released_by = await read_origins(self._store, {resource.name for resource in desired}, observed)
        actions = plan_topics(
            desired,
            observed,
            ended=[claim.resource for claim in claims if claim.resource is not None and claim.deleting],
            # Without the finalizer a resource can vanish at any instant, leaving a topic without an owner.
            held=[claim.reference for claim in staying if claim.resource is None or not claim.has_finalizer],
            namespaces=namespaces,
            rejected=rejected,
            consent=Consent(self._rules, released_by, everyone=self._settings.adoption == "always"),
            own=[resource for resource in self._own if names is None or resource.name in names],
        )
        done: list[AppliedAction] = []
        unavailable: NotifyxError | None = None
        for _, group in groupby(actions, key=lambda action: action.topic):
            if unavailable is not None:
                done += [AppliedAction(action, unavailable) for action in group]
                continue
            results = await apply(self._store, list(group))
            done += results
            unavailable = next((one.error for one in results if one.error is not None and one.error.retryable), None)
        return done

    async def _free_stuck(self, report: PassReport) -> None:
        """Act for the resources that have waited for Kopf for a whole interval.

        After some write conflicts Kopf acts on the next watch event only: a trigger makes one. The finalizer of a
        deleted resource is removed here, because Kopf's writes fail where all annotations together are too large.
        """
        interval = self._settings.resync_seconds
        for claim in report.waiting:
            waited = (self._clock.now() - claim.since).total_seconds() if claim.since is not None else 0.0
            if waited <= interval:
                continue
            try:
                if not claim.deleting:
                    await self._cluster.trigger(TOPICS, claim.namespace, claim.name)
                elif await self._settled(report, claim.uid, waited) is None:
                    await self._cluster.set_finalizers(
                        claim.namespace, claim.name, claim.other_finalizers, claim.version
                    )
            except NotifyxError as error:
                log.warning("stuck_resource_not_freed", resource=claim.reference, reason=error.reason)


def _desired(claims: Iterable[Claim]) -> list[Resource]:
    """Return the valid resources that stay, as far as they have the finalizer."""
    return [
        claim.resource for claim in claims if claim.resource is not None and claim.has_finalizer and not claim.deleting
    ]
