"""Devices on which a user has signed in."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0002_refresh_grace")]

    operations = [
        ops.CreateModel(
            name="Device",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "auth.User",
                        source_field="user_id",
                        db_index=False,
                        db_constraint=True,
                        to_field="id",
                        related_name="devices",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("hash", fields.CharField(db_index=True, max_length=64)),
                ("expires_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "devices",
                "app": "auth",
                "unique_together": (("user", "hash"),),
                "pk_attr": "id",
                "table_description": "A device on which a user has signed in, by the SHA-256 of its token.",
            },
            bases=["Model"],
        ),
        ops.AlterModelOptions(
            name="LoginAttempts",
            options={
                "table": "login_attempts",
                "app": "auth",
                "pk_attr": "key",
                "table_description": "One limit of sign-in attempts (SHA-256 of what it limits): when its allowance is whole again.",
            },
        ),
    ]
