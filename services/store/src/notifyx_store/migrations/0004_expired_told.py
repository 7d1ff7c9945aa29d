"""What expired before a subscriber acknowledged it, and how much of it the subscriber has acknowledged past."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

# Of what retention has removed so far, only what lies above the cursor is still to be told.
_TELL_REMOVED = """
UPDATE subscriptions s
SET expired_seq = t.pruned_seq,
    expired_told = s.expired_total
                   - least(s.expired_total, greatest(t.pruned_seq - greatest(s.acked_up_to, s.first_seq - 1), 0))
FROM topics t WHERE t.id = s.topic_id AND s.expired_total > 0
"""


class Migration(migrations.Migration):
    dependencies = [("store", "0003_subscriber_identity")]

    operations = [
        ops.AddField(
            model_name="Subscription",
            name="expired_told",
            field=fields.BigIntField(default=0, db_default=0),
        ),
        ops.AddField(
            model_name="Subscription",
            name="expired_seq",
            field=fields.BigIntField(default=0, db_default=0),
        ),
        ops.RunSQL([_TELL_REMOVED]),
    ]
