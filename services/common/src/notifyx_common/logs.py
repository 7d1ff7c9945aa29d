"""Structured logging: one JSON object a line (or coloured text for people), never with a secret in it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECURITY_LOGGER = "notifyx.security"
"""Logger of security events, which are logged whatever the level of the other lines."""

_SECRET_KEYS = re.compile(r"(password|secret|token|authorization|api_key|cookie)", re.IGNORECASE)
_SECRET_VALUES = re.compile(
    r"(nfx_[A-Za-z0-9]+_|nfr_)[A-Za-z0-9_-]+|(eyJ[A-Za-z0-9_-]+\.)[A-Za-z0-9_.-]+|(//[^/:@\s]+:)[^@\s/]+@"
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask values that look like a credential, by their key and their format."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = "***"
        elif isinstance(value, str):
            event[key] = _mask(value)
    return event


def _mask(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        kept = next((group for group in match.groups() if group), "")
        return f"{kept}***" + ("@" if match.group(0).endswith("@") else "")

    return _SECRET_VALUES.sub(replace, text)


def configure(*, service: str, instance: str, level: str = "INFO", style: str = "json") -> None:
    """Configure logging for the process; each program's ``main`` calls this once."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if style == "console"
        else [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("hypercorn.access").setLevel("WARNING")
    logging.getLogger(SECURITY_LOGGER).setLevel("INFO")
    structlog.contextvars.bind_contextvars(service=service, instance=instance)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose methods accept an event name and key-value pairs."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
