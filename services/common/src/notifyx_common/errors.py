"""The errors of Notifyx's services, and their form on the wire.

An error that reaches a user is one clear sentence with a stable ``code``. REST sends it as RFC 9457
``application/problem+json``; the socket sends it as ``{"code", "reason"}``. Both come from the same
:class:`NotifyxError`, so that programs see the same code everywhere.

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
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """One field of a rejected request: ``field`` is a dotted path, ``reason`` a short sentence."""

    model_config = ConfigDict(frozen=True)

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Quota:
    """A rate limit as its user sees it: ``burst`` actions at once, and as many again within ``window`` seconds."""

    name: str
    burst: int
    window: float


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
        quota: Quota | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause
        """What lies behind the reason, in a sentence for who runs the platform; empty if the reason says it."""
        self.fields = tuple(fields)
        self.retry_after = retry_after
        """Seconds after which the same request may succeed; ``None`` if unknown."""
        self.quota = quota
        """The rate limit that was reached, if one was."""
        if code is not None:
            self.code = code

    @property
    def technical(self) -> str:
        """The sentence for logs: what lies behind the reason, if that says more."""
        return self.cause or self.reason

    def to_problem(self) -> dict[str, Any]:
        """Return the RFC 9457 document: ``type, title, status, detail, code``; for validation ``errors``; and what is
        known of ``cause``, ``retry_after`` (seconds) and ``limit`` (name, burst, window in seconds).
        """
        problem: dict[str, Any] = {
            "type": f"https://notifyx.dev/errors/{self.code}",
            "title": self.title,
            "status": self.http_status,
            "detail": self.reason,
            "code": self.code,
        }
        if self.fields:
            problem["errors"] = [field.model_dump() for field in self.fields]
        if self.cause:
            problem["cause"] = self.cause
        return {**problem, **self._when()}

    def to_reply(self) -> dict[str, Any]:
        """Return the form for the socket: ``{"code", "reason"}``; ``retry_after`` and ``limit`` as in a problem."""
        return {"code": self.code, "reason": self.reason, **self._when()}

    def _when(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.retry_after is not None:
            found["retry_after"] = round(self.retry_after, 3)
        if self.quota is not None:
            found["limit"] = {"name": self.quota.name, "burst": self.quota.burst, "window": self.quota.window}
        return found

    @classmethod
    def from_problem(cls, problem: Mapping[str, Any]) -> NotifyxError:
        """Return the error that another service answered, so that a code passes through services unchanged."""
        status = problem.get("status")
        kind = _BY_STATUS.get(status, Internal) if isinstance(status, int) else Internal
        raw_fields = problem.get("errors", ())
        return kind(
            str(problem.get("detail", kind.title)),
            code=str(problem.get("code", kind.code)),
            fields=[FieldError.model_validate(item) for item in raw_fields],
            retry_after=_seconds(problem.get("retry_after")),
            quota=_quota(problem.get("limit")),
            cause=str(problem.get("cause", "")),
        )

    def with_reason(self, reason: str) -> Self:
        """Return the same error with another sentence."""
        return type(self)(
            reason,
            code=self.code,
            fields=self.fields,
            retry_after=self.retry_after,
            quota=self.quota,
            cause=self.cause,
        )


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < float("inf") else None


def _quota(value: object) -> Quota | None:
    match value:
        case {"name": str(name), "burst": int(burst), "window": int() | float() as window}:
            return Quota(name, burst, float(window))
    return None


class InvalidRequest(NotifyxError):
    """The request is malformed, or well formed but fails validation."""

    code = "invalid_request"
    http_status = 400
    title = "Invalid request"

    @classmethod
    def of_field(cls, name: str, reason: str) -> Self:
        """Return the error for one invalid field, parameter or header; ``reason`` is a sentence."""
        return cls(
            f"The request is not valid: {name}: {reason}",
            code="validation_failed",
            fields=[FieldError(field=name, reason=reason)],
        )


class Unauthenticated(NotifyxError):
    """There are no credentials, or they are invalid or expired."""

    code = "unauthenticated"
    http_status = 401
    title = "Not authenticated"


class Forbidden(NotifyxError):
    """The caller is authenticated but has no permission for this."""

    code = "forbidden"
    http_status = 403
    title = "Not allowed"


class NotFound(NotifyxError):
    """The object does not exist, or the caller may not know that it exists."""

    code = "not_found"
    http_status = 404
    title = "Not found"


class MethodNotAllowed(NotifyxError):
    """The path exists but does not accept this method."""

    code = "method_not_allowed"
    http_status = 405
    title = "Method not allowed"


class Conflict(NotifyxError):
    """The request conflicts with existing data."""

    code = "conflict"
    http_status = 409
    title = "Conflict"


class TooLarge(NotifyxError):
    """The body or frame exceeds the limit of this deployment."""

    code = "too_large"
    http_status = 413
    title = "Too large"


class UnsupportedMediaType(NotifyxError):
    """The endpoint does not accept this content type or encoding."""

    code = "unsupported_media_type"
    http_status = 415
    title = "Unsupported media type"


class TooManyRequests(NotifyxError):
    """A limit was reached; the same request may succeed later."""

    code = "too_many_requests"
    http_status = 429
    retryable = True
    title = "Too many requests"


class Internal(NotifyxError):
    """A defect of the service. The details are in the log, not in the answer."""


class UnexpectedAnswer(Internal):
    """Another service gave an answer that does not match the contract."""


BUSY = "busy"
"""Code of an :class:`Unavailable` that concerns large answers alone: the node serves other requests."""


STORAGE_FULL = "storage_full"
MEMORY_LOW = "memory_low"
"""Codes of an :class:`Unavailable` of a node that serves its readers: PostgreSQL, or its own memory, is nearly full."""

SEARCH_TIMEOUT = "search_timeout"
"""Code of an :class:`Unavailable` of a search that takes too long: it would at every node, and others do not."""


class Unavailable(NotifyxError):
    """A dependency of this request does not answer now; nothing was accepted."""

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
