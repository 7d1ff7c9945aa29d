"""Which of a batch's notifications are direct messages: their rows by sender and recipient, for threads. Pure."""

from __future__ import annotations

from uuid import UUID

from notifyx_store.log.publish_plan import PublishPlan

WRITE_DIRECT = """
INSERT INTO direct_messages (topic_id, seq, sender, recipient, published_at)
SELECT topic_id, seq, sender, recipient, $5
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS rows(topic_id, seq, sender, recipient)
"""
"""Runs in the publish's own transaction, where there are any."""

DirectRow = tuple[UUID, int, str, str]
"""(topic, seq, sender, recipient)"""


def direct_rows(plan: PublishPlan) -> list[DirectRow]:
    """Return the rows of what ``plan`` adds to inboxes."""
    owners = {run.topic.id: run.topic.owner for run in plan.runs if run.topic.is_inbox}
    if not owners:
        return []
    return [
        (topic, seq, sender, owners[topic])
        for topic, seq, sender in zip(plan.topic_ids, plan.seqs, plan.publishers, strict=True)
        if topic in owners
    ]
