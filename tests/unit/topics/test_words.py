"""What is wrong with a value is told in plain sentences, whatever the library says."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticKnownError
from pydantic_core.core_schema import ErrorType

from notifyx_topics.words import UNKNOWN, reason


def _lower(value: str) -> str:
    if not value.islower():
        raise ValueError("this has lower-case letters alone")
    return value


class Values(BaseModel):
    """A field for each kind of mistake that a request can make."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=2, max_length=5)] = "abc"
    name: Annotated[str, Field(min_length=1)] = "a"
    password: SecretStr = Field(default=SecretStr("x" * 8), min_length=8, max_length=9)
    owners: list[str] = Field(default=["a"], min_length=1, max_length=2)
    many: dict[str, int] = Field(default={}, max_length=1)
    number: int = Field(default=5, ge=1, le=10)
    share: float = Field(default=0.5, gt=0, lt=1)
    flag: bool = False
    mode: Literal["never", "every"] = "never"
    at: datetime | None = None
    zoned: AwareDatetime | None = None
    lower: Annotated[str, AfterValidator(_lower)] = "a"
    inner: Values | None = None


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"text": "a"}, "Use at least 2 characters."),
        ({"text": "abcdef"}, "Use at most 5 characters."),
        ({"text": 5}, "This must be text."),
        ({"name": ""}, "This cannot be empty."),
        ({"password": "12345"}, "Use at least 8 characters."),
        ({"password": "1234567890"}, "Use at most 9 characters."),
        ({"owners": []}, "Give at least 1 entry (given: 0)."),
        ({"owners": ["a", "b", "c"]}, "Give at most 2 entries (given: 3)."),
        ({"owners": "a"}, "This must be a list."),
        ({"many": {"a": 1, "b": 2}}, "Give at most 1 entry."),
        ({"many": []}, "This must be an object."),
        ({"number": 0}, "This must be at least 1."),
        ({"number": 11}, "This must be at most 10."),
        ({"number": 1.5}, "This must be a whole number."),
        ({"share": 0}, "This must be more than 0.0."),
        ({"share": 1}, "This must be less than 1.0."),
        ({"share": "x"}, "This must be a number."),
        ({"flag": "yes"}, "This must be true or false."),
        ({"mode": "often"}, "This must be 'never' or 'every'."),
        ({"at": "2030-13-01T00:00:00Z"}, "This must be a time like 2030-01-31T12:00:00Z."),
        ({"zoned": "2030-01-01T00:00:00"}, "This time needs its offset from UTC, as in 2030-01-31T12:00:00Z."),
        ({"lower": "A"}, "This has lower-case letters alone."),
        ({"inner": 1}, "This must be an object."),
        ({"outer": 1}, "There is no such field."),
    ],
    ids=str,
)
def test_a_mistake_is_a_plain_sentence(value: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Values.model_validate(value, strict="at" not in value and "zoned" not in value)
    assert [reason(item) for item in caught.value.errors()] == [sentence]


def _context(kind: str) -> dict[str, Any]:
    """Return a context of an error of that type, found by what its message asks for."""
    context: dict[str, Any] = {}
    numbers = iter(range(1, 9))
    while True:
        try:
            PydanticKnownError(kind, context).message()  # type: ignore[arg-type] # every literal of the type
        except TypeError as error:
            name = str(error).split("'")[1]
            # A number first; where that has the wrong type, a text.
            context[name] = "x" if name in context else next(numbers)
        else:
            return context


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_no_type_of_error_shows_the_librarys_message(kind: str) -> None:
    context = _context(kind)
    message = PydanticKnownError(kind, context).message()  # type: ignore[arg-type] # as above
    item: ErrorDetails = {"type": kind, "loc": (), "msg": message, "input": None, "ctx": context}
    told = reason(item)
    assert told.endswith(".")
    assert not any(words in told for words in ("nput should", "should have", "Value error", "validation", "{")), told


def test_what_has_no_sentence_is_still_told() -> None:
    item: ErrorDetails = {"type": "is_instance_of", "loc": (), "msg": "Input should be an instance of X", "input": 1}
    assert reason(item) == UNKNOWN
