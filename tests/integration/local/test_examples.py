"""The example topics and the feed, on the whole platform; and the feed against a server that fails at times."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.client import ServiceClient
from notifyx_common.calls.discovery import StaticDiscovery
from notifyx_common.clock import SystemClock
from notifyx_common.metrics import Metrics
from notifyx_common.topics import observe
from notifyx_local.topics import PART, apply_topics, read_folder
from notifyx_topics.plan import plan_topics
from support.patience import PATIENCE
from support.platform import Platform, person

pytestmark = pytest.mark.xdist_group("platform-1")

ROOT = Path(__file__).parents[3]
FEED = ROOT / "examples/feed.py"


async def feed(url: str, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, str(FEED), *arguments],
        env={**os.environ, "NOTIFYX_URL": url, "NOTIFYX_TOKEN": token},
        capture_output=True, text=True, timeout=5 * PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.slow
async def test_the_example_topics_are_what_their_files_say(platform: Platform) -> None:
    resources = read_folder(ROOT / "examples/topics")
    port = json.loads((platform.data / "run/store.json").read_text())["port"]
    discovery = StaticDiscovery({"store": [Endpoint("store", f"http://127.0.0.1:{port}")]})
    token = platform.internal_token("local", "store")
    async with ServiceClient(
        "store", discovery=discovery, token=token, metrics=Metrics(), clock=SystemClock()
    ) as store:
        topics = [topic for topic in await observe(store, PART) if topic.resource is not None]
        assert {topic.resource for topic in topics} == {resource.reference for resource in resources}
        assert plan_topics(resources, topics) == [], "what was applied is what was asked for"
        assert await apply_topics(store, resources) == []
    async with person(platform, "outsider") as outsider:
        shown = await outsider.call("GET", "/topics/deploys")
        assert shown["resource"] == "platform/deploys"
        told = await outsider.call("PATCH", "/topics/deploys", status=403, json={"title": "Mine"})
        assert told["code"] == "not_a_creator"


@pytest.mark.slow
async def test_real_events_become_notifications(platform: Platform) -> None:
    async with person(platform, "feeder") as feeder:
        heads = {
            name: (await feeder.call("GET", f"/topics/{name}"))["last_seq"] for name in ("alerts", "orders", "deploys")
        }
        done = await feed(platform.gateway, feeder.token, "--rounds", "2", "--pause", "0")
        assert done.returncode == 0, done.stderr
        assert "alerts   firing: Pod shop/cart-7d9f keeps crashing\n" in done.stdout
        new = {
            name: (await feeder.call("GET", f"/topics/{name}/notifications?after={seq}"))["items"]
            for name, seq in heads.items()
        }
        assert [item["title"] for item in new["alerts"][:2]] == [
            "Pod shop/cart-7d9f keeps crashing",
            "Resolved: Pod shop/search-55c1 keeps crashing",
        ]
        assert [item["priority"] for item in new["alerts"]] == ["urgent", "normal"] * 2
        assert [item["title"] for item in new["orders"]] == ["Order 10042 created"] * 2
        assert new["orders"][0]["data"]["type"] == "com.example.shop.order.created"
        assert [item["title"] for item in new["deploys"]] == ["cart 1.42.0 is live"] * 2
        assert new["deploys"][0]["data"]["data"]["result"] == "succeeded"

        refused = await feed(platform.gateway, "nonsense", "--rounds", "1")
        assert refused.returncode == 1
        assert "alerts: refused with 401" in refused.stderr


class Stumbling(http.server.BaseHTTPRequestHandler):
    """Answers 503 and breaks off before it answers well; what it was sent stays in ``server.seen``."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen: list[bytes] = self.server.seen  # type: ignore[attr-defined]
        seen.append(body)
        if len(seen) == 1:
            self._answer(503, {"detail": "The store cannot be reached."})
        elif len(seen) == 2:
            self.close_connection = True
        else:
            self._answer(200, {"items": [{"status": 201, "seq": 7}]})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stumbling() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stumbling) as server:
        server.seen = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(PATIENCE)


async def test_what_is_not_answered_is_sent_again_as_it_was(stumbling: http.server.ThreadingHTTPServer) -> None:
    done = await feed(f"http://127.0.0.1:{stumbling.server_port}", "t")
    assert done.returncode == 0, done.stderr
    seen = stumbling.seen  # type: ignore[attr-defined]
    assert len(seen) == 5
    assert len(set(seen[:3])) == 1, "the same request each time"
    assert b"9c1f4ef0a1b2c3d4-" in seen[0]
