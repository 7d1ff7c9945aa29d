"""Users whose address is not verified, and for whom email waits."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    CREATE TABLE email_unverified (
        user_id text PRIMARY KEY,
        since timestamptz NOT NULL,
        next_try_at timestamptz NOT NULL,
        dropped bigint NOT NULL DEFAULT 0
    )
    """,
    # Since when an email waits for it: the beginning of its age.
    "ALTER TABLE outbox ADD COLUMN unverified_since timestamptz",
]


class Migration(migrations.Migration):
    dependencies = [("store", "0007_topic_creators")]

    operations = [ops.RunSQL(TABLES)]
