"""Mails about accounts that are still to be sent."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0010_stream_tickets")]

    operations = [
        ops.CreateModel(
            name="AccountMail",
            fields=[
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("key", fields.CharField(unique=True, max_length=64)),
                ("kind", fields.CharField(db_index=True, max_length=32)),
                ("email", fields.CharField(max_length=254)),
                ("about", fields.CharField(default="", max_length=254)),
                ("time_zone", fields.CharField(default="", max_length=64)),
                ("linked", fields.BooleanField(default=False)),
                ("asked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("next_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "account_mails",
                "app": "auth",
                "pk_attr": "id",
                "table_description": "A mail about an account that is still to be sent; see ``contracts.account_mails``.",
            },
            bases=["Model"],
        ),
    ]
