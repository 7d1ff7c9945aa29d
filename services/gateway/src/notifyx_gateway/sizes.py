"""The limits of one notification, as this deployment set them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Limits of one notification: ``body`` in characters, ``data`` in bytes of its JSON."""

    body: int = 65_536
    data: int = 96 << 10


DEFAULT_SIZES = Sizes()
