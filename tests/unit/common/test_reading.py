"""The one reader: JSON's own types decide, and a number without a fraction is an integer."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from notifyx_common import reading
from notifyx_common.contracts.auth import SignUp
from notifyx_common.contracts.store.log import NewNotification
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import TIME_TEXT, parse_as, parse_json, parse_model
from notifyx_gateway.socket.channels import AckPush
from support.readings import READINGS, Operation, Reading

KINDS: dict[Operation, type[BaseModel]] = {"publish": NewNotification, "ack": AckPush, "create_topic": NewTopic}


class Figures(BaseModel):
    """Every place where an integer can stand."""

    one: int = 0
    bounded: Annotated[int, Field(strict=True, ge=0)] = 0
    perhaps: int | None = None
    many: list[int] = []
    named: dict[str, int] = {}
    inner: list[Figures] = []
    share: float = 0.0
    free: object = None


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: f"{reading.operation}-{reading.text}")
def test_a_reading_is_accepted_or_names_the_wrong_field(reading: Reading) -> None:
    kind = KINDS[reading.operation]
    if reading.wrong is None:
        assert isinstance(parse_model(kind, parse_json(reading.text)), kind)
        return
    with pytest.raises(InvalidRequest) as caught:
        parse_model(kind, parse_json(reading.text))
    assert caught.value.code == "validation_failed"
    assert [wrong.field for wrong in caught.value.fields] == [reading.wrong]


def test_integers_are_found_wherever_they_stand_and_nothing_else_changes() -> None:
    text = (
        '{"one":1.0,"bounded":2.0,"perhaps":3.0,"many":[4.0,5],"named":{"a.b":6.0},"inner":[{"many":[7.0]}],'
        '"share":8.0,"free":{"n":9.0}}'
    )
    read = parse_model(Figures, parse_json(text))
    assert read == Figures(
        one=1, bounded=2, perhaps=3, many=[4, 5], named={"a.b": 6}, inner=[Figures(many=[7])], share=8.0,
        free={"n": 9.0},
    )  # fmt: skip
    assert isinstance(read.free, dict)
    assert isinstance(read.free["n"], float)
    assert all(type(number) is int for number in (read.one, read.perhaps, *read.many, *read.named.values()))


def test_what_is_read_is_not_changed() -> None:
    value = {"one": 1.0}
    parse_model(Figures, value)
    assert isinstance(value["one"], float)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60))
def test_any_number_is_itself_or_refused(number: float) -> None:
    try:
        read = parse_model(Figures, parse_json(json.dumps({"one": number}))).one
    except InvalidRequest:
        assert isinstance(number, float)
        assert not number.is_integer() or abs(number) >= 2**53
    else:
        assert type(read) is int
        assert read == number


class Ping(BaseModel):
    op: Literal["ping"]
    n: int


class Pong(BaseModel):
    op: Literal["pong"]
    at: datetime


def test_other_types_than_models_are_read_alike() -> None:
    kind: TypeAdapter[list[int]] = TypeAdapter(list[int])
    assert parse_as(kind, [1, 2.0]) == [1, 2]
    for wrong in ([True], ["1"], {"a": 1}, None):
        with pytest.raises(InvalidRequest):
            parse_as(kind, wrong)
    pong: TypeAdapter[Ping | Pong] = TypeAdapter(Annotated[Ping | Pong, Field(discriminator="op")])
    assert parse_as(pong, {"op": "pong", "at": "2030-01-01T00:00:00Z"}) == Pong(
        op="pong", at=datetime(2030, 1, 1, tzinfo=UTC)
    )


def test_times_in_text_are_dates_with_a_time() -> None:
    kind: TypeAdapter[datetime] = TypeAdapter(Annotated[datetime, TIME_TEXT])
    assert parse_as(kind, "2030-01-31T12:00:00Z") == datetime(2030, 1, 31, 12, tzinfo=UTC)
    for wrong in ("1893456000", "1893456000.5", "2030-13-01T00:00:00Z", "", 1893456000, 1.5, True, None):
        with pytest.raises(InvalidRequest):
            parse_as(kind, wrong)


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a":NaN}', b'{"a":Infinity}', b'"\xff"', b'"\\ud800"', b"[" * 5000])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(raw)
    assert caught.value.code == "malformed_json"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": "\xe9"}', "byte 8"),
        (b'{"a": "\xed\xa0\x80"}', "byte 8"),
        (b"\xff\xfe{\x00}\x00", "byte 1"),
        ('"\ud800"', "character 2"),
    ],
)
def test_what_is_no_utf8_is_refused_in_words_of_our_own(raw: bytes | str, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(raw)
    assert caught.value.reason == f"The body is not in UTF-8, as JSON has to be: {reason} is none of it."
    assert caught.value.code == "malformed_json"


def test_what_could_not_be_written_again_is_refused() -> None:
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="nested"):
        parse_model(Figures, {"free": deep})


@settings(max_examples=50)
@given(st.recursive(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_free_data_is_what_was_sent_or_refused(data: object) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse_model(Figures, parse_json(json.dumps({"free": data}))).free == data


@pytest.mark.parametrize("raw", [b"[" * 1000 + b"9" * 25 + b"]" * 1000, b'{"n":' + b"9" * 10_000 + b"}"])
def test_what_the_second_parser_cannot_read_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(raw)
    assert caught.value.code == "malformed_json"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_model_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_model(NewNotification, parse_json(raw)), NewNotification)


def test_json_types_are_not_taken_for_each_other() -> None:
    wrongs: list[dict[str, object]] = [
        {"title": 1},
        {"data": "x"},
        {"data": []},
        {"expires_at": 5},
        {"priority": None},
        {"title": None},
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidRequest) as caught:
            parse_model(NewNotification, wrong)
        assert caught.value.fields[0].field == next(iter(wrong))
    nested: object = 1
    for _ in range(300):
        nested = [nested]
    with pytest.raises(InvalidRequest, match="nested"):
        parse_model(NewNotification, {"data": {"a": nested}})
    with pytest.raises(InvalidRequest):
        parse_json(b'{"a":NaN}')


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""
    many: list[int] = []
    inner: Strict | None = None


UNKNOWN = {str(number): 1 for number in range(5000)}


@pytest.mark.parametrize(
    "value",
    [UNKNOWN, {"inner": UNKNOWN}, {"many": [""] * 5000}, {"many": [{"a": 1}] * 1500}, {"n" * 100_000: 1}],
    ids=["unknown", "unknown within", "very many wrong", "many wrong", "a long name"],
)
def test_a_refusal_is_short_and_is_made_once(value: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[int] = []
    describe = reading._wrong

    def counted(error: ValidationError) -> list[ErrorDetails]:
        found = describe(error)
        described.append(len(found))
        return found

    monkeypatch.setattr(reading, "_wrong", counted)
    with pytest.raises(InvalidRequest) as caught:
        parse_model(Strict, value)
    assert caught.value.code == "validation_failed"
    assert 1 <= len(caught.value.fields) <= 20
    assert len(json.dumps(caught.value.to_problem())) < 8000
    assert sum(described) <= 2000


def test_unknown_fields_are_named_and_free_names_are_no_fields() -> None:
    with pytest.raises(InvalidRequest, match="too many unknown fields: 0, 1, 2 and others"):
        parse_model(Strict, UNKNOWN)
    with pytest.raises(InvalidRequest) as caught:
        parse_model(Strict, {"name": "a", "nam": "b"})
    assert [field.field for field in caught.value.fields] == ["nam"]
    many = parse_model(Figures, {"many": [1.0] * 1000, "named": {str(number): 1.0 for number in range(1000)}})
    assert (len(many.many), len(many.named)) == (1000, 1000)


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (NewTopic, {"name": "Two Words"}, "lower-case letters"),
        (NewTopic, {"name": "t", "readers": ["two words"]}, "without spaces"),
        (
            SignUp,
            {"email": "ada@example", "password": "x" * 12},
            "an @ and a domain with a dot, such as ada@example.com",
        ),
        (NewNotification, {"body": "\0"}, "cannot have the character U+0000"),
        (SignUp, {"email": "ada@example.com", "password": "12345"}, "password: Use at least 8 characters."),
        (TopicPatch, {"creators": []}, "creators: Give at least 1 entry (given: 0)."),
    ],
)
def test_a_mistake_is_said_in_words(kind: type[BaseModel], body: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_model(kind, body)
    assert reason in refused.value.reason
    assert "pattern" not in refused.value.reason


def test_texts_with_many_digits_do_not_cost_the_slow_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(raw: bytes) -> None:
        raise AssertionError("a text is no number")

    monkeypatch.setattr(reading, "_with_exact_integers", never)
    number = "1234567890123456789"
    assert parse_json(f'{{"id":"{number}","at":0.{number}}}')["id"] == number
    with pytest.raises(AssertionError, match="no number"):
        parse_json(f'{{"id": -{number}}}')


@pytest.mark.parametrize(
    "form", ["N", "-N", " N", "[1,N]", '{"a":-N}', '{"a":\t-N}', "[\nN\r]", '["N",":N",N]', '["N"]']
)
def test_long_integers_are_exact_wherever_they_stand(form: str) -> None:
    text = form.replace("N", "123456789012345678901234567890")
    assert parse_json(text) == json.loads(text)
    texts = json.dumps(["1234567890123456789"] * 100 + [1234567890123456789012])
    assert parse_json(texts) == json.loads(texts)
