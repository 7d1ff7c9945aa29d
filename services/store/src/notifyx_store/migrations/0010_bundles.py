"""Emails that wait for a digest, and digests that have become one mail.

An email in either has ``due_at`` = infinity, so that a replica of an earlier version, which knows no digests of this
kind, leaves it alone.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    CREATE TABLE outbox_bundles (
        id uuid PRIMARY KEY,
        user_id text NOT NULL,
        due_at timestamptz NOT NULL,
        attempts int NOT NULL,
        lease_owner text,
        leased_until timestamptz,
        confirmed boolean NOT NULL DEFAULT false,
        maybe_sent boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL
    )
    """,
    "ALTER TABLE outbox ADD COLUMN digest_at timestamptz, ADD COLUMN bundle uuid, ADD COLUMN sent_at timestamptz",
    "CREATE INDEX outbox_digests_due ON outbox (digest_at) WHERE digest_at IS NOT NULL",
    "CREATE INDEX outbox_digest_of_user ON outbox (user_id, digest_at) WHERE digest_at IS NOT NULL",
    "CREATE INDEX outbox_of_bundle ON outbox (bundle) WHERE bundle IS NOT NULL",
    # What a person was mailed in the last hour.
    "CREATE INDEX outbox_mailed ON outbox (user_id, sent_at) WHERE sent_at IS NOT NULL",
]


class Migration(migrations.Migration):
    dependencies = [("store", "0009_search")]

    operations = [ops.RunSQL(TABLES)]
