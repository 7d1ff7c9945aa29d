"""Calls as values: their HTTP form, and what is read back from it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import walk_packages
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from notifyx_common import contracts
from notifyx_common.contracts.auth import SIGN_UP, SignUp, SignUpCall
from notifyx_common.contracts.call import V1, Call, Number, Raw
from notifyx_common.contracts.requests import RequestReader
from notifyx_common.contracts.store.acks import AckResult, UnreadResult
from notifyx_common.contracts.store.batches import BatchResults, ItemError
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_common.contracts.store.log import PublishResult
from notifyx_common.errors import Forbidden, InvalidRequest, NotFound, UnexpectedAnswer

RESULTS: list[type[BaseModel]] = [PublishResult, AckResult, JoinResult, UnreadResult]


class Body(BaseModel):
    """A body."""

    text: str
    more: str | None = None


@dataclass(frozen=True)
class Parts:
    """A request in parts."""

    name: Annotated[str, Field(pattern="^[a-z:/. -]+$")]
    body: Body
    limit: Annotated[Number, Field(ge=1, le=9)] = 5
    flag: bool = False
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class MayHaveBody:
    """A request whose body may be left out."""

    name: str
    body: Body | None = None


CHANGE = Call("PUT", f"{V1}/things/{{name}}/part", Parts, Body)


def every_call() -> list[Call[Any, Any]]:
    """All calls of the contract."""
    modules = [import_module(found.name) for found in walk_packages(contracts.__path__, f"{contracts.__name__}.")]
    calls = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Call)}
    return list(calls.values())


def test_parts_go_into_path_query_and_body() -> None:
    message = CHANGE.encode(Parts("user:a/b c", Body(text="ü"), limit=7, flag=True))
    assert message.path == f"{V1}/things/user%3Aa%2Fb%20c/part"
    assert message.query == {"limit": "7", "flag": "true"}
    assert message.body == '{"text":"ü"}'.encode()
    assert CHANGE.encode(Parts("a", Body(text=""))).query == {}


def test_what_was_encoded_is_read_back() -> None:
    asked = Parts("a.b", Body(text="x"), limit=7, flag=True, kind="b")
    message = CHANGE.encode(asked)
    reader = RequestReader(CHANGE)
    assert reader.body is Body
    assert message.body is not None
    assert reader.read({"name": "a.b"}, message.query, Body.model_validate_json(message.body)) == asked
    assert reader.read({"name": "a.b"}, {"unknown": "1"}, asked.body) == Parts("a.b", asked.body)


def test_a_body_may_be_left_out_where_its_type_says_so() -> None:
    call = Call("POST", f"{V1}/things/{{name}}/part", MayHaveBody, Body)
    reader = RequestReader(call)
    assert (reader.body, reader.body_optional) == (Body, True)
    for asked in (MayHaveBody("a"), MayHaveBody("a", Body(text="x"))):
        assert (call.encode(asked).body is None) == (asked.body is None)
        assert reader.read({"name": "a"}, {}, asked.body) == asked
    needed: list[Call[Any, Any]] = [CHANGE, Call("POST", "/x", Body, Body), Call("POST", "/x", Raw[Body], Body)]
    assert not any(RequestReader(one).body_optional for one in needed)


@pytest.mark.parametrize("name", ["", ".", "..", "...."])
def test_no_part_of_a_path_is_empty_or_dots_alone(name: str) -> None:
    with pytest.raises(NotFound):
        CHANGE.encode(Parts(name, Body(text="")))


@pytest.mark.parametrize(
    "query",
    [{"limit": text} for text in ("0", "10", "+1", " 1", "1.0", "1_0", "", "٣", "x")]
    + [{"flag": "maybe"}, {"kind": "c"}],
)
def test_a_wrong_parameter_is_named(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        RequestReader(CHANGE).read({"name": "a"}, query, Body(text=""))
    assert [field.field for field in refused.value.fields] == list(query)


def test_a_wrong_part_of_the_path_is_not_found() -> None:
    with pytest.raises(NotFound):
        RequestReader(CHANGE).read({"name": "A"}, {}, Body(text=""))


def test_secrets_are_sent_and_not_shown() -> None:
    wanted = SignUp(email="a@example.org", password=SecretStr("hidden-hidden"))
    assert b"hidden" in (SIGN_UP.encode(SignUpCall(wanted)).body or b"")
    assert "hidden" not in f"{wanted!r} {wanted}"


def test_answers_are_read_in_their_form() -> None:
    assert CHANGE.decode(b'{"text": "x", "of a newer release": 1}') == Body(text="x")
    assert Call("GET", "/x", Body, Raw[Body]).decode(b"[") == Raw(b"[")
    with pytest.raises(UnexpectedAnswer):
        CHANGE.decode(b'{"text": 1}')
    with pytest.raises(UnexpectedAnswer):
        Raw[Body](b"[").read(Body)


@pytest.mark.parametrize("kind", RESULTS)
def test_no_result_has_the_tag_of_a_refusal(kind: type[BaseModel]) -> None:
    assert "status" not in kind.model_fields


def test_results_and_refusals_of_a_batch_are_told_apart() -> None:
    refusal = ItemError.of(Forbidden("No.", code="not_a_publisher"))
    result = PublishResult(id="i", topic="t", seq=1, published_at="now")
    written = BatchResults[PublishResult](results=[result, refusal]).model_dump_json()
    assert BatchResults[PublishResult].model_validate_json(written).results == [result, refusal]
    # As the release before wrote it, and recorded it for batches that are sent again.
    recorded = '{"results":[{"id":"i","topic":"t","seq":1,"published_at":"now","duplicate":false},'
    recorded += '{"status":403,"code":"not_a_publisher","detail":"No."}]}'
    assert written == recorded
    error = refusal.error()
    assert (type(error), error.code, error.reason) == (Forbidden, "not_a_publisher", "No.")


def test_calls_are_unique_and_complete() -> None:
    calls = every_call()
    assert len(calls) > 35
    assert len({(call.method, call.path) for call in calls}) == len(calls)
    for call in calls:
        assert call.path.startswith(f"{V1}/"), call
        assert call.empty == (call.status == 204), call
        RequestReader(call)
