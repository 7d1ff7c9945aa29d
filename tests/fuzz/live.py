"""``make fuzz ARGS="--live 60"``: inputs on the sockets of a whole platform, beside one quiet client.

She publishes to a topic of her own each 100 ms and receives it over her socket, while others send what is mutated:
frames of both serializers over WebSockets, some of them too large, lines over long polls, requests over HTTP. Nothing
of hers may be lost, no answer to them may be a server's error, and the gateway may not grow with what they send.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import orjson
import psutil

from fuzz.mutator import Mutator
from fuzz.targets import BY_NAME
from support.patience import PATIENCE
from support.platform import Person, Platform, person, running_platform

SENDERS = 3
"""Tasks of each kind that send."""

PAUSE = 0.1
"""Seconds between two publishes of the quiet client."""

TOPIC = "quiet"

FRAMES = {"2.0.0": ("frame_text", "frame_binary"), "1.0.0": ("frame_object", "frame_object")}
"""By the version of the serializer: frames of text, and of bytes."""

OVERSIZED = 300_000
"""Bytes of a frame that is too large; one of twenty is."""

POSTS = 20
"""Maximum number of posts to one session of a long poll."""

MOST_GROWTH = 40.0
"""MB that the gateway may grow by from a third of the time on: its buffers and caches are filled by then."""

PATHS = (
    ("body", "/topics"), ("body", "/topics/loud/acks"), ("body", "/publish"), ("body", "/users"), ("body", "/api-keys"),
    ("publish", "/topics/loud/notifications"), ("hook", "/topics/loud/hooks/alertmanager"),
    ("hook", "/topics/loud/hooks/github"), ("hook", "/topics/loud/hooks/gitlab"), ("long_poll", "/token"),
)  # fmt: skip


@dataclass(slots=True)
class Report:
    """What was seen: answers by kind, seqs in the order of their receipt, and the quiet client's longest wait."""

    answers: Counter[str] = field(default_factory=Counter)
    published: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """MB that the gateway holds, at each publish of the quiet client."""
    oversized: int = 0
    silence: float = 0.0
    slowest: float = 0.0

    @property
    def broken(self) -> list[str]:
        """What does not hold, in sentences."""
        lost = set(self.published) - set(self.received)
        found = [f"{len(lost)} notifications were lost"] if lost else []
        if self.received != sorted(set(self.received)):
            found.append("notifications came twice or out of order")
        if self.growth > MOST_GROWTH:
            found.append(f"the gateway grew by {self.growth:.0f} MB")
        found += [f"{count} answers were {what}" for what, count in self.answers.items() if what.startswith("HTTP 5")]
        return found

    @property
    def growth(self) -> float:
        """MB by which the gateway grew from a third of the time to the end."""
        return self.memory[-1] - self.memory[len(self.memory) // 3] if self.memory else 0.0


def main(seconds: float, seed: int) -> int:
    """Run for so many seconds, print what was seen, and return 1 if something does not hold."""
    with running_platform("--mailers", "1") as platform:
        report = asyncio.run(_run(platform, seconds, seed))
        log = (platform.data.parent / "up.log").read_text(errors="replace")
    broken = [*report.broken, *(["a service logged a traceback"] if "Traceback (most recent call last)" in log else [])]
    print(f"{report.answers.total():,} answers: {dict(report.answers.most_common())}")
    print(
        f"the quiet client received {len(report.received)} of {len(report.published)}, at most {report.silence:.2f} s "
        f"after the one before; the longest publish took {report.slowest:.2f} s"
    )
    print(
        f"the gateway held {report.memory[len(report.memory) // 3]:.0f} MB after a third of the time, and "
        f"{report.memory[-1]:.0f} MB at the end; {report.oversized:,} frames were too large"
    )
    print("\n".join(broken) or "nothing is broken")
    return 1 if broken else 0


async def _run(platform: Platform, seconds: float, seed: int) -> Report:
    report = Report()
    async with person(platform, "quiet") as quiet, person(platform, "loud") as loud:
        await quiet.call("POST", "/topics", json={"name": TOPIC})
        await loud.call("POST", "/topics", json={"name": "loud"})
        address = f"{platform.socket}/websocket".replace("http", "ws", 1)
        async with quiet.http.ws_connect(f"{address}?vsn=2.0.0&token={quiet.token}") as socket:
            await socket.send_str(orjson.dumps(["1", "1", f"topic:{TOPIC}", "phx_join", {}]).decode())
            joined = orjson.loads((await socket.receive(PATIENCE)).data)
            assert joined[4]["status"] == "ok", joined
            receiving = asyncio.create_task(_receive(socket, report))
            ended = asyncio.Event()
            sending = [
                asyncio.create_task(task)
                for number in range(SENDERS)
                for task in (
                    _send_frames(loud, address, ("2.0.0", "1.0.0")[number % 2], seed + number, ended, report),
                    _send_polls(
                        loud, f"{platform.socket}/longpoll".replace("ws", "http", 1), seed + number, ended, report
                    ),
                    _send_requests(loud, seed + 1000 + number, ended, report),
                )
            ]
            await _publish(quiet, seconds, report, psutil.Process(platform.pid("gateway")))
            ended.set()
            await asyncio.gather(*sending)
            async with asyncio.timeout(PATIENCE):
                while len(report.received) < len(report.published) and not receiving.done():
                    await asyncio.sleep(PAUSE)
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    return report


async def _publish(quiet: Person, seconds: float, report: Report, gateway: psutil.Process) -> None:
    until = time.monotonic() + seconds
    while (started := time.monotonic()) < until:
        answer = await quiet.call("POST", f"/topics/{TOPIC}/notifications", json={"title": "tick"})
        report.published.append(answer["seq"])
        report.memory.append(gateway.memory_info().rss / 1e6)
        took = time.monotonic() - started
        report.slowest = max(report.slowest, took)
        await asyncio.sleep(max(0.0, PAUSE - took))


async def _receive(socket: aiohttp.ClientWebSocketResponse, report: Report) -> None:
    last = time.monotonic()
    async for message in socket:
        _, _, _, event, payload = orjson.loads(message.data)
        if event == "notification":
            now = time.monotonic()
            report.silence = max(report.silence, now - last)
            last = now
            report.received.append(payload["seq"])


async def _send_frames(
    loud: Person, address: str, version: str, seed: int, ended: asyncio.Event, report: Report
) -> None:
    """Send frames over one WebSocket after the other; most are closed for what they sent."""
    mutators = [Mutator(BY_NAME[name].corpus(), seed=seed, has_head=False) for name in FRAMES[version]]
    chance = random.Random(seed)
    while not ended.is_set():
        try:
            async with loud.http.ws_connect(f"{address}?vsn={version}&token={loud.token}", max_msg_size=0) as socket:
                while not socket.closed and not ended.is_set():
                    kind = chance.randrange(2)
                    opcode = aiohttp.WSMsgType.BINARY if kind else aiohttp.WSMsgType.TEXT
                    frame = mutators[kind].draw()
                    if chance.randrange(20) == 0:
                        frame = frame.ljust(OVERSIZED)
                        report.oversized += 1
                    await socket.send_frame(frame, opcode)
                    report.answers["frames"] += 1
                    try:
                        await socket.receive(0.01)
                    except TimeoutError:
                        continue
                report.answers[f"closed {socket.close_code}"] += 1
        except (aiohttp.ClientError, ConnectionError) as error:
            report.answers[f"HTTP {getattr(error, 'status', type(error).__name__)}"] += 1
            await asyncio.sleep(PAUSE)


async def _send_polls(loud: Person, address: str, seed: int, ended: asyncio.Event, report: Report) -> None:
    """Post lines to one session after the other, with its own token or a mutated one, and poll it now and then."""
    mutator = Mutator(BY_NAME["long_poll"].corpus(), seed=seed, has_head=True)
    chance = random.Random(seed)
    while not ended.is_set():
        query = {"vsn": chance.choice(("2.0.0", "1.0.0")), "token": loud.token}
        try:
            async with loud.http.get(address, params=query) as response:
                session = (await response.json()).get("token", "")
            for _ in range(POSTS):
                head, _, body = mutator.draw().partition(b"\n")
                token = head.decode("latin-1") if chance.randrange(4) == 0 else session
                headers = {"Content-Type": "application/x-ndjson"}
                query["token"] = token
                async with loud.http.post(address, params=query, data=body, headers=headers) as response:
                    await response.read()
                    report.answers[f"HTTP {response.status} to a long poll"] += 1
                if ended.is_set():
                    return
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            report.answers[type(error).__name__] += 1
            await asyncio.sleep(PAUSE)


async def _send_requests(loud: Person, seed: int, ended: asyncio.Event, report: Report) -> None:
    """Send requests whose head says how the body came."""
    mutators = {name: Mutator(BY_NAME[name].corpus(), seed=seed, has_head=True) for name, _ in PATHS}
    chance = random.Random(seed)
    while not ended.is_set():
        name, path = chance.choice(PATHS)
        head, _, body = mutators[name].draw().partition(b"\n")
        headers = {"Content-Type": "application/json"}
        if name != "body" and b"{" not in head:
            kind = "".join(char for char in head.decode("latin-1") if char.isprintable() and char.isascii())
            headers["Content-Type"] = kind
        try:
            async with loud.http.post(f"{loud.api}{path}", data=body, headers=headers) as response:
                await response.read()
                report.answers[f"HTTP {response.status}"] += 1
        except (aiohttp.ClientError, ConnectionError) as error:
            report.answers[type(error).__name__] += 1
            await asyncio.sleep(PAUSE)
