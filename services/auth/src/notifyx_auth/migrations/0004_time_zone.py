"""The time zone of a user, for the times in emails."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0003_devices")]

    operations = [
        ops.AddField(
            model_name="User", name="time_zone", field=fields.CharField(max_length=64, default="", db_default="")
        ),
    ]
