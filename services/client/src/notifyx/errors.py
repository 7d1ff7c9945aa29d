"""The errors of the client. ``str(error)`` is one sentence for a person; ``code`` is for programs.

The tree::

    NotifyxError
    ├── InvalidRequest     400 invalid_request    the request fails validation; ``fields`` has details
    ├── NotLoggedIn        401 unauthenticated    no credentials, or invalid or expired ones
    ├── Forbidden          403 forbidden
    ├── NotFound           404 not_found
    ├── Conflict           409 conflict           e.g. ``topic_exists``, ``topic_owned_by_resource``
    ├── TooLarge           413 too_large
    ├── TooManyRequests    429 too_many_requests  retryable; ``retry_after`` seconds if the server says so
    ├── ServerError        500 internal           a defect of the deployment
    ├── Unavailable        503 unavailable        retryable; nothing was accepted
    ├── DeadlineExceeded   504 deadline_exceeded  retryable; it may have taken effect
    ├── Unreachable            unreachable        retryable; no connection: wrong address, network, or no server
    │   └── UntrustedCertificate             not retryable
    ├── Refused                refused            the server refused for a reason that this client does not know
    ├── AnswerLost             answer_lost        retryable; no answer arrived: it may have taken effect
    ├── UnexpectedAnswer       unexpected_answer  the answer is not one of a Notifyx that this client supports
    ├── HistoryTruncated       history_truncated  a subscription cannot continue without a gap
    └── TokenFileError         token_file         the token file cannot be used

The server may send a more specific ``code`` than the class has; the class follows from the HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field of a request: ``field`` is a dotted path, ``reason`` a short sentence."""

    field: str
    reason: str


class NotifyxError(Exception):
    """Base of all errors of this package. ``http_status`` is ``None`` if there was no answer."""

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
        """Return ``{"code", "reason"}``, and ``http_status`` and ``fields`` if there are any."""
        problem: dict[str, Any] = {"code": self.code, "reason": self.reason}
        if self.http_status is not None:
            problem["http_status"] = self.http_status
        if self.fields:
            problem["fields"] = [{"field": one.field, "reason": one.reason} for one in self.fields]
        return problem


class InvalidRequest(NotifyxError):
    """The request is well formed but fails validation."""

    code = "invalid_request"
    http_status = 400


class NotLoggedIn(NotifyxError):
    """There are no credentials, or they are invalid or expired: log in again."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(NotifyxError):
    """The caller is authenticated but not permitted to do this."""

    code = "forbidden"
    http_status = 403


class NotFound(NotifyxError):
    """The object does not exist, or the caller may not know that it does."""

    code = "not_found"
    http_status = 404


class Conflict(NotifyxError):
    """The request conflicts with the current state."""

    code = "conflict"
    http_status = 409


class TooLarge(NotifyxError):
    """The request is larger than the deployment accepts."""

    code = "too_large"
    http_status = 413


class TooManyRequests(NotifyxError):
    """A limit was reached; the same request may succeed later."""

    code = "too_many_requests"
    http_status = 429
    retryable = True


class ServerError(NotifyxError):
    """A defect of the deployment; its log has the detail."""

    code = "internal"
    http_status = 500


class Unavailable(NotifyxError):
    """A part that the request needs does not answer; nothing was accepted."""

    code = "unavailable"
    http_status = 503
    retryable = True


class DeadlineExceeded(NotifyxError):
    """The deadline passed; whether the request took effect is unknown."""

    code = "deadline_exceeded"
    http_status = 504
    retryable = True


class Refused(NotifyxError):
    """The server refused, with a ``code`` that this client does not know; the sentence is the server's."""

    code = "refused"


class Unreachable(NotifyxError):
    """No connection could be made; nothing was sent."""

    code = "unreachable"
    retryable = True


class UntrustedCertificate(Unreachable):
    """The server's certificate is not trusted."""

    code = "untrusted_certificate"
    retryable = False


class AnswerLost(NotifyxError):
    """The connection broke, or timed out, before the answer: whether the request took effect is unknown."""

    code = "answer_lost"
    retryable = True


class UnexpectedAnswer(NotifyxError):
    """The answer is not one of a Notifyx that this client supports."""

    code = "unexpected_answer"


class HistoryTruncated(NotifyxError):
    """A subscription cannot continue without a gap.

    ``since`` is the last seq that was delivered, ``first_seq`` the oldest that still exists, ``missing`` the number of
    removed ones. ``restored``: the deployment was restored from a backup, and what was published after that backup is
    gone, too: seqs after ``restored_after``, the last one of the backup; how many is not known. ``replaced``: the topic
    was deleted and created again, so that ``since`` has no
    meaning in it. To continue, subscribe with ``since=error.resume_at``.
    """

    code = "history_truncated"

    def __init__(
        self,
        topic: str,
        *,
        since: int,
        first_seq: int,
        missing: int,
        replaced: bool = False,
        restored: bool = False,
        restored_after: int = 0,
    ) -> None:
        if replaced:
            reason = f"The topic '{topic}' was made anew: it ends before seq {since}, which was delivered already."
        elif restored:
            # What this client has seen of it is gone from the log alone.
            gone = f"what was published to '{topic}' between seq {max(since, restored_after)} and the restore is gone"
            removed = f", and {missing} before it were removed" if missing else ""
            reason = f"Notifyx was restored from a backup: {gone}{removed}."
        else:
            reason = f"{missing} of what '{topic}' held after seq {since} are gone; the oldest left is seq {first_seq}."
        super().__init__(reason)
        self.topic = topic
        self.since = since
        self.first_seq = first_seq
        self.missing = missing
        self.replaced = replaced
        self.restored = restored
        self.restored_after = restored_after

    @property
    def resume_at(self) -> int:
        """The ``since`` that resumes at the oldest notification that still exists."""
        return max(0, self.first_seq - 1)


class TokenFileError(NotifyxError):
    """The token file cannot be read, written or locked."""

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
    code: kind
    for kind, codes in (
        (NotLoggedIn, ("unauthenticated", "invalid_api_key", "token_expired", "session_ended")),
        (
            Forbidden,
            (
                "forbidden",
                "inbox_is_fixed",
                "missing_scope",
                "not_a_creator",
                "not_a_publisher",
                "not_a_reader",
                "other_user",
                "topic_not_covered",
            ),
        ),
        (NotFound, ("not_found", "not_subscribed", "topic_not_found", "unmatched_topic", "user_not_found")),
        (
            Conflict,
            (
                "account_storage_full",
                "conflict",
                "idempotency_conflict",
                "inbox_full",
                "inbox_subscription",
                "too_many_subscriptions",
                "too_many_topics",
                "topic_exists",
                "topic_owned_by_resource",
                "topic_paused",
            ),
        ),
        (TooLarge, ("too_large", "data_too_large")),
        (TooManyRequests, ("too_many_requests", "rate_limited", "too_many_channels", "busy")),
        (ServerError, ("internal",)),
        (Unavailable, ("unavailable", "storage_full", "memory_low")),
        (DeadlineExceeded, ("deadline_exceeded",)),
        (InvalidRequest, ("invalid_request", "validation_failed", "empty_notification", "unknown_event")),
    )
    for code in codes
}
"""The socket sends no status."""


def from_problem(problem: Mapping[str, Any], *, retry_after: float | None = None) -> NotifyxError:
    """Convert an RFC 9457 document to an error; ``retry_after`` is the header's, where the document has none."""
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
    return kind(
        reason, code=str(problem.get("code") or kind.code), fields=fields, retry_after=_seconds(problem) or retry_after
    )


def from_reply(response: Mapping[str, Any]) -> NotifyxError:
    """Convert a socket's reply, ``{"code", "reason"}`` and perhaps ``detail`` and ``retry_after``, to an error.

    A code that is not known says nothing of the kind: :class:`Refused` has it, and the sentence.
    """
    code = str(response.get("code") or "")
    reason = str(response.get("detail") or response.get("reason") or "The socket refused this.")
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = {"unauthorized": Forbidden, "not found": NotFound, "unmatched topic": NotFound}.get(
            str(response.get("reason")), Refused
        )
    return kind(reason, code=code or kind.code, retry_after=_seconds(response))


def _seconds(answer: Mapping[str, Any]) -> float | None:
    found = answer.get("retry_after")
    return float(found) if isinstance(found, int | float) and 0 <= found < float("inf") else None
