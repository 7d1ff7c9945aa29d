"""Errors: converted from the server's answers, each with an exit code."""

from __future__ import annotations

import pytest

from notifyx import errors
from notifyx.cli.exits import Exit, Incomplete, UsageProblem, exit_code
from notifyx.models import Published
from notifyx.transport import parse_answer
from notifyx_common import errors as server_errors
from notifyx_store.base import errors as store_errors


def kinds(root: type[server_errors.NotifyxError]) -> list[type[server_errors.NotifyxError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


SERVER_KINDS = [kind for kind in kinds(server_errors.NotifyxError) if kind.__module__ == server_errors.__name__][1:]
STORE_KINDS = [kind for kind in kinds(server_errors.NotifyxError) if kind.__module__ == store_errors.__name__]
NOT_ON_THE_SOCKET = ("method_not_allowed", "unsupported_media_type", "tls_required", "claimed_by_other_resource")


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_every_problem_of_the_server_is_understood(kind: type[server_errors.NotifyxError]) -> None:
    sent = kind("What is wrong.", fields=[server_errors.FieldError(field="name", reason="Too long.")])
    got = errors.from_problem(sent.to_problem(), retry_after=3)
    assert (got.code, got.reason, got.retry_after) == (kind.code, "What is wrong.", 3)
    assert (got.fields[0].field, got.fields[0].reason) == ("name", "Too long.")
    assert got.retryable == kind.retryable
    if kind is not server_errors.UnsupportedMediaType and kind is not server_errors.MethodNotAllowed:
        assert got.http_status == kind.http_status


@pytest.mark.parametrize("kind", [kind for kind in SERVER_KINDS if kind.retryable])
def test_what_may_be_repeated_may_be_over_the_socket_too(kind: type[server_errors.NotifyxError]) -> None:
    assert errors.from_reply(kind("x").to_reply()).retryable


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ({"code": "not_a_reader", "reason": "unauthorized", "detail": "No."}, errors.Forbidden),
        ({"code": "topic_not_found", "reason": "not found", "detail": "No."}, errors.NotFound),
        ({"code": "unmatched_topic", "reason": "unmatched topic"}, errors.NotFound),
        ({"code": "invalid_api_key", "reason": "unauthorized"}, errors.NotLoggedIn),
        ({"reason": "join crashed", "code": "internal"}, errors.ServerError),
        ({"code": "memory_low", "reason": "Later."}, errors.Unavailable),
        ({"code": "of_a_later_release", "reason": "unauthorized", "detail": "No."}, errors.Forbidden),
        ({"code": "of_a_later_release", "reason": "No."}, errors.Refused),
        ({}, errors.Refused),
    ],
)
def test_refusals_of_the_socket(response: dict[str, str], kind: type[errors.NotifyxError]) -> None:
    error = errors.from_reply(response)
    assert type(error) is kind
    assert error.code == response.get("code", kind.code)
    assert error.reason == response.get("detail", response.get("reason", "The socket refused this."))


@pytest.mark.parametrize("kind", [kind for kind in [*SERVER_KINDS, *STORE_KINDS] if kind.code not in NOT_ON_THE_SOCKET])
def test_the_kind_of_a_refusal_is_the_same_on_either_way(kind: type[server_errors.NotifyxError]) -> None:
    sent = kind("What is wrong.")
    assert type(errors.from_reply(sent.to_reply())) is type(errors.from_problem(sent.to_problem()))


@pytest.mark.parametrize("problem", [{}, {"status": "x"}, {"status": 418}, {"status": 599, "errors": ["x", {}]}])
def test_odd_problems(problem: dict[str, object]) -> None:
    assert isinstance(errors.from_problem(problem), errors.NotifyxError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Forbidden("x"), Exit.REFUSED),
        (errors.NotFound("x"), Exit.REFUSED),
        (UsageProblem("x"), Exit.USAGE),
        (errors.NotLoggedIn("x"), Exit.NOT_LOGGED_IN),
        (errors.InvalidRequest("x", code="invalid_grant"), Exit.NOT_LOGGED_IN),
        (errors.Unreachable("x"), Exit.UNREACHABLE),
        (errors.UntrustedCertificate("x"), Exit.UNREACHABLE),
        (errors.DeadlineExceeded("x"), Exit.UNREACHABLE),
        (errors.HistoryTruncated("t", since=1, first_seq=3, missing=1), Exit.INCOMPLETE),
        (Incomplete("x"), Exit.INCOMPLETE),
        (errors.TokenFileError("x"), Exit.LOCAL),
    ],
)
def test_exit_codes(error: errors.NotifyxError, code: Exit) -> None:
    assert exit_code(error) is code


def test_a_limit_says_how_long_to_wait_on_either_way() -> None:
    sent = server_errors.TooManyRequests("Too many.", code="rate_limited", retry_after=12.34)
    for got in (errors.from_problem(sent.to_problem(), retry_after=13), errors.from_reply(sent.to_reply())):
        assert isinstance(got, errors.TooManyRequests)
        assert (got.code, got.retry_after) == ("rate_limited", 12.34)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({}, "id is missing"),
        ({"id": 1}, "id has another form than this client knows"),
        ([], "the answer has another form"),
    ],
)
def test_an_answer_that_is_not_understood_is_told_in_words_of_this_package(answer: object, wrong: str) -> None:
    with pytest.raises(errors.UnexpectedAnswer, match=f"The server's answer is not understood: {wrong}"):
        parse_answer(Published, answer)
