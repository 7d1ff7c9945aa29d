"""Several gateways on one machine behind one address: ``notifyx up --gateways 2``."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

import aiohttp
import orjson
import pytest

from notifyx_common.contracts.gateway import CONNECTIONS
from notifyx_common.contracts.registry import LIST_LEASES
from support.patience import PATIENCE
from support.platform import Person, Platform, eventually, person, several_nodes
from support.sharing import Shared

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("several-nodes")]

GATEWAYS = ("gateway-1", "gateway-2")
NODES = ["auth", *GATEWAYS, "mailer-1", "mailer-2", "mailer-3", "store-1", "store-2"]


@pytest.fixture(scope="module")
def platform(shared: Shared) -> Platform:
    return shared.enter(several_nodes)


def own_url(platform: Platform, name: str) -> str:
    """The address of one gateway alone."""
    return f"http://127.0.0.1:{json.loads((platform.data / 'run' / f'{name}.json').read_text())['port']}"


async def fetch(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        assert response.status == 200, url
        return await response.text()


async def know_each_other(platform: Platform) -> list[list[dict[str, Any]]]:
    """Wait until each gateway knows all nodes, and return the nodes by gateway.

    One that was just started is registered a moment later, and on a busy machine a node may be late to renew its lease.
    """
    async with aiohttp.ClientSession(headers=platform.internal_headers("gateway")) as session:
        return [await eventually(functools.partial(all_nodes, session, platform, name)) for name in GATEWAYS]


async def all_nodes(session: aiohttp.ClientSession, platform: Platform, name: str) -> list[dict[str, Any]] | None:
    """Return the nodes that one gateway knows, if they are all there are."""
    answer = json.loads(await fetch(session, f"{own_url(platform, name)}{LIST_LEASES.path}"))
    nodes: list[dict[str, Any]] = answer["nodes"]
    return nodes if [node["instance"] for node in nodes] == NODES else None


async def connections(platform: Platform, name: str) -> int:
    """How many clients are connected to that gateway."""
    async with aiohttp.ClientSession(headers=platform.internal_headers("gateway")) as session:
        return int(json.loads(await fetch(session, f"{own_url(platform, name)}{CONNECTIONS.path}"))["open"])


async def test_each_knows_all_nodes_and_the_dashboard_shows_them(platform: Platform) -> None:
    for nodes in await know_each_other(platform):
        assert len({node["url"] for node in nodes}) == len(NODES)
        assert len({node["metrics_url"] for node in nodes}) == len(NODES), "each has a port for Prometheus"
    async with aiohttp.ClientSession() as session:

        async def shown() -> bool:
            text = await fetch(session, f"{platform.gateway}/dashboard/live")
            return "All is well" in text and all(name in text for name in GATEWAYS)

        await eventually(shown)


async def test_connections_are_spread_over_both_and_requests_go_on_while_one_is_killed(platform: Platform) -> None:
    async with person(platform, "ada") as ada:
        await ada.call("POST", "/topics", json={"name": "spread"})
        async with aiohttp.ClientSession() as session:
            urls = [f"{platform.socket}/websocket?vsn=2.0.0&token={ada.token}"] * 40
            sockets = [await session.ws_connect(url) for url in urls]
            counts = [await connections(platform, name) for name in GATEWAYS]
            assert sum(counts) >= 40
            assert min(counts) > 0
            for socket in sockets:
                await socket.close()
        for victim in GATEWAYS:
            times = joined(platform, victim)
            platform.kill(victim)
            statuses = set[int | str]()
            async with asyncio.timeout(PATIENCE):
                while joined(platform, victim) == times:
                    statuses.add(await status_over_a_new_connection(ada))
            # A connection that the killed one had accepted is lost; one made after that goes to the other.
            assert statuses <= {200, "lost"}


async def status_over_a_new_connection(someone: Person) -> int | str:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=someone.http.headers) as session:
        try:
            async with session.get(f"{someone.api}/topics/spread") as response:
                return response.status
        except aiohttp.ClientError:
            return "lost"


def joined(platform: Platform, name: str) -> int:
    """How often the gateway has begun to accept connections at the shared address."""
    return (platform.data / "logs" / f"{name}.log").read_text().count("shared_ports_joined")


class Poller:
    """A long-poll client, each of whose requests goes to the gateway it is given."""

    def __init__(self, session: aiohttp.ClientSession, token: str) -> None:
        self._session = session
        self._headers = {"X-Phoenix-AuthToken": token}
        self.token: str | None = None

    async def poll(self, url: str) -> dict[str, Any]:
        headers = {**self._headers, **({"X-Phoenix-Longpoll-Token": self.token} if self.token else {})}
        async with self._session.get(f"{url}/socket/longpoll?vsn=2.0.0", headers=headers) as response:
            answer: dict[str, Any] = orjson.loads(await response.read())
        self.token = answer.get("token", self.token)
        return answer

    async def push(self, url: str, *parts: object) -> int:
        headers = {**self._headers, "X-Phoenix-Longpoll-Token": self.token or ""}
        async with self._session.post(
            f"{url}/socket/longpoll?vsn=2.0.0", headers=headers, data=orjson.dumps(parts)
        ) as response:
            return int(orjson.loads(await response.read())["status"])


async def test_a_long_poll_works_whichever_gateway_its_requests_reach(platform: Platform) -> None:
    first, second = (own_url(platform, name) for name in GATEWAYS)
    await know_each_other(platform)
    async with person(platform, "poller") as poller, aiohttp.ClientSession() as session:
        await poller.call("POST", "/topics", json={"name": "polled"})
        client = Poller(session, poller.token)
        assert (await client.poll(first))["status"] == 410
        assert poller.token not in str(client.token)
        assert await client.push(second, "1", "1", "topic:polled", "phx_join", {}) == 200
        for n in range(10):
            pushed = await client.push(
                (first, second)[n % 2], "1", str(n + 2), "topic:polled", "publish", {"body": "x"}
            )
            assert pushed == 200
        seqs, turn = list[int](), 0
        while len(seqs) < 10:
            turn += 1
            answer = await client.poll((first, second)[turn % 2])
            assert answer["status"] in (200, 204)
            messages = [orjson.loads(text) for text in answer.get("messages", [])]
            seqs += [one[4]["seq"] for one in messages if one[3] == "notification"]
        assert seqs == list(range(1, 11))

        killed = platform.kill("gateway-1")
        # The session is gone with its gateway: the client is told so, which makes it open another and join again.
        assert await client.push(second, "1", "20", "phoenix", "heartbeat", {}) == 410
        assert (await client.poll(second))["status"] == 410
        assert await client.push(second, "1", "1", "topic:polled", "phx_join", {"since": 10}) == 200
        await platform.replaced({"gateway-1": killed})
