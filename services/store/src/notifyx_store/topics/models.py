"""Models of the tables that are used one row at a time. The log and its tables are SQL (see the migrations).

Times come from the service's clock, not from the database, so that rules and records agree.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.models import Model


class Topic(Model):
    """A topic, or a user's own inbox (``kind`` 'inbox'); 'deleted' is one whose data is being removed.

    ``last_seq`` is the seq of the newest notification, ``pruned_seq`` of the last one that retention removed,
    ``email_seq`` of the last one that the outbox has processed; ``removed_total`` notifications are gone (a trigger
    counts them). ``created_by`` is the user who created it, unless a service did. ``resource`` names the NotifyxTopic
    that owns the topic, ``released_by`` the one that released it, until the creators change. Retention and delays are
    in seconds.
    """

    id = fields.UUIDField(primary_key=True, default=uuid4)
    name = fields.CharField(max_length=256, unique=True)
    kind = fields.CharField(max_length=16, default="topic", db_default="topic")
    title = fields.CharField(max_length=200, default="", db_default="")
    visibility = fields.CharField(max_length=16, default="public", db_default="public")
    creators: fields.Field[Any] = ArrayField(element_type="text", default=list)
    publishers: fields.Field[Any] = ArrayField(element_type="text", default=list)
    readers: fields.Field[Any] = ArrayField(element_type="text", default=list)
    retention_max_age = fields.IntField(default=2_592_000, db_default=2_592_000)
    retention_max_count = fields.IntField(default=100_000, db_default=100_000)
    email_default = fields.CharField(max_length=16, default="never", db_default="never")
    email_unread_after = fields.IntField(default=900, db_default=900)
    email_digest_every = fields.IntField(default=86_400, db_default=86_400)
    paused = fields.BooleanField(default=False, db_default=False)
    created_by = fields.CharField(max_length=64, null=True, db_index=True)
    resource = fields.CharField(max_length=300, null=True)
    resource_uid = fields.CharField(max_length=64, null=True)
    released_by = fields.CharField(max_length=300, null=True)
    last_seq = fields.BigIntField(default=0, db_default=0)
    pruned_seq = fields.BigIntField(default=0, db_default=0)
    email_seq = fields.BigIntField(default=0, db_default=0)
    removed_total = fields.BigIntField(default=0, db_default=0)
    created_at = fields.DatetimeField()
    updated_at = fields.DatetimeField()

    class Meta:
        table = "topics"


class Subscription(Model):
    """A period in which a user is subscribed to a topic; ``lasting`` is false for a reader who only acknowledges.

    ``acked_up_to`` is the cursor. The totals belong to the ledger; pending is counted in the log. ``expired_told`` is
    the part of ``expired_total`` that the user has acknowledged past, ``expired_seq`` the last seq that expired.
    ``ack_revision`` grows each time acknowledgements are taken back.
    ``identity`` is the hash of the verified email the user subscribed with, for allow-lists that name it.
    """

    id = fields.BigIntField(primary_key=True)
    topic: fields.ForeignKeyRelation[Topic] = fields.ForeignKeyField(
        "store.Topic", related_name="subscriptions", on_delete=fields.CASCADE, db_index=True
    )
    topic_id: UUID
    user_id = fields.CharField(max_length=320)
    lasting = fields.BooleanField(default=True)
    email_mode = fields.CharField(max_length=16, default="never", db_default="never")
    first_seq = fields.BigIntField()
    end_seq = fields.BigIntField(null=True)
    ended_at = fields.DatetimeField(null=True)
    acked_up_to = fields.BigIntField()
    acked_total = fields.BigIntField(default=0, db_default=0)
    ack_revision = fields.BigIntField(default=0, db_default=0)
    expired_total = fields.BigIntField(default=0, db_default=0)
    expired_told = fields.BigIntField(default=0, db_default=0)
    expired_seq = fields.BigIntField(default=0, db_default=0)
    withdrawn_total = fields.BigIntField(default=0, db_default=0)
    identity = fields.CharField(max_length=64, default="", db_default="")
    created_at = fields.DatetimeField()

    class Meta:
        table = "subscriptions"
