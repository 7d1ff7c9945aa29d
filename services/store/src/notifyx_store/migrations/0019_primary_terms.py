"""Which server is the primary, as a row that its standbys get: whoever has it follows that server's history."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    CREATE TABLE primary_terms (
        only_row boolean PRIMARY KEY CHECK (only_row),
        timeline text NOT NULL,
        id uuid NOT NULL
    )
    """
]


class Migration(migrations.Migration):
    dependencies = [("store", "0018_topics_by_creator")]

    operations = [ops.RunSQL(TABLES)]
