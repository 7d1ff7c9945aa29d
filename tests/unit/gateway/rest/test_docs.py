"""The readable description: its examples are accepted, and its words are no source text."""

from __future__ import annotations

import json
import shlex

import pytest
from pydantic import BaseModel

from notifyx_common.patterns import WORDS
from notifyx_gateway.rest.api.examples import curl, example
from notifyx_gateway.rest.api.openapi import build_openapi
from notifyx_gateway.rest.api.operations import OPERATIONS
from notifyx_gateway.rest.api.schema_words import fields, parts
from notifyx_gateway.rest.prose import as_html

SPEC = build_openapi(OPERATIONS, "http://127.0.0.1:4000")
SHAPES = SPEC["components"]["schemas"]


def said(schema: object) -> str:
    assert isinstance(schema, dict)
    return "".join(part.text for part in parts(schema))


@pytest.mark.parametrize(
    "model",
    {body for operation in OPERATIONS for body in operation.body.values() if isinstance(body, type)},
    ids=lambda model: model.__name__,
)
def test_an_example_is_accepted(model: type[BaseModel]) -> None:
    model.model_validate(example({"$ref": f"#/components/schemas/{model.__name__}"}, SHAPES))


def test_every_operation_has_a_command_that_a_shell_reads() -> None:
    for path, methods in SPEC["paths"].items():
        for method, operation in methods.items():
            words = shlex.split(curl(method, path, operation, SPEC, "http://127.0.0.1:4000"))
            assert words[0] == "curl"
            assert not any("{" in word and word.startswith("http") for word in words), words
    publish = SPEC["paths"]["/api/v1/topics/{name}/notifications"]["post"]
    line = curl("post", "/api/v1/topics/{name}/notifications", publish, SPEC, "http://h")
    words = shlex.split(line.replace("\\\n", ""))
    assert (words[2], words[4]) == ("http://h/api/v1/topics/deploys/notifications", "Authorization: Bearer $TOKEN")
    assert set(json.loads(words[-1])) == {"title", "body"}


def patterns(schema: object) -> set[str]:
    match schema:
        case dict():
            own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
            return own.union(*map(patterns, schema.values()))
        case list():
            return set[str]().union(*map(patterns, schema))
    return set()


def test_each_pattern_of_a_body_is_told_in_words() -> None:
    asked = patterns(SHAPES)
    assert len(asked) > 8
    assert asked - WORDS.keys() == set(), "who does not match one would be told that something cannot be"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "maxLength": 200}, "text of up to 200 characters"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "time (RFC 3339) or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Topic"}, "maxItems": 5}, "list of up to 5 Topic"),
        ({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9}},
         "object of integer 0 to 9"),
        ({"enum": ["low", "high"]}, '"low" or "high"'),
        ({}, "any value"),
    ],
)  # fmt: skip
def test_a_schema_is_said_in_words(schema: object, words: str) -> None:
    assert said(schema) == words


def test_fields_say_what_is_required() -> None:
    found = {field.name: field for field in fields(SHAPES["NewTopic"])}
    assert found["name"].required
    assert not found["title"].required
    assert fields({"type": "string"}) == []


def test_code_is_marked_and_nothing_else_gets_through() -> None:
    text = "Use ``up_to`` or `<seqs>` & see :class:`~a.b.Acks`."
    expected = "Use <code>up_to</code> or <code>&lt;seqs&gt;</code> &amp; see <code>Acks</code>."
    assert str(as_html(text)) == expected
