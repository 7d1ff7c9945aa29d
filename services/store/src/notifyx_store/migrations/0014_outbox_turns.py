"""The due mails of each topic, for turns between topics while there are many."""

from tortoise import migrations
from tortoise.migrations import operations as ops

INDEX = "CREATE INDEX outbox_due_of_topic ON outbox (topic_id, due_at) WHERE state = 'pending'"


class Migration(migrations.Migration):
    dependencies = [("store", "0013_incidents")]

    operations = [ops.RunSQL([INDEX])]
