"""The root of every error the client raises. ``str(error)`` is one sentence for a person; ``code`` is for programs.

The tree::

    NotifyxError
    ├── InvalidRequest     400 invalid_request    what was sent breaks a rule; ``fields`` says where
    ├── NotLoggedIn        401 unauthenticated    no credentials, or ones that are not valid (any more)
    ├── Forbidden          403 forbidden
    ├── NotFound           404 not_found
    ├── Conflict           409 conflict           e.g. ``topic_exists``, ``topic_owned_by_resource``
    ├── TooLarge           413 too_large
    ├── TooManyRequests    429 too_many_requests  retryable; ``retry_after`` seconds where the server said so
    ├── ServerError        500 internal           a defect of the deployment
    ├── Unavailable        503 unavailable        retryable; nothing was accepted
    ├── DeadlineExceeded   504 deadline_exceeded  retryable; whether it took effect is not known
    ├── Unreachable            unreachable        retryable; no connection: wrong address, network, or nobody there
    │   └── UntrustedCertificate             not retryable
    ├── AnswerLost             answer_lost        retryable; it broke before the answer: it may have taken effect
    ├── UnexpectedAnswer       unexpected_answer  who answers is no Notifyx, or one this client does not understand
    ├── HistoryTruncated       history_truncated  a subscription cannot go on without a gap
    └── TokenFileError         token_file         the file that keeps tokens cannot be used

The server may give a narrower ``code`` than the class says; the class follows from the HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that was refused: ``field`` is a dotted path, ``reason`` a short sentence."""

    field: str
    reason: str


class NotifyxError(Exception):
    """Base of all errors of this package. ``http_status`` is ``None`` where nobody answered."""

    code: str = "error"
    http_status: int | None = None
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        reason: str,
        *,
        code: str | None = None,
        fields: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fields = fields
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    def to_dict(self) -> dict[str, Any]:
        """``{"code", "reason"}``, with ``http_status`` and ``fields`` where there are any."""
        told: dict[str, Any] = {"code": self.code, "reason": self.reason}
        if self.http_status is not None:
            told["http_status"] = self.http_status
        if self.fields:
            told["fields"] = [{"field": one.field, "reason": one.reason} for one in self.fields]
        return told


class InvalidRequest(NotifyxError):
    """What was sent breaks a rule of form."""

    code = "invalid_request"
    http_status = 400


class NotLoggedIn(NotifyxError):
    """There are no credentials, or they are not valid (any more): log in again."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(NotifyxError):
    """The caller is known and may not do this."""

    code = "forbidden"
    http_status = 403


class NotFound(NotifyxError):
    """There is no such thing, or the caller may not know that there is."""

    code = "not_found"
    http_status = 404


class Conflict(NotifyxError):
    """The request collides with what is already there."""

    code = "conflict"
    http_status = 409


class TooLarge(NotifyxError):
    """The request is larger than the deployment accepts."""

    code = "too_large"
    http_status = 413


class TooManyRequests(NotifyxError):
    """A bound was reached; the same request may pass later."""

    code = "too_many_requests"
    http_status = 429
    retryable = True


class ServerError(NotifyxError):
    """A defect of the deployment; its log has the detail."""

    code = "internal"
    http_status = 500


class Unavailable(NotifyxError):
    """Something the request needs does not answer now; nothing was accepted."""

    code = "unavailable"
    http_status = 503
    retryable = True


class DeadlineExceeded(NotifyxError):
    """The answer did not come in time; whether the request took effect is not known."""

    code = "deadline_exceeded"
    http_status = 504
    retryable = True


class Unreachable(NotifyxError):
    """No connection could be made; nothing was sent."""

    code = "unreachable"
    retryable = True


class UntrustedCertificate(Unreachable):
    """Who answers cannot prove to be who was asked for."""

    code = "untrusted_certificate"
    retryable = False


class AnswerLost(NotifyxError):
    """The connection broke, or time was up, before the answer came: whether it took effect is not known."""

    code = "answer_lost"
    retryable = True


class UnexpectedAnswer(NotifyxError):
    """Who answers is no Notifyx, or one this client does not understand."""

    code = "unexpected_answer"


class HistoryTruncated(NotifyxError):
    """A subscription cannot go on without a gap.

    ``since`` is the last seq that was delivered, ``first_seq`` the oldest there still is, ``missing`` how many are
    gone. ``replaced``: the topic was deleted and made again, so that ``since`` means nothing in it. To go on, subscribe
    with ``since=error.resume_at``.
    """

    code = "history_truncated"

    def __init__(self, topic: str, *, since: int, first_seq: int, missing: int, replaced: bool = False) -> None:
        if replaced:
            reason = f"The topic '{topic}' was made anew: it ends before seq {since}, which was delivered already."
        else:
            reason = f"{missing} of what '{topic}' held after seq {since} are gone; the oldest left is seq {first_seq}."
        super().__init__(reason)
        self.topic = topic
        self.since = since
        self.first_seq = first_seq
        self.missing = missing
        self.replaced = replaced

    @property
    def resume_at(self) -> int:
        """The ``since`` that takes what is still there."""
        return max(0, self.first_seq - 1)


class TokenFileError(NotifyxError):
    """The file that keeps tokens cannot be read, written or locked."""

    code = "token_file"


AMBIGUOUS = (DeadlineExceeded, AnswerLost)
"""After these the request may have taken effect."""

_BY_STATUS: dict[int, type[NotifyxError]] = {
    400: InvalidRequest,
    401: NotLoggedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: InvalidRequest,
    429: TooManyRequests,
    500: ServerError,
    503: Unavailable,
    504: DeadlineExceeded,
}
_BY_CODE: dict[str, type[NotifyxError]] = {
    "unauthenticated": NotLoggedIn,
    "invalid_api_key": NotLoggedIn,
    "token_expired": NotLoggedIn,
    "not_found": NotFound,
    "conflict": Conflict,
    "too_many_requests": TooManyRequests,
    "too_many_channels": TooManyRequests,
    "internal": ServerError,
    "unavailable": Unavailable,
    "deadline_exceeded": DeadlineExceeded,
    "invalid_request": InvalidRequest,
    "validation_failed": InvalidRequest,
}


def from_problem(problem: Mapping[str, Any], *, retry_after: float | None = None) -> NotifyxError:
    """The error that an RFC 9457 document tells of."""
    status = problem.get("status")
    kind = _BY_STATUS.get(status) if isinstance(status, int) else None
    if kind is None:
        kind = ServerError if isinstance(status, int) and status >= 500 else InvalidRequest
    listed = problem.get("errors")
    fields = tuple(
        FieldError(str(one.get("field", "")), str(one.get("reason", "")))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, Mapping)
    )
    reason = str(problem.get("detail") or problem.get("title") or f"The request was refused with {status}.")
    return kind(reason, code=str(problem.get("code") or kind.code), fields=fields, retry_after=retry_after)


def from_reply(response: Mapping[str, Any]) -> NotifyxError:
    """The error of a socket's reply, ``{"code", "reason"}`` and for joins perhaps ``detail``."""
    code = str(response.get("code") or "")
    reason = str(response.get("detail") or response.get("reason") or "The socket refused this.")
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = {"unauthorized": Forbidden, "not found": NotFound, "unmatched topic": NotFound}.get(
            str(response.get("reason")), Forbidden
        )
    return kind(reason, code=code or kind.code)
