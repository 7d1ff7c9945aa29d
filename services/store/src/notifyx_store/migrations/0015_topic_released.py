"""Which NotifyxTopic released a topic: its namespace may have it again."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("store", "0014_outbox_turns")]

    operations = [
        ops.AddField(
            model_name="Topic",
            name="released_by",
            field=fields.CharField(null=True, max_length=300),
        ),
    ]
