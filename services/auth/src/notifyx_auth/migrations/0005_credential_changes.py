"""Changes of credentials, which gateways read, and the number of times that all sessions of a user were ended."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0004_time_zone")]

    operations = [
        ops.AddField(model_name="User", name="session_epoch", field=fields.IntField(default=0, db_default=0)),
        ops.CreateModel(
            name="CredentialChange",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("kind", fields.CharField(max_length=16)),
                ("subject", fields.CharField(max_length=64)),
                ("epoch", fields.IntField(default=0)),
                ("email", fields.CharField(default="", max_length=254)),
                ("until", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "credential_changes",
                "app": "auth",
                "pk_attr": "id",
                "table_description": "A change that verifiers of credentials have to know before those expire; see ``contracts.auth``.",
            },
            bases=["Model"],
        ),
    ]
