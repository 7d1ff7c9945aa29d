"""Brings topics in line with their resources: one pass observes, plans, applies and says how it went.

Level-triggered: a pass starts from what the store and the API server hold now, and remembers nothing of earlier ones,
so that a restart at any instant is safe. Passes run one at a time. Requests that come while one runs share the next:
a thousand resources applied at once cost a few lists, not a thousand.

The store is read before the resources are listed: a topic whose owner is in no list then really has lost it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby

from notifyx_common.background import every
from notifyx_common.backoff import AROUND, Backoff
from notifyx_common.clock import Clock
from notifyx_common.contracts.store.names import TopicPath
from notifyx_common.contracts.store.topics import READ_TOPIC, TOPIC_STATUSES, Topic, TopicStatus, TopicStatusQuery
from notifyx_common.errors import NotFound, NotifyxError, Unavailable
from notifyx_common.logs import get_logger
from notifyx_common.metrics import Metrics
from notifyx_common.principal import system_principal
from notifyx_common.topics import AppliedAction, StoreCalls, apply, observe
from notifyx_operator.kube.cluster import TOPICS, Cluster
from notifyx_operator.settings import OperatorSettings
from notifyx_operator.topics.claims import Claim, read_claim
from notifyx_operator.topics.deletion import Patience, Wait, after_failure
from notifyx_operator.topics.demand import Demands
from notifyx_operator.topics.happenings import Happening, happenings
from notifyx_operator.topics.outcomes import endings, settle
from notifyx_operator.topics.status import Outcome, State, changes, topic_status, with_numbers
from notifyx_topics.plan import plan

log = get_logger(__name__)

KIND = "NotifyxTopic"
FEW = 8
"""Up to so many topics are read one by one; for more the whole list is cheaper."""

MANY = 100
"""The numbers of so many topics are read at once."""

STATES: tuple[State, ...] = ("InSync", "Invalid", "Conflict", "Refused", "StoreUnavailable")


@dataclass(frozen=True, slots=True)
class Report:
    """How a pass went: where each resource stands, and for each that is being deleted what kept it, by UID."""

    number: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    endings: dict[str, NotifyxError | None] = field(default_factory=dict)
    leaving: dict[str, Claim] = field(default_factory=dict)
    happened: tuple[Happening, ...] = ()
    waiting: tuple[Claim, ...] = ()


class Reconciler:
    """The operator's work on topics.

    ``endpoints`` tells how many store nodes are known now, and ``connections`` how many listen to each topic, if that
    is known. ``demands`` is told what the topics declare.
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
        demands: Demands,
    ) -> None:
        self._store = store
        self._connections = connections
        self._live: Mapping[str, int] | None = None
        self._demands = demands
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._endpoints = endpoints
        self._one_at_a_time = asyncio.Lock()
        # Two lanes: a topic that somebody has just changed does not wait behind all those of a resync.
        self._urgent = asyncio.Semaphore(settings.status_parallel)
        self._routine = asyncio.Semaphore(settings.status_parallel)
        self._asked: dict[str, asyncio.Future[Report]] = {}
        self._passes = 0
        self._latest: dict[str, int] = {}
        self._results = metrics.counter("notifyx_reconciles_total")
        self._seconds = metrics.histogram("notifyx_reconcile_seconds")
        self._states = metrics.gauge("notifyx_topic_resources")

    async def sync(self, topic: str, uid: str) -> Outcome | None:
        """Reconcile everything that claims ``topic``; where the resource of that UID stands, if it still does.

        Its status has been written. Raises :class:`NotifyxError` when the cluster does not answer.
        """
        return (await self._ask(topic)).outcomes.get(uid)

    async def end(self, topic: str, uid: str, *, waited: float) -> Wait | None:
        """Settle the topic of a resource that is being deleted since ``waited`` seconds; ``None`` when it may go.

        Raises :class:`NotifyxError` when the cluster does not answer.
        """
        report = await self._ask(topic)
        error = report.endings.get(uid)
        if error is None:
            return None
        patience = Patience(silent=self._settings.store_give_up, gone=self._settings.store_gone)
        verdict = after_failure(
            topic, problem=error.reason, waited=waited, endpoints=self._endpoints(), patience=patience
        )
        if isinstance(verdict, Wait):
            return verdict
        await self._tell([Happening(report.leaving[uid], "TopicKept", verdict.sentence, warning=True)], self._urgent)
        return None

    async def resync(self) -> Report:
        """Compare every topic with its resource and repair what differs."""
        async with self._one_at_a_time:
            report = await self._pass(None)
        self._live = await self._connections()
        await self._write(report, self._routine)
        await self._nudge(report.waiting)
        self._latest = {uid: number for uid, number in self._latest.items() if uid in report.outcomes}
        counted = Counter(outcome.state for outcome in report.outcomes.values())
        for state in STATES:
            self._states.labels(state).set(counted[state])
        return report

    async def run(self) -> None:
        """Resync for ever, soon again while something keeps it from going well."""
        retries = Backoff(2.0, self._settings.resync_seconds, jitter=AROUND)
        troubled = 0

        async def step() -> float | None:
            nonlocal troubled
            report = await self.resync()
            waiting = any(outcome.state == "StoreUnavailable" for outcome in report.outcomes.values())
            troubled = troubled + 1 if waiting else 0
            return retries.ceiling(troubled) if waiting else None

        await every(self._settings.resync_seconds, step, away=(NotifyxError,), backoff=retries)

    async def _ask(self, topic: str) -> Report:
        """The report of a pass over ``topic`` that starts after this call."""
        if topic not in self._asked:
            self._asked[topic] = asyncio.get_running_loop().create_future()
        wanted = self._asked[topic]
        asked: dict[str, asyncio.Future[Report]] = {}
        try:
            async with self._one_at_a_time:
                if self._asked.get(topic) is wanted:
                    asked, self._asked = self._asked, {}
                    report = await self._pass(frozenset(asked))
            if asked:
                await self._write(report, self._urgent)
        except BaseException as error:
            told = error if isinstance(error, NotifyxError) else Unavailable("The operator was interrupted.")
            for future in asked.values():
                future.set_exception(told)
                future.exception()  # whoever asked may be gone
            if not isinstance(error, NotifyxError):
                raise
        else:
            for future in asked.values():
                future.set_result(report)
        return await asyncio.shield(wanted)

    async def _pass(self, names: frozenset[str] | None) -> Report:
        started = time.perf_counter()
        self._passes += 1
        observed: list[Topic] = []
        failure: NotifyxError | None = None
        try:
            observed = await self._observe(names)
        except NotifyxError as error:
            failure = error
        only = next(iter(names)) if names is not None and len(names) == 1 else None
        claims = [read_claim(document) for document in await self._cluster.topics(only)]
        if names is not None:
            claims = [claim for claim in claims if claim.name in names]
        applied = [] if failure is not None else await self._carry_out(claims, observed)
        states = settle(claims, applied, failure)
        report = Report(
            number=self._passes,
            outcomes={outcome.claim.uid: outcome for outcome in states},
            endings=endings(claims, applied, failure),
            leaving={claim.uid: claim for claim in claims if claim.deleting},
            waiting=tuple(claim for claim in claims if claim.waits_for_kopf),
            happened=tuple(happenings(claims, applied, states)),
        )
        self._demands.note(states, names)
        self._latest |= dict.fromkeys(report.outcomes, report.number)
        for outcome in states:
            self._results.labels(outcome.state).inc()
        self._seconds.observe(time.perf_counter() - started)
        return report

    async def _observe(self, names: frozenset[str] | None) -> list[Topic]:
        if names is None or len(names) > FEW:
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

    async def _carry_out(self, claims: Sequence[Claim], observed: Iterable[Topic]) -> list[AppliedAction]:
        """Apply the plan, topic by topic; once the store does not answer, the rest is not tried."""
        staying = [claim for claim in claims if not claim.deleting]
        actions = plan(
            [claim.resource for claim in staying if claim.resource is not None and claim.guarded],
            observed,
            ended=[claim.resource for claim in claims if claim.resource is not None and claim.deleting],
            # What could go at any instant gets no topic yet: nobody would be left to say what becomes of it.
            held=[claim.reference for claim in staying if claim.resource is None or not claim.guarded],
            namespaces=self._settings.namespaces or None,
        )
        done: list[AppliedAction] = []
        silent: NotifyxError | None = None
        for _, group in groupby(actions, key=lambda action: action.topic):
            if silent is not None:
                done += [AppliedAction(action, silent) for action in group]
                continue
            carried = await apply(self._store, list(group))
            done += carried
            silent = next((one.error for one in carried if one.error is not None and one.error.retryable), None)
        return done

    async def _write(self, report: Report, lane: asyncio.Semaphore) -> None:
        """Read the topics' numbers, write each status that changed, and post the Events."""
        outcomes = list(report.outcomes.values())
        for start in range(0, len(outcomes), MANY):
            some = outcomes[start : start + MANY]
            books = await self._books([outcome.claim.name for outcome in some if outcome.state == "InSync"])
            numbered = [with_numbers(outcome, books, self._live) for outcome in some]
            await asyncio.gather(*(self._write_one(report.number, outcome, lane) for outcome in numbered))
        await self._tell(report.happened, lane)

    async def _write_one(self, number: int, outcome: Outcome, lane: asyncio.Semaphore) -> None:
        claim = outcome.claim
        async with lane:
            # A later pass has seen more than this one.
            if self._latest.get(claim.uid) != number:
                return
            differing = changes(claim.status, topic_status(outcome, self._clock.now()))
            if not differing:
                return
            try:
                await self._cluster.patch_status(TOPICS, claim.namespace, claim.name, differing)
            except NotifyxError as error:
                log.warning("a status was not written", resource=claim.reference, reason=error.reason)

    async def _nudge(self, waiting: Iterable[Claim]) -> None:
        """Touch what has waited for Kopf a whole round: after some conflicts it acts on the next event only."""
        patience = timedelta(seconds=self._settings.resync_seconds)
        for claim in waiting:
            if claim.since is not None and self._clock.now() - claim.since > patience:
                await self._cluster.nudge(TOPICS, claim.namespace, claim.name)

    async def _books(self, names: Sequence[str]) -> dict[str, TopicStatus]:
        """The numbers of these topics, by name, of those that can be read now."""
        if not names:
            return {}
        wish = TopicStatusQuery(topics=list(names))
        try:
            found = await self._store.send(TOPIC_STATUSES, wish, principal=system_principal("operator"))
        except NotifyxError as error:
            log.info("the topics' numbers were not read", reason=error.reason)
            return {}
        return {one.name: one for one in found.items}

    async def _tell(self, happened: Iterable[Happening], lane: asyncio.Semaphore) -> None:
        await asyncio.gather(*(self._tell_one(one, lane) for one in happened))

    async def _tell_one(self, one: Happening, lane: asyncio.Semaphore) -> None:
        claim = one.claim
        log.info("happened", resource=claim.reference, reason=one.reason, message=one.message)
        regarding = {"namespace": claim.namespace, "name": claim.name, "uid": claim.uid}
        async with lane:
            try:
                await self._cluster.event(KIND, regarding, warning=one.warning, reason=one.reason, message=one.message)
            except NotifyxError as error:
                log.warning("an Event was not posted", resource=claim.reference, reason=error.reason)
