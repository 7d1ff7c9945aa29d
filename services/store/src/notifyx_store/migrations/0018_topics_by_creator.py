"""The topics that a user created, to count them and what they hold; the column came without its index."""

from tortoise import migrations
from tortoise.migrations import operations as ops

# Publishes do not change the column: their new versions of a row need no entry.
INDEX = "CREATE INDEX topics_created_by ON topics (created_by) WHERE created_by IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [("store", "0017_deleted_senders")]

    operations = [ops.RunSQL([INDEX])]
