"""What a restore from a backup leaves in the log: seqs that are never given out. And when the last backup was."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    # Seqs first_seq..last_seq of a topic belong to no notification: a restore passed over them, since what was
    # published after the backup had some of them. The log counts them as removed (topics.removed_total, removed_blocks).
    """
    CREATE TABLE log_gaps (
        topic_id uuid NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        restored_at timestamptz NOT NULL,
        PRIMARY KEY (topic_id, last_seq)
    )
    """,
    # Topics that are made after a restore begin after this seq, too: one of the same name may have been lost.
    """
    CREATE TABLE restores (
        restored_at timestamptz PRIMARY KEY,
        taken_at timestamptz NOT NULL,
        passed_seq bigint NOT NULL
    )
    """,
    """
    CREATE FUNCTION notifyx_begin_topic() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        latest restores%ROWTYPE;
    BEGIN
        SELECT * INTO latest FROM restores ORDER BY passed_seq DESC LIMIT 1;
        IF NOT FOUND THEN
            RETURN NEW;
        END IF;
        IF TG_WHEN = 'BEFORE' AND NEW.last_seq = 0 THEN
            NEW.last_seq := latest.passed_seq;
            NEW.pruned_seq := latest.passed_seq;
            NEW.removed_total := latest.passed_seq;
            NEW.email_seq := latest.passed_seq;
        ELSIF TG_WHEN = 'AFTER' AND NEW.last_seq = latest.passed_seq THEN
            INSERT INTO log_gaps (topic_id, first_seq, last_seq, restored_at)
            VALUES (NEW.id, 1, latest.passed_seq, latest.restored_at);
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER topics_begin BEFORE INSERT ON topics FOR EACH ROW EXECUTE FUNCTION notifyx_begin_topic()",
    "CREATE TRIGGER topics_begun AFTER INSERT ON topics FOR EACH ROW EXECUTE FUNCTION notifyx_begin_topic()",
    # The backups that were completed, for the metric of the newest one's age.
    """
    CREATE TABLE backups (
        taken_at timestamptz PRIMARY KEY,
        finished_at timestamptz NOT NULL,
        bytes bigint NOT NULL
    )
    """,
]


class Migration(migrations.Migration):
    dependencies = [("store", "0015_topic_released")]

    operations = [ops.RunSQL(TABLES)]
