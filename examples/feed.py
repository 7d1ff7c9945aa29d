#!/usr/bin/env python3
"""Feed a running Notifyx with real events.

An Alertmanager webhook goes to the topic ``alerts`` as Alertmanager itself would send it; CloudEvents go to ``orders``
in the structured HTTP mode and to ``deploys`` in the binary one. What is not answered is sent again: the alerts and
events name themselves, so that each arrives once. Needs nothing but Python: log in first and hand the token over in the
environment, never on the command line:

    NOTIFYX_TOKEN=... examples/feed.py --url http://127.0.0.1:4000 --rounds 3 --pause 1
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
TRIES = 6


class Api:
    """The few calls this script makes."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def post(self, topic: str, body: Any, headers: dict[str, str], where: str = "notifications") -> Any:
        """Publish to ``topic``; the answer, if it is not empty. Exits with the server's sentence when it refuses."""
        request = urllib.request.Request(
            f"{self._url}/api/v1/topics/{topic}/{where}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers},
        )
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(0.2 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            try:
                with urllib.request.urlopen(request, timeout=15) as response:
                    return json.loads(response.read() or b"null")
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


def load(name: str) -> Any:
    """One of the sample events."""
    return json.loads((EVENTS / name).read_text(encoding="utf-8"))


def feed(api: Api, run: str, number: int) -> None:
    """One round: two alerts and two CloudEvents."""
    webhook = load("alertmanager.json")
    for alert in webhook["alerts"]:
        alert["fingerprint"] += f"-{run}-{number}"
    items = api.post("alerts", webhook, {}, "hooks/alertmanager")["items"]
    for alert, _item in zip(webhook["alerts"], items, strict=False):
        print(f"alerts   {alert['status']}: {alert['annotations']['summary']}")
    order = load("order-created.json")
    order["id"] = f"{order['id']}-{run}-{number}"
    api.post("orders", order, {"Content-Type": "application/cloudevents+json"})
    print(f"orders   {order['subject']}")
    binary = {
        "ce-specversion": "1.0",
        "ce-id": f"deploy-{run}-{number}",
        "ce-source": "https://ci.example.com/pipelines/87",
        "ce-type": "com.example.ci.deployment.finished",
        "ce-subject": "cart 1.42.0 is live",
    }
    api.post("deploys", load("deployment-finished.json"), binary)
    print(f"deploys  {binary['ce-subject']}")


def main() -> None:
    """Parse the command line and feed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--url",
        default=os.environ.get("NOTIFYX_URL") or "http://127.0.0.1:4000",
        help="the gateway (default: $NOTIFYX_URL, else http://127.0.0.1:4000)",
    )
    parser.add_argument("--rounds", type=int, default=1, choices=range(1, 1001), metavar="1..1000")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between rounds (default: %(default)s)")
    arguments = parser.parse_args()
    token = os.environ.get("NOTIFYX_TOKEN")
    if not token:
        sys.exit("Set NOTIFYX_TOKEN to an access token or an API key with the scope 'publish'.")
    api = Api(arguments.url, token)
    run = f"{time.time_ns():x}"
    for number in range(arguments.rounds):
        if number:
            time.sleep(max(0.0, arguments.pause))
        feed(api, run, number)


if __name__ == "__main__":
    main()
