"""SQL that decides what becomes of an email right now: it may be sent, is held, or is no longer wanted."""

from __future__ import annotations

from notifyx_store.mail.outbox_rules import TOO_OLD, UNVERIFIED

LIVE = """
    n.topic_id = o.topic_id AND n.seq BETWEEN o.from_seq AND o.to_seq AND n.seq > s.acked_up_to
    AND (n.expires_at IS NULL OR n.expires_at > $1)
    AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = n.seq)
"""
"""The notifications ``n`` of an email ``o`` that are still wanted: existing, not expired, not acknowledged."""

# OFFSET: one evaluation for each mail, however often the verdict is named.
VERDICTS = f"""
    SELECT o.id, verdict.reason, greatest(k.next_try_at, o.recheck_at) AS next_try_at,
           verdict.reason IN ('address_refused', 'address_paused', '{UNVERIFIED}') AS held,
           CASE WHEN verdict.reason IS NULL THEN 'leased'
                WHEN verdict.reason IN ('address_refused', '{TOO_OLD}') THEN 'dead'
                WHEN verdict.reason IN ('address_paused', '{UNVERIFIED}') THEN 'pending' ELSE 'fenced' END AS state
    FROM ranked o
    JOIN subscriptions s ON s.id = o.subscription_id
    JOIN topics t ON t.id = o.topic_id
    LEFT JOIN email_blocks b ON b.user_id = o.user_id
    LEFT JOIN email_strikes k ON k.user_id = o.user_id
    CROSS JOIN LATERAL (SELECT CASE
        WHEN t.kind = 'deleted' THEN 'topic_deleted'
        WHEN s.ended_at IS NOT NULL OR s.email_mode = 'never' THEN 'unsubscribed'
        WHEN NOT EXISTS (SELECT 1 FROM notifications n WHERE {LIVE}) THEN
            CASE WHEN o.to_seq <= s.acked_up_to
                   OR EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = s.id AND e.seq = o.to_seq)
                 THEN 'acknowledged' ELSE 'expired' END
        WHEN b.user_id IS NOT NULL THEN 'address_refused'
        WHEN k.next_try_at > coalesce(o.leased_until, $1) OR (k.user_id IS NOT NULL AND o.place > 1)
            THEN 'address_paused'
        WHEN o.recheck_at IS NOT NULL AND o.unverified_since <= $1 - o.unverified_age THEN '{TOO_OLD}'
        WHEN o.recheck_at > $1 OR (o.recheck_at IS NOT NULL AND o.place > 1) THEN '{UNVERIFIED}'
        END AS reason OFFSET 0) AS verdict
"""  # noqa: S608 - put together from constants
"""The verdict on each email of ``ranked``, at the time ``$1``.

``place``: its turn among the emails to its user. ``recheck_at``: when an address that is not verified is tried again.
"""

PRIORITY = """substring(n.payload FROM '.*"priority":"([a-z]+)"')"""
"""The priority of the notification ``n``.

Nothing after it in the JSON can look like it. PostgreSQL's own functions fail for a JSON text that has a NUL.
"""

UNVERIFIED_OF_PICKED = """
    SELECT user_id, next_try_at FROM email_unverified
    WHERE user_id IN (SELECT user_id FROM picked) ORDER BY user_id FOR UPDATE
"""
"""Users whose address is not verified, locked: the release of their emails finds those that are held, or is seen."""

STRUCK_OF_CHANGED = """
    SELECT user_id FROM email_strikes
    WHERE user_id IN (SELECT user_id FROM changed WHERE mailed) ORDER BY user_id FOR UPDATE
"""
"""Users with a strike whose email is leased, locked in the order in which every transaction does."""
