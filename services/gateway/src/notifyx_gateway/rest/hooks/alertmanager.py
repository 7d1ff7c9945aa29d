"""Alertmanager's webhook, version 4 (``webhook_configs``). Pure."""

from __future__ import annotations

from notifyx_gateway.rest.hooks.alerts import is_alerts, read_alerts
from notifyx_gateway.rest.hooks.publication import Delivery, Part


def recognise(payload: object) -> bool:
    """Return whether ``payload`` is Alertmanager's."""
    return is_alerts(payload, "4")


def read(delivery: Delivery) -> list[Part]:
    """Return one notification for each change of an alert, or one for its group."""
    return read_alerts(delivery, "Alertmanager", "am")
