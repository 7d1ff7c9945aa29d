"""Requests in JSON that the one reader accepts or refuses, whichever interface they come through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

YEAR = datetime.now(UTC).year + 2
"""A time may be up to ten years ahead."""

SECONDS = int(datetime(YEAR, 1, 1, tzinfo=UTC).timestamp())

Operation = Literal["publish", "ack", "create_topic"]


@dataclass(frozen=True)
class Reading:
    """The payload of an operation as JSON text. ``wrong`` is the field that is refused, ``None`` where none is."""

    operation: Operation
    text: str
    wrong: str | None = None


READINGS = (
    # A number without a fraction is an integer.
    Reading("ack", '{"up_to":1}'),
    Reading("ack", '{"up_to":1.0}'),
    Reading("ack", '{"up_to":0.1e1}'),
    Reading("ack", '{"up_to":1e0}'),
    Reading("ack", '{"up_to":-0.0}'),
    Reading("ack", '{"seqs":[1.0,2]}'),
    Reading("create_topic", '{"name":"a","retention":{"max_count":1e2}}'),
    Reading("ack", '{"up_to":0.5}', "up_to"),
    Reading("ack", '{"up_to":-1.0}', "up_to"),
    Reading("ack", '{"seqs":[1.0,1.5]}', "seqs.1"),
    Reading("create_topic", '{"name":"b","retention":{"max_count":90.5}}', "retention.max_count"),
    # Beyond 2^53 a float is not the number that was written.
    Reading("ack", '{"up_to":9007199254740992.0}', "up_to"),
    Reading("ack", '{"up_to":9007199254740993.0}', "up_to"),
    Reading("ack", '{"up_to":9007199254740993}', "up_to"),
    Reading("ack", '{"up_to":1e300}', "up_to"),
    Reading("ack", '{"up_to":123456789012345678901234567890}', "up_to"),
    Reading("create_topic", '{"name":"c","retention":{"max_age_seconds":-1e300}}', "retention.max_age_seconds"),
    # Text, true and null are no integers.
    Reading("ack", '{"up_to":"1"}', "up_to"),
    Reading("ack", '{"up_to":true}', "up_to"),
    Reading("ack", '{"seqs":[1,"2"]}', "seqs.1"),
    Reading("ack", '{"seqs":[true]}', "seqs.0"),
    Reading("create_topic", '{"name":"d","retention":{"max_count":"90"}}', "retention.max_count"),
    Reading("create_topic", '{"name":"e","retention":{"max_count":true}}', "retention.max_count"),
    Reading("create_topic", '{"name":"f","retention":{"max_count":null}}', "retention.max_count"),
    # Numbers are no text, and no times, not even in text.
    Reading("publish", '{"title":1}', "title"),
    Reading("publish", '{"title":true}', "title"),
    Reading("publish", f'{{"title":"x","expires_at":"{YEAR}-01-01T00:00:00Z"}}'),
    Reading("publish", f'{{"title":"x","expires_at":"{YEAR}-01-01T00:00:00.5+01:00"}}'),
    Reading("publish", f'{{"title":"x","expires_at":{SECONDS}}}', "expires_at"),
    Reading("publish", f'{{"title":"x","expires_at":{SECONDS}.0}}', "expires_at"),
    Reading("publish", f'{{"title":"x","expires_at":"{SECONDS}"}}', "expires_at"),
    Reading("publish", f'{{"title":"x","expires_at":"{YEAR}-01-01T00:00:00"}}', "expires_at"),
    Reading("publish", '{"title":"x","expires_at":true}', "expires_at"),
    # Data is the publisher's own: it stays as it was written.
    Reading("publish", '{"data":{"n":90.0,"flag":true}}'),
    Reading("publish", '{"data":{"n":[18446744073709551615,-9223372036854775808]}}'),
    Reading("publish", '{"data":{"n":[1,18446744073709551616]}}', "data.n.1"),
    Reading("publish", '{"data":{"n":-9223372036854775809}}', "data.n"),
    Reading("publish", '{"data":{"n":123456789012345678901234567890}}', "data.n"),
    Reading("publish", '{"data":{"n":123456789012345678901234567890.0,"t":"123456789012345678901234567890"}}'),
    Reading("publish", '{"data":"x"}', "data"),
    Reading("publish", '{"data":[]}', "data"),
    # Several at once.
    Reading("ack", '{"up_to":1.0,"more":2.0}', "more"),
    Reading("publish", '{"title":"x","priority":1.0}', "priority"),
)
