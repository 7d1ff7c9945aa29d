"""SQL of the gaps that restores leave in the log: ranges of seqs that belong to no notification (``log_gaps``).

The log counts them as removed, so that what is unread follows from the same totals as ever (``log/unread.py``). Only
what measures a distance in seqs has to leave them out.
"""

from __future__ import annotations

COUNT_FLOOR = """
t.last_seq - t.retention_max_count - CASE WHEN EXISTS (SELECT 1 FROM log_gaps WHERE topic_id = t.id) THEN coalesce((
    SELECT sum(gap.size)::bigint FROM (
        SELECT g.last_seq, g.last_seq - g.first_seq + 1 AS size,
               coalesce(sum(g.last_seq - g.first_seq + 1) OVER (
                   ORDER BY g.last_seq DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer
        FROM log_gaps g WHERE g.topic_id = t.id
    ) AS gap WHERE t.last_seq - t.retention_max_count - gap.newer <= gap.last_seq), 0) ELSE 0 END
"""
"""The newest seq of topic ``t`` that is beyond its maximum number of notifications.

Most topics have no gaps, and of all topics the floor is computed in each pass of retention: gaps are only added up
where there are any.
"""


def after_gap(topic: str, seq: str) -> str:
    """Return the SQL of ``seq``, or of the end of the gap of ``topic`` that it is in (both are expressions)."""
    return f"""
coalesce((SELECT g.last_seq FROM log_gaps g
          WHERE g.topic_id = {topic} AND {seq} BETWEEN g.first_seq AND g.last_seq), {seq})
"""  # noqa: S608 - put together from constants of the code


def in_gaps(topic: str, first: str, last: str) -> str:
    """Return the SQL of how many seqs the gaps of ``topic`` between ``first`` and ``last`` have (expressions)."""
    return f"""
coalesce((SELECT sum(g.last_seq - g.first_seq + 1)::bigint FROM log_gaps g
          WHERE g.topic_id = {topic} AND g.first_seq >= {first} AND g.last_seq <= {last}), 0)
"""  # noqa: S608 - put together from constants of the code
