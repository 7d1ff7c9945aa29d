import pytest

from notifyx_common import errors
from notifyx_common.errors import Conflict, FieldError, InvalidRequest, NotFound, NotifyxError, Unavailable


def test_a_problem_crosses_a_service_unchanged() -> None:
    original = Conflict("The topic is owned by default/deploys.", code="topic_owned_by_resource")
    copy = NotifyxError.from_problem(original.to_problem())
    assert type(copy) is Conflict
    assert (copy.code, copy.reason, copy.http_status) == (original.code, original.reason, 409)


def test_fields_cross_too() -> None:
    original = InvalidRequest("No.", fields=[FieldError(field="body", reason="too long")])
    copy = NotifyxError.from_problem(original.to_problem())
    assert copy.fields == original.fields


def test_what_lies_behind_a_reason_crosses_too() -> None:
    original = Unavailable("Topics cannot be reached.", cause="No store node is known.")
    assert (
        NotifyxError.from_problem(original.to_problem()).cause == original.with_reason("Later.").cause == original.cause
    )


@pytest.mark.parametrize("problem", [{}, {"status": "409"}, {"status": 299}, {"status": None, "detail": 7}])
def test_a_problem_without_form_is_internal(problem: dict[str, object]) -> None:
    assert NotifyxError.from_problem(problem).http_status == 500


def test_a_reply_tells_code_and_reason() -> None:
    assert NotFound("There is no topic 'x'.").to_reply() == {"code": "not_found", "reason": "There is no topic 'x'."}


def test_every_error_is_rooted_in_one() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, NotifyxError) for kind in kinds)
    assert Unavailable.retryable
    assert not Conflict.retryable
