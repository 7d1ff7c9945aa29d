"""Tickets for event streams."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0009_departures")]

    operations = [
        ops.CreateModel(
            name="StreamTicket",
            fields=[
                ("hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "auth.User",
                        source_field="user_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="stream_tickets",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("session", fields.CharField(max_length=64)),
                ("key_id", fields.CharField(max_length=32)),
                ("topic", fields.CharField(max_length=200)),
                ("until", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "stream_tickets",
                "app": "auth",
                "pk_attr": "hash",
                "table_description": "A ticket that waits for its one use, by its SHA-256, with the credential that made it: a session, or a key.",
            },
            bases=["Model"],
        ),
    ]
