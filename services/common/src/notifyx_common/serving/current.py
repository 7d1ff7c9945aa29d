"""The request that is being answered, by Quart or directly (``direct``): handlers need not know which."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TypeAlias

from quart import Request, g, request

from notifyx_common.serving.direct_request import DirectRequest
from notifyx_common.serving.request_state import RequestState

AnyRequest: TypeAlias = "Request | DirectRequest"

direct_request: ContextVar[DirectRequest | None] = ContextVar("direct_request", default=None)
"""The request that is answered directly in this context."""


def current_request() -> AnyRequest:
    """Return the request that is being answered."""
    return direct_request.get() or request


def current_state() -> RequestState:
    """Return what is known about the request, or the socket, that is being answered."""
    direct = direct_request.get()
    if direct is not None:
        return direct.state
    state: RequestState | None = g.get("state")
    if state is None:
        state = g.state = RequestState()
    return state
