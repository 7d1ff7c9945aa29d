"""Where a session was used last: its client and address."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0006_hooks")]

    operations = [
        ops.AddField(
            model_name="Session",
            name="user_agent",
            field=fields.CharField(max_length=200, default="", db_default=""),
        ),
        ops.AddField(
            model_name="Session",
            name="address",
            field=fields.CharField(max_length=64, default="", db_default=""),
        ),
    ]
