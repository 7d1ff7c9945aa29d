"""Direct messages of users who were deleted before their thread existed."""

from tortoise import migrations
from tortoise.migrations import operations as ops

# It locks nothing.
ROWS = """
    INSERT INTO direct_messages (topic_id, seq, sender, recipient, published_at)
    SELECT n.topic_id, n.seq, '', substr(t.name, 6), n.published_at
    FROM topics t JOIN notifications n ON n.topic_id = t.id
    WHERE t.kind = 'inbox' AND n.publisher_id = ''
    ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("store", "0016_restores")]

    operations = [ops.RunSQL([ROWS])]
