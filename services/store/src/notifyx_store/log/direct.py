"""Which of a batch's notifications are direct messages: their rows by sender and recipient, for threads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from notifyx_store.base import wakeups
from notifyx_store.log.publish_plan import PublishPlan

WRITE_DIRECT = """
WITH written AS (
    INSERT INTO direct_messages (topic_id, seq, sender, recipient, published_at)
    SELECT topic_id, seq, sender, recipient, $5
    FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS rows(topic_id, seq, sender, recipient)
)
""" + wakeups.notify("$6")  # noqa: S608 - constants of the code
"""Runs in the publish's own transaction, where there are any. The wake-ups are for the senders' other devices."""

NO_SENDER = ""
"""The sender in the rows of what deleted users sent: nothing says that two of them are of one."""

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


def direct_wakeups(rows: Sequence[DirectRow]) -> list[str]:
    """Return the payloads for the senders of ``rows``."""
    return wakeups.direct_messages(sorted({(sender, recipient) for _, _, sender, recipient in rows}))
