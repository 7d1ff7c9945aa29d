"""What the store does once after its database was restored from a backup, in the transaction of the restore.

After the backup, seqs were given out that the restored log does not know. Clients have seen them, and may have stored
and acknowledged them. None of them may come to mean another notification. So every topic goes on after a seq that is
above all that were ever given out, and a row of ``log_gaps`` records what was passed over. A client that resumes from
before the end of a gap is told (``restored`` in the answer to its join).

The number is the time of the restore in units of a hundred-thousandth of a second. It is above every seq that was given
out, also after an earlier restore, as long as no topic takes 100,000 notifications a second all the time.
"""

from __future__ import annotations

from datetime import datetime

import asyncpg

from notifyx_store.search.index import index_rest

SEQS_PER_SECOND = 100_000
"""Seqs that a restore reserves for each second since 1970."""

FIRST_ID_FACTOR = 1_000
"""The same for generated ids of rows."""

_RECORD = "INSERT INTO restores (restored_at, taken_at, passed_seq) VALUES ($1, $2, $3)"

# One is above the time only where a clock was wrong.
_PASSED_SEQ = """
SELECT CASE WHEN max(last_seq) >= $1::bigint THEN max(last_seq) + 1000000000 ELSE $1 END FROM topics
"""

_TO_INDEX = "SELECT id FROM topics WHERE kind <> 'deleted' AND last_seq > 0 ORDER BY id"

_GAPS = """
INSERT INTO log_gaps (topic_id, first_seq, last_seq, restored_at)
SELECT id, last_seq + 1, $1, $2 FROM topics WHERE kind <> 'deleted'
"""

# Two rows for millions of blocks: of the one in which the gap begins, whose notifications are counted, and of the one
# in which it ends. No position is ever between (see readers/joins.py).
_BLOCKS = """
INSERT INTO removed_blocks AS known (topic_id, block, removed)
SELECT id, block, removed FROM topics CROSS JOIN LATERAL (VALUES
    ((last_seq + 1) >> 10, ((((last_seq + 1) >> 10) + 1) << 10) - last_seq - 1),
    ($1::bigint >> 10, $1::bigint - ((((last_seq + 1) >> 10) + 1) << 10) + 1)) AS part(block, removed)
WHERE kind <> 'deleted' AND removed > 0
ON CONFLICT (topic_id, block) DO UPDATE SET removed = known.removed + excluded.removed
"""

# Who had acknowledged everything still has. A device that was online knows a newer position than the restored one: a
# greater revision replaces it.
_SUBSCRIPTIONS = """
UPDATE subscriptions s
SET expired_total = s.expired_total + $1 - t.last_seq, expired_told = s.expired_told + $1 - t.last_seq,
    acked_up_to = CASE WHEN s.acked_up_to >= t.last_seq THEN $1 ELSE s.acked_up_to END,
    ack_revision = greatest(s.ack_revision + 1, $2)
FROM topics t WHERE t.id = s.topic_id AND s.ended_at IS NULL AND t.kind <> 'deleted'
"""

_TOPICS = """
UPDATE topics SET removed_total = removed_total + $1 - last_seq,
                  email_seq = CASE WHEN email_seq >= last_seq THEN $1 ELSE email_seq END, last_seq = $1
WHERE kind <> 'deleted'
"""

# The index of search goes on behind the gap.
_MOVE_INDEX = """
INSERT INTO search_ranges (topic_id, first_seq, last_seq, oldest_at, newest_at, bytes, words)
SELECT id, $1, $1, 'epoch', 'epoch', 0, NULL FROM topics WHERE kind <> 'deleted'
"""


async def begin_after_restore(connection: asyncpg.Connection, now: datetime, taken_at: datetime) -> int:
    """Let every topic go on after a seq that was never given out; return that seq.

    ``now`` is the time of the restore, ``taken_at`` that of the backup. Call it within the transaction of the restore.
    """
    seconds = int(now.timestamp())
    for topic in [row["id"] for row in await connection.fetch(_TO_INDEX)]:
        await index_rest(connection, topic)
    passed: int = await connection.fetchval(_PASSED_SEQ, seconds * SEQS_PER_SECOND)
    await connection.execute(_GAPS, passed, now)
    await connection.execute(_BLOCKS, passed)
    await connection.execute(_SUBSCRIPTIONS, passed, seconds)
    await connection.execute(_TOPICS, passed)
    await connection.execute(_MOVE_INDEX, passed)
    await connection.execute(_RECORD, now, taken_at, passed)
    return passed
