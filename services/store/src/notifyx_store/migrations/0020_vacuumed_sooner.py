"""What retention removes is vacuumed as soon as what is published: of a long log, a fifth is millions of rows."""

from tortoise import migrations
from tortoise.migrations import operations as ops

# Pages that are not vacuumed are what the ledger counts slowly; ranges of search go with their notifications. These
# parameters wait for no reader and no writer.
STATEMENTS = [
    "ALTER TABLE notifications SET (autovacuum_vacuum_scale_factor = 0.05)",
    "ALTER TABLE search_ranges SET (autovacuum_vacuum_scale_factor = 0.05)",
]


class Migration(migrations.Migration):
    dependencies = [("store", "0019_primary_terms")]

    operations = [ops.RunSQL(STATEMENTS)]
