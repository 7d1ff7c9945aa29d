"""Search: which words occur in which ranges of the log."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    # Text as search compares it: lower case, without accents, and words only (the parser of PostgreSQL would take a
    # host name, a path or an email address as one word). Texts of ASCII alone go a shorter way. A compatibility form may
    # become 18 characters: the result has at most as many as the text has bytes, which no language exceeds (or 4,096,
    # which no search exceeds), and 131,072.
    r"""
    CREATE FUNCTION notifyx_search_fold(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    BEGIN
        value := lower(value);
        IF octet_length(value) = length(value) THEN
            RETURN replace(replace(replace(replace(replace(replace(replace(replace(replace(value,
                '.', ' '), '/', ' '), '-', ' '), ':', ' '), '_', ' '), '@', ' '), '+', ' '), '<', ' '), '&', ' ');
        END IF;
        value := left(normalize(value, NFKD), least(greatest(octet_length(value), 4096), 131072));
        RETURN regexp_replace(regexp_replace(value, '[\u0300-\u036f]', '', 'g'), '[^[:alnum:]]', ' ', 'g');
    END $$
    """,
    # What is searched of a notification: its title, its body, and the texts and numbers of its data. jsonb has no
    # NUL; a payload that may have one is taken as it is. NULL for one that jsonb cannot hold: it is not searched.
    r"""
    CREATE FUNCTION notifyx_search_text(payload text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE
        document jsonb;
        found text;
    BEGIN
        IF strpos(payload, '\u0000') > 0 THEN
            found := replace(payload, '\u0000', ' ');
        ELSE
            document := payload::jsonb;
            found := concat_ws(' ', document ->> 'title', document ->> 'body');
            IF document -> 'data' <> 'null' THEN
                found := concat_ws(' ', found, (
                    SELECT string_agg(value #>> '{}', ' ')
                    FROM jsonb_path_query(document -> 'data', 'strict $.** ? (@.type() == "string" || @.type() == "number")')
                        AS value));
            END IF;
        END IF;
        RETURN notifyx_search_fold(left(found, 131072));
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
    END $$
    """,
    # The words of a text; NULL where they are too many for a tsvector (1 MiB).
    """
    CREATE FUNCTION notifyx_search_words(value text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        RETURN to_tsvector('simple', value);
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
    END $$
    """,
    # A range of a topic's log, and the words that occur in it. Written behind the log (see search/index.py), in the
    # order of seqs, once and never changed. "bytes" is the size of its notifications, which a search has to read; a
    # range without words (NULL) is not found.
    """
    CREATE TABLE search_ranges (
        topic_id uuid NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        oldest_at timestamptz NOT NULL,
        newest_at timestamptz NOT NULL,
        bytes bigint NOT NULL,
        words tsvector,
        PRIMARY KEY (topic_id, last_seq)
    ) WITH (toast_tuple_target = 128)
    """,
    # The words stay out of the rows, which a search for a common word reads in large numbers.
    "ALTER TABLE search_ranges ALTER COLUMN words SET STORAGE EXTERNAL",
    "CREATE INDEX search_ranges_words ON search_ranges USING gin (words)",
]


class Migration(migrations.Migration):
    dependencies = [("store", "0008_unverified_addresses")]

    operations = [ops.RunSQL(TABLES)]
