"""The ledger, the status of topics that is read from it, and the incidents that gateways observe."""

from __future__ import annotations

from quart import Blueprint

from notifyx_common.contracts.store.incidents import MERGE_INCIDENTS, Incidents, ObservedIncidents
from notifyx_common.contracts.store.ledger import LEDGER, Ledger
from notifyx_common.contracts.store.topics import TOPIC_STATUSES, TopicStatus, TopicStatuses, TopicStatusQuery
from notifyx_common.errors import Forbidden
from notifyx_common.principal import Principal
from notifyx_common.serving.handlers import handle
from notifyx_common.serving.web import caller
from notifyx_store.base.context import StoreContext
from notifyx_store.maintenance.incidents import merge_incidents
from notifyx_store.maintenance.ledger import TopicLedger, read_ledger, topic_ledgers
from notifyx_store.topics.permissions import TopicRow
from notifyx_store.topics.rows import read_topics


def ledger_routes(context: StoreContext) -> Blueprint:
    """Return the routes of the ledger, of topic statuses and of incidents, for admins and the platform."""
    blueprint = Blueprint("ledger", __name__)

    @handle(blueprint, TOPIC_STATUSES)
    async def statuses(query: TopicStatusQuery) -> TopicStatuses:
        _check_auditor(caller())
        async with context.reading_pages(caller().id) as connection:
            topics = (await read_topics(connection, query.topics)).values()
            ledgers = await topic_ledgers(connection, [topic.id for topic in topics])
            released = dict(await connection.fetch(_RELEASED, [topic.id for topic in topics]))
        by_topic = {ledger.topic_id: ledger for ledger in ledgers}
        return TopicStatuses(items=[_status(topic, by_topic.get(topic.id), released.get(topic.id)) for topic in topics])

    @handle(blueprint, LEDGER)
    async def ledger(_: None) -> Ledger:
        _check_auditor(caller())
        async with context.reading_pages(caller().id) as connection:
            return await read_ledger(connection, context.clock.now())

    @handle(blueprint, MERGE_INCIDENTS)
    async def incidents(observed: ObservedIncidents) -> Incidents:
        async with context.pool.acquire() as connection:
            return Incidents(items=await merge_incidents(connection, observed.items, context.clock.now()))

    return blueprint


_RELEASED = "SELECT id, released_by FROM topics WHERE id = ANY($1::uuid[])"


def _check_auditor(principal: Principal) -> None:
    if not principal.is_admin:
        raise Forbidden("Only admins and parts of the platform read the ledger of the whole deployment.")


def _status(topic: TopicRow, ledger: TopicLedger | None, released_by: str | None) -> TopicStatus:
    """Return the topic's status; a topic that never had a subscriber has no ledger."""
    return TopicStatus(
        name=topic.name,
        last_seq=topic.last_seq,
        subscribers=ledger.subscribers if ledger else 0,
        unacknowledged=ledger.row.pending if ledger else 0,
        ledger_balanced=not (ledger and ledger.unbalanced),
        released_by=released_by,
    )
