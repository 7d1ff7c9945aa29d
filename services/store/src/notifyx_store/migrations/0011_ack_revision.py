"""How many times a subscription's acknowledgements were taken back."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("store", "0010_bundles")]

    operations = [
        ops.AddField(
            model_name="Subscription",
            name="ack_revision",
            field=fields.BigIntField(default=0, db_default=0),
        ),
    ]
