"""Messages on disk: one ``.eml`` file each, the oldest removed past a bound."""

from __future__ import annotations

import email
import email.policy
import itertools
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

from notifyx_common.clock import rfc3339

MAX_MESSAGES = 2000


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a message; ``id`` sorts by arrival."""

    id: str
    received_at: str
    sender: str
    recipients: str
    subject: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Content:
    """A whole message; ``headers`` are as they came, ``text`` and ``html`` are ``None`` where it has no such part."""

    summary: Summary
    headers: list[tuple[str, str]]
    text: str | None
    html: str | None


class Mailbox:
    """The messages of one folder."""

    def __init__(self, folder: Path, *, limit: int = MAX_MESSAGES) -> None:
        self._folder = folder
        self._limit = limit
        self._numbers = itertools.count()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, raw: bytes) -> str:
        """Keep a message; returns its id. It is on disk when this returns."""
        name = f"{time.time_ns():020d}-{next(self._numbers) % 10_000:04d}"
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path(name))
        for old in self._ids()[self._limit :]:
            self._path(old).unlink(missing_ok=True)
        return name

    def newest(self, limit: int = 200) -> list[Summary]:
        """The newest messages first."""
        return [summary for name in self._ids()[:limit] if (summary := self._summary(name)) is not None]

    def get(self, name: str) -> Content | None:
        """One message, or ``None`` when there is no such id."""
        parsed = self._parse(name)
        if parsed is None:
            return None
        text, html = (parsed.get_body((kind,)) for kind in ("plain", "html"))
        return Content(
            summary=_summarise(name, parsed),
            headers=[(key, str(value)) for key, value in parsed.items()],
            text=text.get_content() if text is not None else None,
            html=html.get_content() if html is not None else None,
        )

    def clear(self) -> None:
        """Remove every message."""
        for name in self._ids():
            self._path(name).unlink(missing_ok=True)

    def _ids(self) -> list[str]:
        return sorted((path.stem for path in self._folder.glob("*.eml")), reverse=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.eml"

    def _summary(self, name: str) -> Summary | None:
        parsed = self._parse(name)
        return _summarise(name, parsed) if parsed is not None else None

    def _parse(self, name: str) -> EmailMessage | None:
        if not name.replace("-", "").isdigit():
            return None
        try:
            raw = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        return email.message_from_bytes(raw, policy=email.policy.default)


def _summarise(name: str, message: EmailMessage) -> Summary:
    received = datetime.fromtimestamp(int(name.partition("-")[0]) / 1e9, UTC)
    return Summary(
        id=name,
        received_at=rfc3339(received),
        sender=str(message.get("From", "")),
        recipients=str(message.get("To", "")),
        subject=str(message.get("Subject", "")),
        message_id=str(message.get("Message-ID", "")),
    )
