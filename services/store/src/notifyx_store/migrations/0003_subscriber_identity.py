"""Who a subscriber was allowed to read as, so that one who no longer may can be found."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("store", "0002_log")]

    operations = [
        ops.AddField(
            model_name="Subscription",
            name="identity",
            field=fields.CharField(max_length=64, default="", db_default=""),
        ),
    ]
