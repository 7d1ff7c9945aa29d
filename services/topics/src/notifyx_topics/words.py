"""What is wrong with a value, in words: a regular expression, and a library's own message, are for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
"""For a text of a pattern that has no sentence."""

UNKNOWN = "This value cannot be here."
"""For an error that has no sentence: none is known that a request can cause."""

_TEXT = "This must be text."
_INTEGER = "This must be a whole number."
_NUMBER = "This must be a number."
_BOOLEAN = "This must be true or false."
_OBJECT = "This must be an object."
_LIST = "This must be a list."
_TIME = "This must be a time like 2030-01-31T12:00:00Z."

_SENTENCES: Mapping[str, str] = {
    "missing": "This is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": "This text is not valid Unicode.",
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_from_float": _INTEGER,
    "int_parsing_size": "This number is too large.",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": "This must be more than {gt}.",
    "greater_than_equal": "This must be at least {ge}.",
    "less_than": "This must be less than {lt}.",
    "less_than_equal": "This must be at most {le}.",
    "multiple_of": "This must be a multiple of {multiple_of}.",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "literal_error": "This must be {expected}.",
    "enum": "This must be {expected}.",
    "none_required": "This must be null.",
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "json_invalid": "This is not valid JSON.",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "timezone_aware": "This time needs its offset from UTC, as in 2030-01-31T12:00:00Z.",
    "union_tag_not_found": "The field {discriminator} is required.",
    "union_tag_invalid": "The field {discriminator} must be one of {expected_tags}.",
}
"""A sentence for each of pydantic's types of error, with what its context holds."""

_VALUE_ERROR = "Value error, "


def reason(item: ErrorDetails, words: Mapping[str, str] = WORDS) -> str:
    """Return what is wrong in a sentence. ``item`` has its context; ``words`` has sentences for patterns."""
    context = item.get("ctx", {})
    match item["type"]:
        case "string_pattern_mismatch":
            return words.get(context["pattern"], OTHERWISE)
        case "string_too_short" | "string_too_long" | "too_short" | "too_long":
            return _of_length(item["type"], context)
        case "value_error":
            # Raised by a validator of this project, whose messages are written for people.
            message = item["msg"].removeprefix(_VALUE_ERROR).removesuffix(".")
            return f"{message[:1].upper()}{message[1:]}."
    return _SENTENCES.get(item["type"], UNKNOWN).format_map(context)


def _of_length(kind: str, context: Mapping[str, Any]) -> str:
    short = kind.endswith("_short")
    bound: int = context["min_length" if short else "max_length"]
    # A secret is a "Value": it has characters, too.
    if kind.startswith("string_") or context["field_type"] == "Value":
        if short and bound == 1:
            return "This cannot be empty."
        return f"Use at {'least' if short else 'most'} {bound} character{'' if bound == 1 else 's'}."
    given = context["actual_length"]
    entries = f"Give at {'least' if short else 'most'} {bound} entr{'y' if bound == 1 else 'ies'}"
    return f"{entries}." if given is None else f"{entries} (given: {given})."
