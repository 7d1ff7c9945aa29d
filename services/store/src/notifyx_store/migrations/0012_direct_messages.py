"""Direct messages by their two persons, for threads."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    # One row for each notification of an inbox topic, written with it; other publishes write none. No foreign key, as
    # in the log. A row whose notification is gone, or has lost its author, shows nothing: reads join the log.
    """
    CREATE TABLE direct_messages (
        topic_id uuid NOT NULL,
        seq bigint NOT NULL,
        sender text NOT NULL,
        recipient text NOT NULL,
        published_at timestamptz NOT NULL,
        PRIMARY KEY (topic_id, seq)
    )
    """,
    "CREATE INDEX direct_messages_sent ON direct_messages (sender, recipient, published_at, seq)",
    "CREATE INDEX direct_messages_received ON direct_messages (recipient, sender, published_at, seq)",
    # What the inboxes hold already. It locks nothing.
    """
    INSERT INTO direct_messages (topic_id, seq, sender, recipient, published_at)
    SELECT n.topic_id, n.seq, n.publisher_id, substr(t.name, 6), n.published_at
    FROM topics t JOIN notifications n ON n.topic_id = t.id
    WHERE t.kind = 'inbox' AND n.publisher_id <> ''
    """,
]


class Migration(migrations.Migration):
    dependencies = [("store", "0011_ack_revision")]

    operations = [ops.RunSQL(TABLES)]
