"""The statements that write a publish batch, and their values.

The one writes what was decided while the topics' rows were locked. The other locks them itself: what was decided from
known topics (``known_topics``) is written only if their last seqs and rights are what they were known to be, and
neither the batch nor one of its keys was used. It reads one snapshot. What is committed after that and before the locks
has moved a last seq, so it is seen; or it is the same batch over other topics, which violates the key of
``publish_batches``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from notifyx_store.base import wakeups
from notifyx_store.log.publish_plan import PublishPlan
from notifyx_store.topics.rows import STATE

_KEYS = "unnest($9::text[], $10::uuid[], $11::text[], $12::bytea[], $13::bigint[], $14::text[])"

# Of LIMIT PostgreSQL expects a tenth of the ten elements that it takes an array for: so it keeps the plan, instead of
# planning each small batch anew.
_HEADS = "(SELECT * FROM unnest($1::uuid[], $2::bigint[]) LIMIT cardinality($1::uuid[])) AS heads(id, last_seq)"


def _write(condition: str) -> str:
    return f"""
moved AS (
    UPDATE topics SET last_seq = heads.last_seq FROM {_HEADS} WHERE topics.id = heads.id AND {condition}
), logged AS (
    INSERT INTO notifications (topic_id, seq, payload, publisher_id, published_at, expires_at)
    SELECT topic_id, seq, payload, publisher_id, $8, expires_at
    FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[])
        AS rows(topic_id, seq, payload, publisher_id, expires_at) WHERE {condition}
), keyed AS (
    INSERT INTO idempotency (publisher, topic_id, key, body_hash, seq, result, created_at)
    SELECT publisher, topic_id, key, body_hash, seq, result, $8
    FROM {_KEYS} AS keys(publisher, topic_id, key, body_hash, seq, result) WHERE {condition}
), recorded AS (
    INSERT INTO publish_batches (batch_id, results, created_at) SELECT $15, $16, $8 WHERE {condition}
)
"""  # noqa: S608 - constants of the code


WRITE = f"WITH {_write('true')} {wakeups.notify('$17')}"
"""Writes a plan; the rows of its topics are locked."""

WRITE_AT_ONCE = f"""
WITH locked AS MATERIALIZED (
    SELECT topics.id
    FROM (SELECT * FROM unnest($1::uuid[], $18::bigint[], $19::text[]) LIMIT cardinality($1::uuid[]))
        AS known(id, last_seq, state)
    JOIN topics ON topics.id = known.id AND topics.last_seq = known.last_seq AND {STATE} = known.state
    ORDER BY topics.id FOR NO KEY UPDATE OF topics
), unchanged AS MATERIALIZED (
    SELECT (SELECT count(*) FROM locked) = cardinality($1::uuid[])
        AND NOT EXISTS (SELECT FROM publish_batches WHERE batch_id = $15)
        AND NOT EXISTS (
            SELECT FROM (SELECT * FROM unnest($9::text[], $10::uuid[], $11::text[]) LIMIT cardinality($9::text[]))
                AS wanted(publisher, topic_id, key)
            JOIN idempotency USING (publisher, topic_id, key)
        ) AS holds
), {_write("(SELECT holds FROM unchanged)")}
SELECT holds, (SELECT count(pg_notify('{wakeups.CHANNEL}', payload)) FROM unnest($17::text[]) AS wakeups(payload)
               WHERE holds)
FROM unchanged
"""  # noqa: S608 - constants of the code
"""Writes a plan, with the last seqs and states of its topics as they are known; returns whether it was written."""


def rows_of(plan: PublishPlan, batch_id: str, results: str, now: datetime, payloads: list[str]) -> list[Any]:
    """Return the values of :data:`WRITE`, which are the first ones of :data:`WRITE_AT_ONCE`.

    ``payloads`` are the wake-ups that the statement sends.
    """
    keys = plan.keys
    return [
        [run.topic.id for run in plan.runs],
        [run.last for run in plan.runs],
        plan.topic_ids,
        plan.seqs,
        plan.payloads,
        plan.publishers,
        plan.expiries,
        now,
        [key[0] for key, _, _, _ in keys],
        [key[1] for key, _, _, _ in keys],
        [key[2] for key, _, _, _ in keys],
        [digest for _, digest, _, _ in keys],
        [seq for _, _, seq, _ in keys],
        [result for _, _, _, result in keys],
        batch_id,
        results,
        payloads,
    ]
