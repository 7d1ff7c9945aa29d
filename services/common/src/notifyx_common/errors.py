"""The root of every error a Notifyx service raises, and its form on the wire.

An error that reaches a user is one clear sentence with a stable ``code``. REST shows it as RFC 9457
``application/problem+json``; the socket shows it as ``{"code", "reason"}``. Both are made from the same
:class:`NotifyxError`, so that a program can rely on the code wherever it meets it.

The tree::

    NotifyxError
    ├── InvalidRequest        400 invalid_request      (with a list of fields, when known)
    ├── Unauthenticated       401 unauthenticated
    ├── Forbidden             403 forbidden
    ├── NotFound              404 not_found
    ├── MethodNotAllowed      405 method_not_allowed
    ├── Conflict              409 conflict             (subclasses and callers give a narrower code)
    ├── TooLarge              413 too_large
    ├── UnsupportedMediaType  415 unsupported_media_type
    ├── TooManyRequests       429 too_many_requests    retryable
    ├── Internal              500 internal
    │   └── UnexpectedAnswer
    ├── Unavailable           503 unavailable          retryable
    └── DeadlineExceeded      504 deadline_exceeded    retryable
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """One field of a request that was refused: ``field`` is a dotted path, ``reason`` a short sentence."""

    model_config = ConfigDict(frozen=True)

    field: str
    reason: str


class NotifyxError(Exception):
    """Base of all errors; ``str(error)`` is the sentence a user may read (it never holds a secret)."""

    code: str = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        reason: str,
        *,
        code: str | None = None,
        fields: Sequence[FieldError] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fields = tuple(fields)
        self.retry_after = retry_after
        """Seconds after which the same request can pass, where they are known."""
        if code is not None:
            self.code = code

    def to_problem(self) -> dict[str, Any]:
        """The RFC 9457 document: ``type, title, status, detail, code`` and, for validation, ``errors``."""
        problem: dict[str, Any] = {
            "type": f"https://notifyx.dev/errors/{self.code}",
            "title": self.title,
            "status": self.http_status,
            "detail": self.reason,
            "code": self.code,
        }
        if self.fields:
            problem["errors"] = [field.model_dump() for field in self.fields]
        return problem

    def to_reply(self) -> dict[str, Any]:
        """The socket's form: ``{"code", "reason"}``."""
        return {"code": self.code, "reason": self.reason}

    @classmethod
    def from_problem(cls, problem: Mapping[str, Any]) -> NotifyxError:
        """The error a peer service answered with, so that a code crosses services unchanged."""
        status = problem.get("status")
        kind = _BY_STATUS.get(status, Internal) if isinstance(status, int) else Internal
        raw_fields = problem.get("errors", ())
        fields = [FieldError.model_validate(item) for item in raw_fields]
        return kind(str(problem.get("detail", kind.title)), code=str(problem.get("code", kind.code)), fields=fields)

    def with_reason(self, reason: str) -> Self:
        """The same kind and code with another sentence."""
        return type(self)(reason, code=self.code, fields=self.fields, retry_after=self.retry_after)


class InvalidRequest(NotifyxError):
    """The request cannot be understood or breaks a rule of form."""

    code = "invalid_request"
    http_status = 400
    title = "Invalid request"


class Unauthenticated(NotifyxError):
    """No credentials, or ones that are not valid (any more)."""

    code = "unauthenticated"
    http_status = 401
    title = "Not authenticated"


class Forbidden(NotifyxError):
    """The caller is known and may not do this."""

    code = "forbidden"
    http_status = 403
    title = "Not allowed"


class NotFound(NotifyxError):
    """There is no such thing, or the caller may not know that there is."""

    code = "not_found"
    http_status = 404
    title = "Not found"


class MethodNotAllowed(NotifyxError):
    """The path exists; this method does not."""

    code = "method_not_allowed"
    http_status = 405
    title = "Method not allowed"


class Conflict(NotifyxError):
    """The request collides with what is already there."""

    code = "conflict"
    http_status = 409
    title = "Conflict"


class TooLarge(NotifyxError):
    """The body or frame is larger than this deployment accepts."""

    code = "too_large"
    http_status = 413
    title = "Too large"


class UnsupportedMediaType(NotifyxError):
    """The content type or encoding is not one this endpoint reads."""

    code = "unsupported_media_type"
    http_status = 415
    title = "Unsupported media type"


class TooManyRequests(NotifyxError):
    """A bound was reached; the same request may pass later."""

    code = "too_many_requests"
    http_status = 429
    retryable = True
    title = "Too many requests"


class Internal(NotifyxError):
    """A defect of ours; the detail is in the log, not in the answer."""


class UnexpectedAnswer(Internal):
    """Another service gave an answer that is not in the form the two have agreed on."""


class Unavailable(NotifyxError):
    """Something this request needs does not answer now; nothing was accepted."""

    code = "unavailable"
    http_status = 503
    retryable = True
    title = "Unavailable"


class DeadlineExceeded(NotifyxError):
    """The answer did not come in time; whether the request took effect is unknown."""

    code = "deadline_exceeded"
    http_status = 504
    retryable = True
    title = "Deadline exceeded"


_BY_STATUS: dict[int, type[NotifyxError]] = {
    kind.http_status: kind
    for kind in (
        InvalidRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        TooLarge,
        UnsupportedMediaType,
        TooManyRequests,
        Internal,
        Unavailable,
        DeadlineExceeded,
    )
}
