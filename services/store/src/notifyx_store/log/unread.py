"""SQL of what is unread, and of what is missing, at a cost that does not grow with the log.

What is unread follows from totals that change with each acknowledgement and each removal: a subscription's ledger
(see ``maintenance/ledger.py``) says what became of every seq since its first, so what is left is unread. The ledger
itself counts the log, and so checks these numbers. Without a row of their own, all that exists is unread to a user.
"""

from __future__ import annotations

UNREAD = """
CASE WHEN s.id IS NULL THEN t.last_seq - t.removed_total
     ELSE t.last_seq - s.first_seq + 1 - s.acked_total - s.expired_total END
"""
"""What is unread in topic ``t`` to the open subscription ``s``, which may be null."""

EXPIRED = "coalesce(s.expired_total - s.expired_told, 0)"
"""What was removed before the user of subscription ``s`` (which may be null) acknowledged it, and not acknowledged
past since. Retention counts it as it removes, so that it is the ledger's own number."""

UNREAD_IN_LOG = """
SELECT count(*) FROM notifications n
WHERE n.topic_id = t.id AND n.seq > s.acked_up_to AND n.seq >= s.first_seq
  AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = n.seq)
"""
"""The same number, counted in the log: for the ledger's records, when a subscription ends."""

FIRST_SEQ = """
coalesce((SELECT n.seq FROM notifications n WHERE n.topic_id = t.id AND n.seq > t.pruned_seq ORDER BY n.seq LIMIT 1),
         t.last_seq + 1)
"""
"""The oldest seq that exists in topic ``t``; the one after its newest in an empty log."""

BLOCK_BITS = 10
"""``removed_blocks`` counts the removed seqs of each block of ``2 ** BLOCK_BITS``."""


def missing_after(seq: str) -> str:
    """Return the SQL of how many seqs after ``seq`` (an expression, not null) do not exist in topic ``t`` any more.

    Retention removes all up to ``pruned_seq``. Where notifications after it have expired by themselves, whole blocks
    are known and one block is counted.
    """
    block_end = f"least(t.last_seq, ((({seq} >> {BLOCK_BITS}) + 1) << {BLOCK_BITS}) - 1)"
    return f"""
CASE WHEN {seq} >= t.last_seq THEN 0
     WHEN {seq} <= t.pruned_seq THEN t.removed_total - {seq}
     WHEN t.removed_total = t.pruned_seq THEN 0
     ELSE {block_end} - {seq}
          - (SELECT count(*) FROM notifications n
             WHERE n.topic_id = t.id AND n.seq > {seq} AND n.seq <= {block_end})
          + coalesce((SELECT sum(b.removed)::bigint FROM removed_blocks b
                      WHERE b.topic_id = t.id AND b.block > {seq} >> {BLOCK_BITS}), 0) END
"""  # noqa: S608 - put together from constants of the code
