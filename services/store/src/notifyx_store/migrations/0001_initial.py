from uuid import uuid4

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Topic",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("name", fields.CharField(unique=True, max_length=256)),
                ("kind", fields.CharField(default="topic", db_default="topic", max_length=16)),
                ("title", fields.CharField(default="", db_default="", max_length=200)),
                ("visibility", fields.CharField(default="public", db_default="public", max_length=16)),
                ("creators", ArrayField(default=list, element_type="TEXT")),
                ("publishers", ArrayField(default=list, element_type="TEXT")),
                ("readers", ArrayField(default=list, element_type="TEXT")),
                ("retention_max_age", fields.IntField(default=2592000, db_default=2592000)),
                ("retention_max_count", fields.IntField(default=100000, db_default=100000)),
                ("email_default", fields.CharField(default="never", db_default="never", max_length=16)),
                ("email_unread_after", fields.IntField(default=900, db_default=900)),
                ("email_digest_every", fields.IntField(default=86400, db_default=86400)),
                ("paused", fields.BooleanField(default=False, db_default=False)),
                ("resource", fields.CharField(null=True, max_length=300)),
                ("resource_uid", fields.CharField(null=True, max_length=64)),
                ("last_seq", fields.BigIntField(default=0, db_default=0)),
                ("pruned_seq", fields.BigIntField(default=0, db_default=0)),
                ("email_seq", fields.BigIntField(default=0, db_default=0)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("updated_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "topics",
                "app": "store",
                "pk_attr": "id",
                "table_description": "A topic, or a user's own inbox (``kind`` 'inbox'); 'deleted' is one whose data is being removed.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Subscription",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "topic",
                    fields.ForeignKeyField(
                        "store.Topic",
                        source_field="topic_id",
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="subscriptions",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("user_id", fields.CharField(max_length=320)),
                ("lasting", fields.BooleanField(default=True)),
                ("email_mode", fields.CharField(default="never", db_default="never", max_length=16)),
                ("first_seq", fields.BigIntField()),
                ("end_seq", fields.BigIntField(null=True)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("acked_up_to", fields.BigIntField()),
                ("acked_total", fields.BigIntField(default=0, db_default=0)),
                ("expired_total", fields.BigIntField(default=0, db_default=0)),
                ("withdrawn_total", fields.BigIntField(default=0, db_default=0)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "subscriptions",
                "app": "store",
                "pk_attr": "id",
                "table_description": "A period in which a user is subscribed to a topic; ``lasting`` false: a reader who only acknowledges.",
            },
            bases=["Model"],
        ),
    ]
