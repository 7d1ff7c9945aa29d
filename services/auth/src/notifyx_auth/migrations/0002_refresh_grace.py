"""Generations of refresh tokens, so that the answer to an exchange may be lost."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("auth", "0001_initial")]

    operations = [
        ops.AddField(model_name="Session", name="generation", field=fields.IntField(default=0, db_default=0)),
        ops.AddField(model_name="Session", name="exchanged_hash", field=fields.CharField(max_length=64, null=True)),
    ]
