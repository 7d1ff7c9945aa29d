"""How many notifications of a topic are gone, and where, so that nobody has to count the log to know what is unread."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

COUNTS = [
    # The seqs that are gone, by blocks of 1,024 of them. Blocks below pruned_seq mean nothing and are cleaned up.
    """
    CREATE TABLE removed_blocks (
        topic_id uuid NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
        block bigint NOT NULL,
        removed bigint NOT NULL,
        PRIMARY KEY (topic_id, block)
    )
    """,
    # A trigger, and not a part of the retention pass: replicas of the release before delete notifications too.
    """
    CREATE FUNCTION notifyx_count_removed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE topics t SET removed_total = t.removed_total + gone.n
        FROM (SELECT topic_id, count(*) AS n FROM removed GROUP BY topic_id) AS gone WHERE t.id = gone.topic_id;
        INSERT INTO removed_blocks AS known (topic_id, block, removed)
        SELECT r.topic_id, r.seq >> 10, count(*) FROM removed r JOIN topics t ON t.id = r.topic_id
        GROUP BY r.topic_id, r.seq >> 10 ORDER BY 1, 2
        ON CONFLICT (topic_id, block) DO UPDATE SET removed = known.removed + excluded.removed;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER notifications_removed AFTER DELETE ON notifications REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION notifyx_count_removed()
    """,
    """
    UPDATE topics t SET removed_total = t.last_seq - found.n
    FROM (SELECT t.id, (SELECT count(*) FROM notifications n WHERE n.topic_id = t.id) AS n FROM topics t) AS found
    WHERE found.id = t.id AND t.last_seq <> found.n
    """,
    """
    INSERT INTO removed_blocks (topic_id, block, removed)
    SELECT id, block, removed FROM (
        SELECT t.id, block, least(t.last_seq, (block << 10) + 1023) - greatest(t.pruned_seq + 1, block << 10) + 1
               - (SELECT count(*) FROM notifications n WHERE n.topic_id = t.id AND n.seq > t.pruned_seq
                  AND n.seq >= block << 10 AND n.seq < (block + 1) << 10) AS removed
        FROM topics t, generate_series((t.pruned_seq + 1) >> 10, t.last_seq >> 10) AS block
        WHERE t.removed_total > t.pruned_seq
    ) AS counted WHERE removed > 0
    """,
    # Who reads without a subscription began at the oldest notification; what was missing after it counts as expired, and
    # as told.
    """
    UPDATE subscriptions s SET expired_total = s.expired_total + found.n, expired_told = s.expired_told + found.n
    FROM (SELECT r.id, t.last_seq - r.first_seq + 1 - r.acked_total - r.expired_total
                 - (SELECT count(*) FROM notifications n
                    WHERE n.topic_id = t.id AND n.seq > r.acked_up_to AND n.seq >= r.first_seq
                      AND NOT EXISTS (SELECT 1 FROM ack_exceptions e WHERE e.subscription_id = r.id AND e.seq = n.seq)) AS n
          FROM subscriptions r JOIN topics t ON t.id = r.topic_id
          WHERE NOT r.lasting AND r.ended_at IS NULL AND t.removed_total > t.pruned_seq) AS found
    WHERE found.id = s.id AND found.n <> 0
    """,
]


class Migration(migrations.Migration):
    dependencies = [("store", "0005_refused_addresses")]

    operations = [
        ops.AddField(
            model_name="Topic",
            name="removed_total",
            field=fields.BigIntField(default=0, db_default=0),
        ),
        ops.RunSQL(COUNTS),
    ]
