#!/usr/bin/env python3
"""Feed a running Notifyx with the shapes of real events.

An Alertmanager webhook becomes one notification an alert on the topic ``alerts``; CloudEvents go to ``orders`` in
the structured HTTP mode and to ``deploys`` in the binary one. What is not answered is sent again with the same
idempotency key, so that it arrives once. Needs nothing but Python: log in first and hand the token over in the
environment, never on the command line:

    NOTIFYX_TOKEN=... examples/feed.py --url http://127.0.0.1:4000 --rounds 3 --pause 1
    NOTIFYX_TOKEN=... examples/feed.py --alerts webhook.json      # what your own Alertmanager sent
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parent / "events"
MAX_FILE = 1 << 20
TRIES = 6
PRIORITIES = {"critical": "urgent", "warning": "high", "info": "low"}


def notifications_of(webhook: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What an Alertmanager webhook (version 4) has to say: an idempotency key and a notification for each alert.

    The key is the alert's fingerprint with its state and time: Alertmanager repeats itself, users need not read twice.
    """
    found = []
    for alert in webhook["alerts"]:
        labels, annotations = alert["labels"], alert["annotations"]
        resolved = alert["status"] == "resolved"
        key = f"{alert['fingerprint']}-{alert['status']}-{alert['endsAt'] if resolved else alert['startsAt']}"
        notification = {
            "title": f"{'Resolved: ' if resolved else ''}{annotations.get('summary', labels['alertname'])}",
            "body": annotations.get("description", ""),
            "priority": "normal" if resolved else PRIORITIES.get(labels.get("severity", ""), "normal"),
            "data": {"status": alert["status"], "labels": labels, "startsAt": alert["startsAt"]},
        }
        found.append((key, notification))
    return found


class Api:
    """The few calls this script makes."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def post(self, topic: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
        """Publish to ``topic``; the answer. Exits with the server's sentence when it refuses."""
        request = urllib.request.Request(
            f"{self._url}/api/v1/topics/{topic}/notifications",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers},
        )
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(0.2 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            try:
                with urllib.request.urlopen(request, timeout=15) as response:
                    answer: dict[str, Any] = json.load(response)
                    return answer
            except urllib.error.HTTPError as error:
                reason = f"{topic}: refused with {error.code}: {_detail(error)}"
                if error.code not in (429, 503, 504):
                    sys.exit(reason)
            except OSError as error:
                reason = f"{self._url} cannot be reached: {error}"
        sys.exit(f"{reason} (tried {TRIES} times)")


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return error.reason


def read_webhook(path: Path) -> dict[str, Any]:
    """An Alertmanager webhook from a file. Exits with one sentence when it is none."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        webhook: dict[str, Any] = json.loads(raw)
        if webhook["version"] != "4":
            sys.exit(f"{path}: this is version {webhook['version']} of Alertmanager's webhook, and 4 is understood.")
        notifications_of(webhook)
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"{path} is no Alertmanager webhook of at most {MAX_FILE} bytes.")
    return webhook


def load(name: str) -> Any:
    """One of the sample events."""
    return json.loads((EVENTS / name).read_text(encoding="utf-8"))


def feed_alerts(api: Api, webhook: dict[str, Any], suffix: str = "") -> None:
    """The alerts of a webhook."""
    for key, notification in notifications_of(webhook):
        told = api.post("alerts", notification, {"Idempotency-Key": f"{key}{suffix}"})
        print(f"alerts   {told['seq']:>6}  {notification['title']}")


def feed(api: Api, run: str, number: int) -> None:
    """One round: two alerts and two CloudEvents."""
    feed_alerts(api, load("alertmanager.json"), f"-{run}-{number}")
    order = load("order-created.json")
    order["id"] = f"{order['id']}-{run}-{number}"
    told = api.post("orders", order, {"Content-Type": "application/cloudevents+json"})
    print(f"orders   {told['seq']:>6}  {order['subject']}")
    binary = {
        "ce-specversion": "1.0",
        "ce-id": f"deploy-{run}-{number}",
        "ce-source": "https://ci.example.com/pipelines/87",
        "ce-type": "com.example.ci.deployment.finished",
        "ce-subject": "cart 1.42.0 is live",
    }
    told = api.post("deploys", load("deployment-finished.json"), binary)
    print(f"deploys  {told['seq']:>6}  {binary['ce-subject']}")


def main() -> None:
    """Parse the command line and feed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:4000", help="the gateway (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, choices=range(1, 1001), metavar="1..1000")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between rounds (default: %(default)s)")
    parser.add_argument("--alerts", type=Path, help="feed the alerts of this webhook once, instead of the samples")
    arguments = parser.parse_args()
    token = os.environ.get("NOTIFYX_TOKEN")
    if not token:
        sys.exit("Set NOTIFYX_TOKEN to an access token or an API key with the scope 'publish'.")
    api = Api(arguments.url, token)
    if arguments.alerts is not None:
        feed_alerts(api, read_webhook(arguments.alerts))
        return
    run = f"{time.time_ns():x}"
    for number in range(arguments.rounds):
        if number:
            time.sleep(max(0.0, arguments.pause))
        feed(api, run, number)


if __name__ == "__main__":
    main()
