"""Grafana's webhook contact point (version 1): alerts as Alertmanager has them, with values and links. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifyx_gateway.rest.hooks.alerts import is_alerts, read_alerts
from notifyx_gateway.rest.hooks.publication import Delivery, Part

_EXTRAS = ("values", "valueString", "dashboardURL", "panelURL", "silenceURL", "imageURL")


def recognise(payload: object) -> bool:
    """Return whether ``payload`` is Grafana's."""
    return is_alerts(payload, "1")


def read(delivery: Delivery) -> list[Part]:
    """Return one notification for each change of an alert, or one for its group."""
    return read_alerts(delivery, "Grafana", "grafana", _extras)


def _extras(alert: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: alert[name] for name in _EXTRAS if alert.get(name)}
