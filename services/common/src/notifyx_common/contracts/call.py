"""A call between services, as one value that the client, the route and the fakes of tests share.

The request of a call has one of four forms:

- ``None``: nothing;
- a pydantic model: the JSON body;
- :class:`Raw`: a JSON body that the sender has already encoded;
- a frozen dataclass: a field that the path names in braces is a part of the path, a field ``body`` is the JSON body
  (with ``None`` in its type, one that may be left out), and every other field is a query parameter, left out when it
  has its default.

The answer is ``None`` (204), a model, or :class:`Raw`, which is not parsed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Generic, Literal, TypeVar, cast, get_origin
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from notifyx_common.contracts.callers import Service
from notifyx_common.errors import NotFound, UnexpectedAnswer
from notifyx_topics.words import reason

M = TypeVar("M", bound=BaseModel)
Q = TypeVar("Q")
R = TypeVar("R")

REPEATED_HEADER = "X-Notifyx-Repeated"
"""Header of a call that may have been sent before. A node that records what it answers then records a refusal too."""

INTERNAL = "/internal/"
"""Below this path every request must carry the internal token."""

V1 = "/internal/v1"

MAX_PAGE_BYTES = 512 << 10
"""A page ends early where its items are larger than this together; its last item may go beyond it."""

MAX_ITEM_BYTES = 1 << 20
"""More than the JSON of any item of a page."""

BODY = "body"
"""The field of a request's dataclass that is its JSON body."""


def _whole_number(text: object) -> object:
    if isinstance(text, str) and not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise ValueError("this is a whole number")
    return text


Number = Annotated[int, BeforeValidator(_whole_number)]
"""A whole number in a query, in decimal digits alone; bounds are added where it is used."""


DEFERRED = ConfigDict(defer_build=True)
"""Builds a validator at its first use: of the models that a process imports it uses some."""


class Model(BaseModel):
    """Base of models: deferred."""

    model_config = DEFERRED


class RequestModel(Model):
    """Base of requests: frozen, without unknown members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Raw(Generic[M]):
    """The unparsed JSON of an ``M``: pages and batches are forwarded as bytes where speed matters."""

    content: bytes

    @classmethod
    def of(cls, model: M) -> Raw[M]:
        """Encode ``model``."""
        return cls(model.model_dump_json().encode())

    def read(self, kind: type[M]) -> M:
        """Parse the content. Raises :class:`UnexpectedAnswer`."""
        try:
            return kind.model_validate_json(self.content)
        except ValidationError as error:
            raise _unexpected(error) from None


@dataclass(frozen=True, slots=True)
class Message:
    """A request as HTTP carries it."""

    path: str
    query: dict[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Call(Generic[Q, R]):
    """One internal call. ``Q`` is the type of its request and ``R`` of its answer, in the forms of this module."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

    path: str
    """The path; names in braces are fields of the request."""

    request: type[Q]

    response: type[R]

    _: dataclasses.KW_ONLY

    idempotent: bool | None = None
    """Whether a call of unknown outcome may be sent again; by default GET, PUT and DELETE may."""

    hedged: bool | None = None
    """Whether a second node may get the call while the first one owes its answer, by default with GET: one of them then
    carries it out after its caller has the answer, and perhaps made other calls, and must not spoil what those did."""

    settles: Callable[[bytes], bool] | None = None
    """For a hedged call that changes something: whether an answer to the first request is that of each other one.

    An answer to a repeated request (:data:`REPEATED_HEADER`) always is.
    """

    caller: Literal["service", "principal", "system"] = "service"
    """For whom: the calling service itself, a principal that it names, or only a part of the platform."""

    callers: frozenset[Service] = frozenset({"gateway"})
    """The services that may make this call."""

    status: int = 200
    """The status of a success; 204 for an empty answer."""

    large: int = 0
    """The size of an answer that may be large, at most, in bytes: memory is reserved for it. 0: it is small."""

    @cached_property
    def repeatable(self) -> bool:
        """Whether a call of unknown outcome may be sent again."""
        return self.method in ("GET", "PUT", "DELETE") if self.idempotent is None else self.idempotent

    @cached_property
    def may_be_hedged(self) -> bool:
        """Whether a second node may get the call while the first one owes its answer."""
        return self.repeatable and (self.method == "GET" if self.hedged is None else self.hedged)

    @cached_property
    def operation(self) -> str:
        """The metric label: the method, and the fixed part of the path up to the subject."""
        return f"{self.method} {'/'.join(self.path.split('/')[:4])}"

    @cached_property
    def empty(self) -> bool:
        """Whether a success has no body."""
        return self.response is type(None)

    @cached_property
    def raw(self) -> bool:
        """Whether the answer is left unparsed."""
        return get_origin(self.response) is Raw

    def encode(self, request: Q) -> Message:
        """Return ``request`` as an HTTP message. Raises :class:`NotFound` for a value that no path can hold."""
        if not dataclasses.is_dataclass(request) or isinstance(request, Raw):
            return Message(self.path, {}, _content(request))
        path, query, body = self.path, {}, None
        for field in dataclasses.fields(request):
            value = getattr(request, field.name)
            placeholder = f"{{{field.name}}}"
            if placeholder in path:
                path = path.replace(placeholder, path_part(value))
            elif field.name == BODY:
                body = _content(value)
            elif value is not None and value != field.default:
                query[field.name] = str(value).lower() if isinstance(value, bool) else str(value)
        return Message(path, query, body)

    def decode(self, content: bytes) -> R:
        """Read the answer. Raises :class:`UnexpectedAnswer`."""
        if self.empty:
            return cast(R, None)
        if self.raw:
            return cast(R, Raw(content))
        assert issubclass(self.response, BaseModel), "an answer is a model, raw, or nothing"
        try:
            return self.response.model_validate_json(content)
        except ValidationError as error:
            raise _unexpected(error) from None


def path_part(value: str) -> str:
    """Quote ``value`` as one part of a path.

    Raises :class:`NotFound` for an empty part and for dots alone: clients and servers read those as another path.
    """
    if not value.strip("."):
        raise NotFound("Nothing can have this name.")
    return quote(value, safe="")


def _content(body: object) -> bytes | None:
    if body is None:
        return None
    if isinstance(body, Raw):
        return body.content
    assert isinstance(body, BaseModel), "a body is a model, raw, or nothing"
    # In every request None means the same as an absent member.
    return body.model_dump_json(exclude_none=True).encode()


def _unexpected(error: ValidationError) -> UnexpectedAnswer:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    return UnexpectedAnswer(
        f"A service gave an answer that is not understood ({place}: {reason(first).removesuffix('.')})."
    )
