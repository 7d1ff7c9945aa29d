"""Who created a topic, so that one user's topics can be counted."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

# Who created the earlier ones is not known: it was the first of their creators, unless somebody changed the list.
BACKFILL = ["UPDATE topics SET created_by = creators[1] WHERE kind = 'topic' AND length(creators[1]) <= 64"]


class Migration(migrations.Migration):
    dependencies = [("store", "0006_removed")]

    operations = [
        ops.AddField(
            model_name="Topic",
            name="created_by",
            field=fields.CharField(max_length=64, null=True, db_index=True),
        ),
        ops.RunSQL(BACKFILL),
    ]
