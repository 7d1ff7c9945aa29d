"""Short inputs that ask for a long text of theirs once for each of thousands of others: what is made of them is short.

Each took a gigabyte and more for what a request may hold.
"""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable

import pytest
from pydantic import JsonValue

from notifyx_common.contracts.auth import SignUp
from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_json, parse_model
from notifyx_gateway.rest.hooks import github
from notifyx_gateway.rest.hooks.forms import is_form
from notifyx_gateway.rest.hooks.publication import Delivery
from notifyx_mailer.data_rows import rows_of
from support.measured import undisturbed

LONG = "x" * 30_000
MANY = 5_000
AT_MOST = 8 << 20
"""Bytes that reading one may take meanwhile. Without a bound each takes 100 MB, and with a full body gigabytes."""

LONG_INTEGER = b"9" * 30


def long_integer_within_a_long_name() -> None:
    with contextlib.suppress(InvalidRequest):
        parse_model(SignUp, parse_json(b'{"%b":[%b%b]}' % (LONG.encode(), b"0," * MANY, LONG_INTEGER)))


def long_integer_deep_inside() -> None:
    depth = 240
    inner = b"0," * 5 * MANY + LONG_INTEGER
    with contextlib.suppress(InvalidRequest):
        parse_model(SignUp, parse_json(b'{"name":%b%b%b}' % (b"[" * depth, inner, b"]" * depth)))


def event(name: str, payload: dict[str, JsonValue]) -> None:
    named: JsonValue = {**payload, "repository": {"full_name": "shop/web"}}
    github.read(Delivery(named, {"x-github-event": name}))


def words_in_a_number() -> None:
    event("issues", {"action": "assigned", "issue": {"number": "{name}" * MANY}, "assignee": {"login": LONG}})


def words_in_an_action() -> None:
    event("issues", {"action": "{what}" * MANY, "issue": {"number": LONG}})


def words_in_an_action_on_a_member() -> None:
    event("member", {"action": "{}" * MANY, "member": {"login": LONG}})


def rows_within_a_long_name() -> None:
    rows_of({LONG: {"x": {f"{number}": 0 for number in range(MANY)}}})


def a_form_of_single_characters() -> None:
    is_form(b"name=" + b"x" * 10 * len(LONG))


@pytest.mark.parametrize(
    "read",
    [
        long_integer_within_a_long_name,
        long_integer_deep_inside,
        words_in_a_number,
        words_in_an_action,
        words_in_an_action_on_a_member,
        rows_within_a_long_name,
        a_form_of_single_characters,
    ],
)
def test_a_long_text_is_not_repeated_for_each_of_many(read: Callable[[], None]) -> None:
    with undisturbed():
        tracemalloc.start()
        try:
            read()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < AT_MOST
