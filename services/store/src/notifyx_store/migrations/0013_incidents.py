"""The incidents that gateways have observed."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLE = [
    # A few rows, which are read and written together.
    """
    CREATE TABLE incidents (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key text NOT NULL,
        cause text NOT NULL,
        severity text NOT NULL,
        sentence text NOT NULL,
        began timestamptz NOT NULL,
        ended timestamptz,
        seen timestamptz NOT NULL
    )
    """,
]


class Migration(migrations.Migration):
    dependencies = [("store", "0012_direct_messages")]

    operations = [ops.RunSQL(TABLE)]
