"""The names that users took, so that gateways know them before a credential from before expires."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0012_account_changes")]

    operations = [
        ops.AddField(model_name="AccountChange", name="name", field=fields.CharField(null=True, max_length=200)),
    ]
