"""Strikes against addresses, and the emails that are held for them."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    CREATE TABLE email_strikes (
        user_id text PRIMARY KEY,
        strikes int NOT NULL,
        mail_id uuid NOT NULL,
        reason text NOT NULL,
        struck_at timestamptz NOT NULL,
        next_try_at timestamptz NOT NULL,
        resumed_at timestamptz
    )
    """,
    "ALTER TABLE outbox ADD COLUMN held boolean NOT NULL DEFAULT false",
    "CREATE INDEX outbox_held ON outbox (user_id) WHERE held",
    # One refusal, however vague, was enough for these.
    "DELETE FROM email_blocks",
]


class Migration(migrations.Migration):
    dependencies = [("store", "0004_expired_told")]

    operations = [ops.RunSQL(TABLES)]
