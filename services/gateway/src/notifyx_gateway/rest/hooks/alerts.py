"""The form of alerts that Alertmanager made and Grafana shares: an alert each, or their group as one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from notifyx_common.contracts.store.names import PRIORITY_ORDER, Priority
from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.event_text import counted
from notifyx_gateway.rest.hooks.plain_text import as_written
from notifyx_gateway.rest.hooks.publication import MAX_PARTS, Delivery, Part, event_key, mapping, text
from notifyx_topics.visible import is_visible

PRIORITIES: Mapping[str, Priority] = {
    "critical": "urgent", "page": "urgent", "fatal": "urgent", "emergency": "urgent", "error": "high", "high": "high",
    "major": "high", "warning": "high", "warn": "high", "info": "low", "low": "low", "none": "low",
}  # fmt: skip
"""Priority of a firing alert by its label ``severity``, in lower case; any other is ``normal``."""

_NO_TIMES = ("", "0001-01-01T00:00:00Z")
"""How an alert has no ``startsAt``: as programs in Go write it, too."""

MAX_LEFT_OUT = 1_000_000_000
"""Maximum ``truncatedAlerts`` that is accepted."""


Extras = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""What the data of an alert hold beyond what both senders have."""


def read_alerts(delivery: Delivery, sender: str, prefix: str, extras: Extras = lambda _: {}) -> list[Part]:
    """Return the notifications of the alerts that ``sender`` sent. ``prefix`` begins their keys."""
    payload = mapping(delivery.payload)
    alerts = payload.get("alerts")
    if not isinstance(alerts, list):
        raise InvalidRequest(f"This is no webhook of {sender}: it has no list 'alerts'.", code="unknown_webhook")
    # A sender sends nothing again that was refused for its size: what is read is published, and the rest is counted.
    read, left_out = alerts[:MAX_PARTS], len(alerts[MAX_PARTS:]) + _truncated(payload)
    if delivery.each == "group":
        return [_group(delivery, prefix, [mapping(alert) for alert in read], left_out)]
    parts = [_alert(delivery, prefix, number, alert, extras) for number, alert in enumerate(read, 1)]
    if left_out:
        parts.append(_left_out(delivery, prefix, left_out, read))
    return parts


def _truncated(payload: Mapping[str, Any]) -> int:
    """Return how many alerts the sender left out."""
    count = payload.get("truncatedAlerts")
    return count if type(count) is int and 0 < count <= MAX_LEFT_OUT else 0


def state_of(alert: Mapping[str, Any]) -> str:
    """Return ``resolved`` or ``firing``."""
    return "resolved" if text(alert.get("status")).lower() == "resolved" else "firing"


def title_of(alert: Mapping[str, Any]) -> str:
    """Return what the alert is about, in the first words that say it."""
    labels, annotations = mapping(alert.get("labels")), mapping(alert.get("annotations"))
    found = (annotations.get("summary"), annotations.get("title"), labels.get("alertname"), annotations.get("message"),
             annotations.get("description"))  # fmt: skip
    return next((words for words in map(text, found) if is_visible(words)), "Alert without a name")


def where_of(alert: Mapping[str, Any], title: str) -> str:
    """Return the alert's name and instance as far as ``title`` does not have them: summaries are often alike."""
    labels = mapping(alert.get("labels"))
    name, instance = (
        words if is_visible(words) and words.casefold() not in title.casefold() else ""
        for words in (text(labels.get(label)) for label in ("alertname", "instance"))
    )
    return f"{name} on {instance}" if name and instance else name or instance


def priority_of(alert: Mapping[str, Any]) -> Priority:
    """Return the priority: that of its severity while it fires."""
    if state_of(alert) == "resolved":
        return "normal"
    return PRIORITIES.get(text(mapping(alert.get("labels")).get("severity")).lower(), "normal")


def state_key(prefix: str, alert: Mapping[str, Any], state: str) -> str | None:
    """Return the key of one change of an alert's state, and ``None`` for an alert without its beginning.

    It has neither wording nor values, which differ in repeats, nor the time of the end, which differs between the two
    Alertmanagers of a pair. Only the beginning distinguishes a repeat from the next alert of the same labels, and
    nothing may be lost: what has none is published each time.
    """
    started = text(alert.get("startsAt"))
    if started in _NO_TIMES:
        return None
    labels = mapping(alert.get("labels"))
    name = text(alert.get("fingerprint")) or orjson.dumps(_texts(labels), option=orjson.OPT_SORT_KEYS).decode()
    return event_key(prefix, name, state, started)


def _group_key(delivery: Delivery, prefix: str, what: str, alerts: list[Any], *more: object) -> str | None:
    """Return the key of ``what`` is published of the states of a group's alerts; ``None`` if one of them has none."""
    states = [state_key(prefix, alert, state_of(alert)) for alert in map(mapping, alerts)]
    if None in states:
        return None
    group = text(mapping(delivery.payload).get("groupKey"))
    return event_key(f"{prefix}-{what}", group, *more, *sorted(filter(None, states)))


def _alert(delivery: Delivery, prefix: str, number: int, alert: Any, extras: Extras) -> Part:
    if not isinstance(alert, dict) or not (mapping(alert.get("labels")) or mapping(alert.get("annotations"))):
        return InvalidRequest(f"Alert {number} has neither labels nor annotations.", code="invalid_alert")
    state, annotations = state_of(alert), mapping(alert.get("annotations"))
    title = title_of(alert)
    body = next((words for words in (text(annotations.get(name)) for name in ("description", "message")) if words), "")
    data = {
        "status": state,
        "labels": mapping(alert.get("labels")),
        "annotations": annotations,
        **{name: alert[name] for name in ("startsAt", "fingerprint", "generatorURL") if alert.get(name)},
        **({"endsAt": alert.get("endsAt")} if state == "resolved" else {}),
        **extras(alert),
    }
    if state == "resolved" and (closed := state_key(prefix, alert, "firing")) is not None:
        # Readers that keep a list of what fires find the alert by this key.
        data["closes"] = closed
    where = where_of(alert, f"{title}\n{body}")
    return delivery.publication(
        f"Resolved: {title}" if state == "resolved" else title,
        "\n\n".join(as_written(part) for part in (where, "" if body == title else body) if part),
        data,
        priority=priority_of(alert),
        key=state_key(prefix, alert, state),
    )


def _group(delivery: Delivery, prefix: str, alerts: list[Mapping[str, Any]], left_out: int) -> Part:
    if not alerts:
        return InvalidRequest("This group has no alerts.", code="invalid_alert")
    payload = mapping(delivery.payload)
    firing = [alert for alert in alerts if state_of(alert) == "firing"]
    labels = mapping(payload.get("groupLabels"))
    name = ", ".join(text(value) for value in labels.values()) or title_of(alerts[0])
    heading = f"{len(firing)} firing" if firing else "Resolved"
    lines = [f"{'' if state_of(alert) == 'firing' else 'Resolved: '}{_line(alert)}" for alert in alerts]
    data: dict[str, Any] = {"status": "firing" if firing else "resolved", "groupLabels": labels, "alerts": alerts}
    if left_out:
        lines.append(f"and {left_out} more")
        data["leftOut"] = left_out
    return delivery.publication(
        f"{heading}: {name}",
        "\n".join(f"- {as_written(' '.join(line.split()))}" for line in lines),
        data,
        priority=max((priority_of(alert) for alert in firing), key=PRIORITY_ORDER.index, default="normal"),
        key=_group_key(delivery, prefix, "group", alerts),
    )


def _line(alert: Mapping[str, Any]) -> str:
    title = title_of(alert)
    where = where_of(alert, title)
    return f"{title} ({where})" if where else title


def _left_out(delivery: Delivery, prefix: str, count: int, alerts: list[Any]) -> Part:
    payload = mapping(delivery.payload)
    return delivery.publication(
        f"{counted(count, 'more alert')} {'is' if count == 1 else 'are'} not shown",
        "The sender leaves out the alerts of a group beyond its max_alerts, and of one webhook the first "
        f"{MAX_PARTS} are read: set max_alerts, or group by more labels.",
        {"leftOut": count, "truncatedAlerts": _truncated(payload), "groupLabels": mapping(payload.get("groupLabels"))},
        priority="high",
        key=_group_key(delivery, prefix, "left-out", alerts, count),
    )


def _texts(labels: Mapping[str, Any]) -> dict[str, str]:
    return {name: text(value) for name, value in labels.items()}


def is_alerts(payload: object, version: str) -> bool:
    """Return whether ``payload`` is a webhook of alerts of that version."""
    return (
        isinstance(payload, dict)
        and text(payload.get("version")) == version
        and isinstance(payload.get("alerts"), list)
    )
