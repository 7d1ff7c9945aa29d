"""The log and what hangs on it: composite keys and partial indexes that models cannot express."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    # Names are compared as bytes: pages by name are then the same on every server.
    """ALTER TABLE topics ALTER COLUMN name TYPE varchar(256) COLLATE "C" """,
    "ALTER TABLE topics ALTER COLUMN creators SET DEFAULT '{}'",
    "ALTER TABLE topics ALTER COLUMN publishers SET DEFAULT '{}'",
    "ALTER TABLE topics ALTER COLUMN readers SET DEFAULT '{}'",
    # Every publish writes last_seq: room for the new version on the same page, and frequent cleaning.
    "ALTER TABLE topics SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)",
    "CREATE INDEX topics_deleted ON topics (id) WHERE kind = 'deleted'",
    "ALTER TABLE subscriptions SET (fillfactor = 70)",
    "CREATE UNIQUE INDEX subscriptions_open ON subscriptions (topic_id, user_id) WHERE ended_at IS NULL",
    "CREATE INDEX subscriptions_of_user ON subscriptions (user_id) WHERE ended_at IS NULL",
    # payload: the notification's final JSON, made once when it is published. No foreign key: rows are written only
    # by a transaction that holds the topic's row, and are gone before it (see purge.py); checking each costs a
    # publish a tenth of its time.
    """
    CREATE TABLE notifications (
        topic_id uuid NOT NULL,
        seq bigint NOT NULL,
        payload text NOT NULL,
        publisher_id text NOT NULL,
        published_at timestamptz NOT NULL,
        expires_at timestamptz,
        PRIMARY KEY (topic_id, seq)
    ) WITH (autovacuum_vacuum_insert_scale_factor = 0.05)
    """,
    "CREATE INDEX notifications_expiring ON notifications (expires_at) WHERE expires_at IS NOT NULL",
    # The inbox reads the newest of several topics.
    "CREATE INDEX notifications_by_time ON notifications (topic_id, published_at, seq)",
    """
    CREATE TABLE ack_exceptions (
        subscription_id bigint NOT NULL REFERENCES subscriptions (id) ON DELETE CASCADE,
        seq bigint NOT NULL,
        PRIMARY KEY (subscription_id, seq)
    )
    """,
    """
    CREATE TABLE idempotency (
        publisher text NOT NULL,
        topic_id uuid NOT NULL,
        key text NOT NULL,
        body_hash bytea NOT NULL,
        seq bigint NOT NULL,
        result text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (publisher, topic_id, key)
    )
    """,
    "CREATE INDEX idempotency_age ON idempotency (created_at)",
    """
    CREATE TABLE publish_batches (
        batch_id text PRIMARY KEY,
        results text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX publish_batches_age ON publish_batches (created_at)",
    """
    CREATE TABLE outbox (
        id uuid PRIMARY KEY,
        subscription_id bigint NOT NULL REFERENCES subscriptions (id) ON DELETE CASCADE,
        topic_id uuid NOT NULL REFERENCES topics (id) ON DELETE CASCADE,
        user_id text NOT NULL,
        mode text NOT NULL,
        from_seq bigint NOT NULL,
        to_seq bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'leased', 'sent', 'fenced', 'dead')),
        due_at timestamptz NOT NULL,
        lease_owner text,
        leased_until timestamptz,
        attempts int NOT NULL DEFAULT 0,
        reason text,
        created_at timestamptz NOT NULL,
        "window" timestamptz
    )
    """,
    "CREATE UNIQUE INDEX outbox_single ON outbox (subscription_id, to_seq) WHERE mode <> 'digest'",
    """CREATE UNIQUE INDEX outbox_digest ON outbox (subscription_id, "window") WHERE mode = 'digest'""",
    "CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'pending'",
    "CREATE INDEX outbox_leased ON outbox (leased_until) WHERE state = 'leased'",
    "CREATE INDEX outbox_done ON outbox (due_at) WHERE state IN ('sent', 'fenced', 'dead')",
    "CREATE INDEX outbox_of_topic ON outbox (topic_id)",
    # The email ledger's other side: what was ever put into the outbox, and what became of the rows pruned since.
    """
    CREATE TABLE outbox_books (
        topic_id uuid PRIMARY KEY REFERENCES topics (id) ON DELETE CASCADE,
        due bigint NOT NULL DEFAULT 0,
        sent bigint NOT NULL DEFAULT 0,
        fenced bigint NOT NULL DEFAULT 0,
        dead bigint NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE email_blocks (
        user_id text PRIMARY KEY,
        reason text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
]


class Migration(migrations.Migration):
    dependencies = [("store", "0001_initial")]

    operations = [ops.RunSQL(TABLES)]
