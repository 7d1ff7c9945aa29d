"""The limits of one notification, as this deployment set them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from notifyx_common.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Sizes:
    """Limits of one notification: ``body`` in characters, ``data`` in bytes of its JSON."""

    body: int = 65_536
    data: int = 96 << 10

    def require_body(self, notification: Any) -> None:
        """Raise :class:`InvalidRequest` for a notification in decoded JSON whose body is too long.

        It comes before the rules of the contract, which would tell the most that any deployment takes.
        """
        if isinstance(notification, dict) and isinstance(notification.get("body"), str):
            self.require_length(notification["body"])

    def require_length(self, body: str) -> None:
        """Raise :class:`InvalidRequest` for a body that is too long."""
        if len(body) > self.body:
            raise InvalidRequest.of_field("body", f"Use at most {self.body} characters.")


DEFAULT_SIZES = Sizes()
