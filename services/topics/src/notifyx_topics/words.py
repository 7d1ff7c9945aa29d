"""What is wrong with a text, in words: a regular expression is for programs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import ErrorDetails

from notifyx_topics.names import ANY_NAME, NAME
from notifyx_topics.settings import GRANT

_NAME_WORDS = "A topic's name is of lower-case letters, digits, dots, - and _, such as deploys or shop.orders."

WORDS: Mapping[str, str] = {
    f"^{NAME}$": _NAME_WORDS,
    ANY_NAME: _NAME_WORDS,
    GRANT: "This is a user's id, a verified email address, a ServiceAccount or *, without spaces.",
}
"""A sentence for each pattern that people meet."""

OTHERWISE = "This has characters, or a form, that cannot be here."

_PREFIX = "String should match pattern '"


def reason(item: ErrorDetails, words: Mapping[str, str] = WORDS) -> str:
    """Return pydantic's message, or the words for the pattern that a text does not match."""
    if item["type"] != "string_pattern_mismatch":
        return item["msg"]
    return words.get(item["msg"].removeprefix(_PREFIX).removesuffix("'"), OTHERWISE)
