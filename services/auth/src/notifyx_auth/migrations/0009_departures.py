"""Deleted accounts whose data in other services are still to be removed."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0008_account_links")]

    operations = [
        ops.CreateModel(
            name="Departure",
            fields=[
                ("user_id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("email", fields.CharField(max_length=254)),
                ("verified", fields.BooleanField()),
                ("time_zone", fields.CharField(default="", max_length=64)),
                ("topics", fields.CharField(max_length=16)),
                ("give_to", fields.UUIDField(null=True)),
                ("left_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("told", fields.BooleanField(default=False)),
                ("next_at", fields.DatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "departures",
                "app": "auth",
                "pk_attr": "user_id",
                "table_description": "A deleted account whose data in other services are still to be removed; see ``contracts.departures``.",
            },
            bases=["Model"],
        ),
    ]
