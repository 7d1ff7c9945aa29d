"""Secrets of webhooks."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0005_credential_changes")]

    operations = [
        ops.CreateModel(
            name="Hook",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "auth.User",
                        source_field="user_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="hooks",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("topic", fields.CharField(max_length=200)),
                ("kind", fields.CharField(max_length=32)),
                ("name", fields.CharField(max_length=100)),
                ("secret_hash", fields.CharField(max_length=64)),
                ("signing", fields.BinaryField(null=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "hooks",
                "app": "auth",
                "pk_attr": "id",
                "table_description": "The secret of a webhook, by its SHA-256. ``signing`` is the encrypted secret with which its sender signs.",
            },
            bases=["Model"],
        ),
    ]
