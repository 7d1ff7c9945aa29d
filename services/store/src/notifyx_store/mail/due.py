"""SQL of the due mails that a lease looks at: the oldest, and where these are a backlog, some of every topic.

Turns between recipients and topics are given among these. A flood whose mails are older than all others would leave no
turn to anybody else if only the oldest were looked at.
"""

from __future__ import annotations

MIN_OLDEST, OLDEST_OF_EACH, MAX_OLDEST = 500, 25, 10_000
"""Number of due mails, the oldest, at which a lease looks: so many for each mail that it may have, within these bounds.
Each costs PostgreSQL some microseconds, and where mail is slow, a lease is a dozen of mails."""

TOPICS = 1_000
"""Maximum number of topics of which it looks at the oldest, too, if there are more due mails than that."""

OF_A_TOPIC = 10
"""Number of due mails of each of them."""

_COLUMNS = "id, user_id, topic_id, to_seq, mode, due_at, created_at"


def _topics(name: str, first: str, following: str) -> str:
    """Return the CTE ``name``: topics with pending mails, each found by one look into an index."""
    return f"""
{name}(id, place) AS (
    (SELECT topic_id, 1 FROM outbox, backlog WHERE hit AND state = 'pending' AND {first} ORDER BY topic_id LIMIT 1)
    UNION ALL
    SELECT (SELECT topic_id FROM outbox WHERE state = 'pending' AND topic_id > {name}.id {following}
            ORDER BY topic_id LIMIT 1), place + 1
    FROM {name} WHERE {name}.id IS NOT NULL AND place < {TOPICS // 2}
)"""  # noqa: S608 - put together from constants


def oldest(limit: int) -> int:
    """Return the number of due mails, the oldest, at which a lease of up to ``limit`` looks."""
    return min(MAX_OLDEST, max(MIN_OLDEST, OLDEST_OF_EACH * limit))


def candidates(now: str, start: str, oldest: str) -> str:
    """Return the CTEs that end with ``candidates``; they need ``WITH RECURSIVE``.

    ``now``, ``start`` and ``oldest`` (see :func:`oldest`) are parameters. Topics are looked at from the id ``start``
    on, and up to it, so that a random one gives each its chance where there are more.
    """
    # BETWEEN and the order by topic are for PostgreSQL's planner: only the index by topic has that order. For equality
    # it may read all due mails by their time, for each topic anew, as it expects to meet ten of the topic soon.
    after = _topics("topics_after", f"topic_id >= {start}::uuid", "")
    before = _topics("topics_before", "true", f"AND topic_id < {start}::uuid")
    return f"""
oldest AS MATERIALIZED (
    SELECT {_COLUMNS} FROM outbox WHERE state = 'pending' AND due_at <= {now} ORDER BY due_at LIMIT {oldest}::int
), backlog AS (
    SELECT count(*) = {oldest}::int AS hit FROM oldest
), {after}, {before},
candidates AS MATERIALIZED (
    SELECT {_COLUMNS} FROM oldest
    UNION
    SELECT of_topic.* FROM (SELECT id FROM topics_after UNION SELECT id FROM topics_before) AS topics
    CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM outbox o
        WHERE o.topic_id BETWEEN topics.id AND topics.id AND o.state = 'pending' AND o.due_at <= {now}
        ORDER BY o.topic_id, o.due_at LIMIT {OF_A_TOPIC}
    ) AS of_topic
)"""  # noqa: S608 - put together from constants
