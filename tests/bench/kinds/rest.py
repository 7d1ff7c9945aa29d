"""Cases over REST: requests on connections that are kept, each with one unanswered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.case import Cores, Tools, per_operation
from bench.errors import CannotMeasure
from bench.figures import Readings
from bench.load import complete, running
from bench.peers.peer import PeerServer
from bench.servers.own import Own
from bench.servers.server import Server

BODY = "x" * 200


def request(method: str, path: str, port: int, *, token: str = "", body: object = None) -> bytes:
    """Return a whole HTTP request."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: application/json"]
    if token:
        headers.append(f"Authorization: Bearer {token}")
    if content:
        headers += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*headers, "", ""]).encode() + content


def page_request(topic: str, port: int, token: str) -> bytes:
    """Return a request for the newest notifications of a topic."""
    return request("GET", f"/api/v1/topics/{topic}/notifications?limit=20", port, token=token)


def send(
    tools: Tools, requests: Sequence[bytes], options: Mapping[str, str], processes: Mapping[str, int], cores: Cores
) -> Readings:
    """Run the load client with ``requests``, which its connections share."""
    files: list[Path] = []
    for number, one in enumerate(requests):
        files.append(tools.scratch / f"request-{number}")
        files[-1].write_bytes(one)
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with running(tools.programs["httpload"], [*arguments, *files], cores=cores.client) as load:
        load.figures()
        found = load.measured(processes, tools.observe)
    complete(found)
    return {**found, **per_operation(load.cpu, found["done"])}


@dataclass(frozen=True, slots=True)
class RestLoad:
    """Requests of one kind. ``stored`` notifications are in the topic, and unread, before pages are read.

    ``batch``: notifications in one publish.
    """

    what: Literal["publish", "history", "inbox", "empty route"]
    requests: int
    connections: int = 20
    batch: int = 1
    pause: float = 0
    stored: int = 0
    users: int = 10
    who: str = "bench"

    def measure(self, tools: Tools, server: Server, cores: Cores) -> Readings:
        """Send all; return the figures."""
        topic = f"{self.who}.{self.stored}" if self.stored else f"{tools.label}.r"
        options = {"connections": str(self.connections), "requests": str(self.requests), "pause": str(self.pause)}
        if not isinstance(server, Own):
            if not isinstance(server, PeerServer) or not server.publish_path or self.what != "publish":
                raise CannotMeasure("it has no such request")
            body = {"channel": topic, "data": {"b": BODY}}
            one = request("POST", server.publish_path, server.port, body=body)
            return send(tools, [one], {**options, "port": str(server.port)}, server.processes(), cores)
        server.topics(topic, self.users)
        tokens = server.access_tokens(self.users, self.who)
        for number, token in enumerate(tokens if self.stored else ()):
            fill(server, f"{topic}.{number}", token, self.stored)
        cores.pin(server)
        requests = [self._request(f"{topic}.{number}", server.http_port, one) for number, one in enumerate(tokens)]
        options["port"] = str(server.http_port)
        if self.batch > 1:
            options["count"] = '"status":201'
        found = send(tools, requests, options, server.processes(), cores)
        if self.batch > 1 and found["counted"] != self.requests * self.batch:
            raise CannotMeasure(f"only {found['counted']} of {self.requests * self.batch} items were accepted")
        return {**found, "items_per_second": found["per_second"] * self.batch}

    def _request(self, topic: str, port: int, token: str) -> bytes:
        if self.what == "publish" and self.batch > 1:
            items = [{"topic": topic, "body": BODY}] * self.batch
            return request("POST", "/api/v1/notifications:batch", port, token=token, body={"items": items})
        if self.what == "publish":
            return request("POST", f"/api/v1/topics/{topic}/notifications", port, token=token, body={"body": BODY})
        if self.what == "history":
            return page_request(topic, port, token)
        if self.what == "inbox":
            return request("GET", "/api/v1/inbox?limit=20", port, token=token)
        return request("GET", "/healthz", port)


def fill(server: Own, topic: str, token: str, count: int) -> None:
    """Subscribe the user of ``token`` to ``topic`` and publish ``count`` notifications there, once."""
    if topic in server.filled:
        return
    server.call("PUT", f"/topics/{topic}/subscription", {"email": "never"}, token=token)
    for start in range(0, count, 1000):
        items = [{"topic": topic, "body": BODY}] * min(1000, count - start)
        answer = server.call("POST", "/notifications:batch", {"items": items}, token=token)
        assert all(item["status"] == 201 for item in answer["items"]), answer["items"][0]
    server.filled.add(topic)
