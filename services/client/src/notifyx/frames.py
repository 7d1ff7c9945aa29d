"""The frames of Phoenix Channels, version 2, that this client uses. Pure: text in, text out.

Every frame is ``[join_ref, ref, topic, event, payload]``.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

QUERY = "vsn=2.0.0"
SUBPROTOCOL = "phoenix"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, from or to the server."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any

    def encode(self) -> str:
        """Return the frame as text."""
        return json.dumps([self.join_ref, self.ref, self.topic, self.event, self.payload], separators=(",", ":"))


def decode(text: str) -> Frame | None:
    """Return the frame in ``text``; ``None`` if it is not a valid frame."""
    try:
        parts = json.loads(text)
    except ValueError:
        return None
    if not isinstance(parts, list) or len(parts) < 5:
        return None
    join_ref, ref, topic, event, payload = parts[:5]
    if not isinstance(topic, str) or not isinstance(event, str):
        return None
    return Frame(
        join_ref if isinstance(join_ref, str) else None, ref if isinstance(ref, str) else None, topic, event, payload
    )


def reply(frame: Frame) -> tuple[bool, dict[str, Any]]:
    """Return whether a ``phx_reply`` is ok, and its response."""
    payload = frame.payload if isinstance(frame.payload, dict) else {}
    response = payload.get("response")
    return payload.get("status") == "ok", response if isinstance(response, dict) else {}


def subprotocols(token: str) -> tuple[str, str]:
    """Return the offered ``Sec-WebSocket-Protocol``s. They carry the token, which in a URL would be logged."""
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    return SUBPROTOCOL, f"base64url.bearer.phx.{encoded}"


def channel(topic: str) -> str:
    """Return the channel of a topic; ``user:...`` is an inbox."""
    return topic if topic.startswith("user:") else f"topic:{topic}"
