"""Changes of accounts that their users' open pages show."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0011_account_mails")]

    operations = [
        ops.CreateModel(
            name="AccountChange",
            fields=[
                ("id", fields.BigIntField(generated=False, primary_key=True, unique=True, db_index=True)),
                ("user_id", fields.UUIDField()),
                ("until", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "account_changes",
                "app": "auth",
                "pk_attr": "id",
                "table_description": "What the pages of a user show of the account has changed; read and deleted with :class:`CredentialChange`.",
            },
            bases=["Model"],
        ),
    ]
