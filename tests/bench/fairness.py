"""What a publisher that sends little notices of an account that sends all it can, on the real platform, in one run.

Run it with ``.venv/bin/python tests/bench/fairness.py``. The quiet one publishes 40 times a second, over the socket and
over REST; its latency is taken alone, beside a flood of small messages, and beside one of large ones. Both topics share
a lane to the store. What counts is the ratio to the latency alone, since machines differ.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import statistics
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.phoenix import PhoenixClient  # noqa: E402 - after the path is set
from support.platform import Platform, person, running_platform  # noqa: E402 - after the path is set

INTERVAL = 0.025
CONNECTIONS = 4
IN_FLIGHT = {"socket": 200, "rest": 16}
SIZES = {"small": 200, "large": 60_000}

Publish = Callable[[], Awaitable[object]]


def same_lane(topic: str) -> str:
    """Return another topic's name that shares a lane with ``topic``, whatever their number."""
    lane = zlib.crc32(topic.encode()) % 64
    return next(name for n in range(10_000) if zlib.crc32((name := f"other.{n}").encode()) % 64 == lane)


async def flood(how: str, url: str, token: str, topic: str, size: int) -> None:
    """Publish without end; print the number of what was accepted twice a second."""
    body, accepted = "x" * size, 0

    async def by_socket() -> None:
        nonlocal accepted
        credential = base64.b64encode(token.encode()).decode().rstrip("=")
        headers = {"Sec-WebSocket-Protocol": f"phoenix, base64url.bearer.phx.{credential}"}
        room = asyncio.Semaphore(IN_FLIGHT[how])
        channel = f"topic:{topic}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/websocket?vsn=2.0.0", headers=headers, max_msg_size=0) as socket,
        ):
            await socket.send_str(json.dumps(["1", "1", channel, "phx_join", {}]))

            async def send() -> None:
                number = 1
                while True:
                    await room.acquire()
                    number += 1
                    await socket.send_str(f'["1","{number}","{channel}","publish",{{"body":"{body}"}}]')

            sending = asyncio.create_task(send())
            async for message in socket:
                if '"phx_reply"' in message.data[:200]:
                    accepted += '"status":"ok"' in message.data
                    room.release()
            sending.cancel()

    async def by_rest() -> None:
        nonlocal accepted
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:

            async def one() -> None:
                nonlocal accepted
                while True:
                    path = f"{url}/topics/{topic}/notifications"
                    async with session.post(path, json={"body": body}) as response:
                        await response.read()
                        accepted += response.status == 201

            await asyncio.gather(*(one() for _ in range(IN_FLIGHT[how])))

    async def report() -> None:
        while True:
            await asyncio.sleep(0.5)
            if accepted:
                print(accepted, flush=True)

    ways = {"socket": by_socket, "rest": by_rest}
    await asyncio.gather(report(), *(ways[how]() for _ in range(CONNECTIONS)))


@contextlib.asynccontextmanager
async def flooding(*arguments: str) -> AsyncIterator[list[int]]:
    """Run a flood in a process of its own, from when it is under way; yields a list that has its rate at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--flood", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first = int(await process.stdout.readline())
    rate: list[int] = []
    try:
        yield rate
    finally:
        process.kill()
        counts = [first, *(int(line) for line in (await process.stdout.read()).split())]
        await process.wait()
        rate.append(2 * (counts[-1] - first) // max(len(counts) - 1, 1))


async def latencies(publish: Publish, seconds: float) -> list[float]:
    """Publish at a fixed rate, each when it is due; return what each took from then on, in milliseconds, sorted."""
    took: list[float] = []

    async def one(due: float) -> None:
        await publish()
        took.append((time.perf_counter() - due) * 1000)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / INTERVAL)):
            due = begin + number * INTERVAL
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return sorted(took)


async def measure(platform: Platform, seconds: float, by: str) -> list[str]:
    """Return the rows of the table."""
    topic, other = "quiet", same_lane("quiet")
    rows = []
    async with person(platform, "quiet") as quiet, person(platform, "flooder") as flooder:
        for who, name in ((quiet, topic), (flooder, other)):
            await who.call("POST", "/topics", json={"name": name})
        async with PhoenixClient(platform.socket, quiet.token) as client:
            channel = await client.channel(f"topic:{topic}")
            ways: dict[str, Publish] = {
                "socket": lambda: channel.push("publish", {"body": "mine"}),
                "REST": lambda: quiet.call("POST", f"/topics/{topic}/notifications", json={"body": "mine"}),
            }
            for way, publish in ways.items():
                alone = await latencies(publish, seconds)
                rows.append(row(way, "alone", alone, alone, ""))
                for name, size in SIZES.items():
                    url = platform.socket if by == "socket" else platform.api
                    async with flooding(by, url, flooder.token, other, str(size)) as rate:
                        beside = await latencies(publish, seconds)
                    rows.append(row(way, f"beside {name} messages", beside, alone, f"{rate[0]:,}"))
                    print(rows[-1], file=sys.stderr)
    return rows


def row(way: str, case: str, found: list[float], alone: list[float], rate: str) -> str:
    """Return a row of the table."""
    p50, p99 = statistics.median(found), found[int(len(found) * 0.99)]
    ratio = p99 / alone[int(len(alone) * 0.99)]
    return f"| {way} | {case} | {rate} | {p50:.1f} | {p99:.1f} | {ratio:.1f} |"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case")
    parser.add_argument("--by", choices=IN_FLIGHT, default="socket", help="how the flooding account publishes")
    parser.add_argument("--flood", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.flood:
        how, url, token, topic, size = arguments.flood
        asyncio.run(flood(how, url, token, topic, int(size)))
        return
    with running_platform("--log-level", "WARNING", interpreter=Path(sys.executable)) as platform:
        rows = asyncio.run(measure(platform, arguments.seconds, arguments.by))
    print("| quiet over | case | flood, messages/s | p50, ms | p99, ms | p99 to alone |", "|-|-|-|-|-|-|", sep="\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
