"""Answers the calls that are made most without Quart: no contexts, no routing of its own, one write.

A view that :func:`direct` marks takes the parts of its path, reads its request through ``current``, and returns a
:class:`~notifyx_common.serving.replies.Reply`. Quart serves it like any other view; the connection calls it itself for
a request that ``direct_request`` recognises. Both ways run the same view and the same steps before and after it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from hypercorn.config import Config
from quart import Quart, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from notifyx_common.serving.answers import Answer, AnswerBudget, budget_of
from notifyx_common.serving.current import AnyRequest, current_request, direct_request
from notifyx_common.serving.direct_request import DirectRequest, read_direct
from notifyx_common.serving.frames import release_frames
from notifyx_common.serving.replies import Reply

View = Callable[..., Awaitable[Reply]]

MAX_PATHS = 4096
"""Maximum number of paths whose route is cached."""

_EXTENSION = "notifyx.direct"
_MARK = "notifyx_direct_view"


def direct(view: View) -> Callable[..., Awaitable[Response]]:
    """Return ``view`` for Quart, marked so that it may be called directly."""

    @functools.wraps(view)
    async def framed(**parts: str) -> Response:
        return (await view(**parts)).response()

    setattr(framed, _MARK, view)
    return framed


@dataclass(frozen=True, slots=True)
class DirectSteps:
    """What an app does before and after a view that is called directly, each as its hooks of Quart do."""

    errors: dict[type[Exception], Callable[[Exception], Reply]] = field(default_factory=dict)
    """Each returns the answer to an exception of its type, or raises it again; the one of the nearest type counts."""

    before: list[Callable[[DirectRequest], None]] = field(default_factory=list)
    after: list[Callable[[DirectRequest, int, dict[str, str]], None]] = field(default_factory=list)
    """Each gets the status, and the headers to which it may add."""

    @classmethod
    def of(cls, app: Quart) -> Self | None:
        """Return those of ``app``; ``None`` if it has none, and is not served directly."""
        found: Self | None = app.extensions.get(_EXTENSION)
        return found

    def install(self, app: Quart) -> None:
        """Let the marked views of ``app`` be served directly."""
        app.extensions[_EXTENSION] = self

    def reply_to(self, error: Exception) -> Reply:
        """Return the answer to what a step or a view raised."""
        for kind in type(error).__mro__:
            if (render := self.errors.get(kind)) is not None:
                reply = render(error)
                release_frames(error)
                return reply
        raise error


def before_each(app: Quart, step: Callable[[AnyRequest], None]) -> None:
    """Take ``step`` before each request of ``app`` is answered, on both ways."""

    async def before() -> None:
        step(current_request())

    app.before_request(before)
    steps = DirectSteps.of(app)
    if steps is not None:
        steps.before.append(step)


def answer_errors(app: Quart, kind: type[Exception], render: Callable[[Exception], Reply]) -> None:
    """Answer each exception of that type with what ``render`` returns, on both ways."""

    async def handler(error: Exception) -> Response:
        return render(error).response()

    app.register_error_handler(kind, handler)
    steps = DirectSteps.of(app)
    if steps is not None:
        steps.errors[kind] = render


@dataclass(frozen=True, slots=True)
class Target:
    """A view, the parts of the path that it takes, and the names of its route."""

    view: View
    parts: Mapping[str, Any]
    route: str
    blueprint: str | None


class DirectCalls:
    """The views of an app that may be called directly."""

    def __init__(self, app: Quart, steps: DirectSteps, budget: AnswerBudget) -> None:
        self._steps = steps
        self._budget = budget
        self._max_length: int | None = app.config["MAX_CONTENT_LENGTH"]
        self._views: dict[str, View] = {
            endpoint: getattr(function, _MARK)
            for endpoint, function in app.view_functions.items()
            if hasattr(function, _MARK)
        }
        self._routes = app.url_map.bind("")
        self._find = functools.lru_cache(maxsize=MAX_PATHS)(self._match)
        self._second = 0
        self._of_server: Sequence[tuple[bytes, bytes]] = ()

    @classmethod
    def of(cls, app: Quart) -> Self | None:
        """Return the views of ``app``; ``None`` if none is served directly."""
        steps, budget = DirectSteps.of(app), budget_of(app)
        return None if steps is None or budget is None else cls(app, steps, budget)

    def read(self, data: bytes, peer: str, scheme: str) -> tuple[DirectRequest, Target, int] | None:
        """Return the request with which ``data`` begins, its view and its size; ``None`` if it is for Quart.

        The size is larger than ``data`` if the body is not complete.
        """
        found = read_direct(data, peer, scheme)
        if found is None:
            return None
        request, size = found
        if self._max_length is not None and request.content_length > self._max_length:
            return None
        target = self._find(request.method, request.path)
        return None if target is None else (request, target, size)

    def server_headers(self, config: Config) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers of all answers, which change once a second."""
        second = int(time.time())
        if second != self._second:
            self._second, self._of_server = second, config.response_headers("h11")
        return self._of_server

    async def answer(self, request: DirectRequest, target: Target) -> tuple[Reply, dict[str, str]]:
        """Return the reply and all of its headers but those of the connection. ``request.answer`` has to be released.

        Raises nothing but a cancellation.
        """
        request.answer = Answer(self._budget)
        request.route, request.blueprint = target.route, target.blueprint
        token = direct_request.set(request)
        try:
            try:
                for before in self._steps.before:
                    before(request)
                reply = await target.view(**target.parts)
                request.answer.settle(len(reply.content))
            except Exception as error:  # noqa: BLE001 - it is answered, and logged where nobody expects it
                reply = self._steps.reply_to(error)
            headers = dict(reply.headers)
            for after in self._steps.after:
                after(request, reply.status, headers)
        finally:
            direct_request.reset(token)
        request.answer.shrink(len(reply.content))
        return reply, headers

    def _match(self, method: str, path: str) -> Target | None:
        try:
            rule, parts = self._routes.match(path, method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None
        view = self._views.get(rule.endpoint)
        if view is None:
            return None
        blueprint, _, _ = rule.endpoint.rpartition(".")
        return Target(view, parts, rule.rule, blueprint or None)
