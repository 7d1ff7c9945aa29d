"""Following EndpointSlices through every way in which an API server can fail to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from notifyx_common.endpoint_slices import ApiServer, EndpointSliceDiscovery, in_cluster
from notifyx_common.settings import ServiceSettings, SettingsError
from notifyx_local.ports import free_port

PATH = "/apis/discovery.k8s.io/v1/namespaces/test/endpointslices"


class Api:
    """A server that speaks list and watch, and breaks when it is told to."""

    def __init__(self) -> None:
        self.slices: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.token = "first"
        self.lists = 0
        self.gone = False
        self._watches: list[asyncio.Queue[dict[str, Any] | None]] = []

    def set(self, name: str, service: str, *addresses: str) -> None:
        """Add or change a slice, and tell who watches."""
        known = name in self.slices
        self.version += 1
        self.slices[name] = {
            "metadata": {
                "name": name,
                "resourceVersion": str(self.version),
                "labels": {"kubernetes.io/service-name": service},
            },
            "ports": [{"name": "http", "port": 4000}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        }
        self._tell({"type": "MODIFIED" if known else "ADDED", "object": self.slices[name]})

    def delete(self, name: str) -> None:
        """Delete a slice, and tell who watches."""
        self.version += 1
        self._tell({"type": "DELETED", "object": self.slices.pop(name)})

    def bookmark(self) -> None:
        """Tell who watches that nothing happened up to now."""
        self.version += 1
        self._tell({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}})

    def expire(self) -> None:
        """Answer every watch that its version is too old."""
        self.gone = True
        self._tell({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}})

    def drop(self) -> None:
        """Break every watch."""
        for queue in self._watches:
            queue.put_nowait(None)

    @property
    def watches(self) -> int:
        return len(self._watches)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        assert request.query["labelSelector"] == "kubernetes.io/service-name in (nx-auth,nx-store)"
        if "watch" not in request.query:
            self.lists += 1
            self.gone = False
            found = {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.slices.values())}
            return web.json_response(found)
        if self.gone:
            return web.Response(status=410)
        return await self._watch(request)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        since = int(request.query["resourceVersion"])
        for one in self.slices.values():
            if int(one["metadata"]["resourceVersion"]) > since:
                queue.put_nowait({"type": "MODIFIED", "object": one})
        self._watches.append(queue)
        try:
            while (event := await queue.get()) is not None:
                line = json.dumps(event).encode() + b"\n"
                # In two parts: a line need not come whole.
                await response.write(line[:10])
                await response.write(line[10:])
            assert request.transport is not None
            request.transport.abort()
        finally:
            self._watches.remove(queue)
        return response

    def _tell(self, event: dict[str, Any]) -> None:
        for queue in self._watches:
            queue.put_nowait(event)


@asynccontextmanager
async def serving(api: Api, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get(PATH, api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        api.drop()
        await runner.cleanup()


class Followed:
    """A running discovery, and what its listeners know."""

    def __init__(self, discovery: EndpointSliceDiscovery) -> None:
        self.known: dict[str, list[str]] = {}
        self._changed = asyncio.Event()
        for part in ("auth", "store"):
            discovery.watch(part, self._listener(part))

    def _listener(self, part: str) -> Callable[[Any], None]:
        def take(endpoints: Any) -> None:
            self.known[part] = [one.url.removeprefix("http://").removesuffix(":4000") for one in endpoints]
            self._changed.set()

        return take

    async def until(self, part: str, *addresses: str, deadline: float = 10) -> None:
        """Wait until just ``addresses`` are known of ``part``."""
        async with asyncio.timeout(deadline):
            while self.known[part] != list(addresses):
                self._changed.clear()
                await self._changed.wait()


async def until(condition: Callable[[], bool], deadline: float = 10) -> None:
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def settings() -> ServiceSettings:
    return ServiceSettings(
        internal_token="0123456789abcdef",
        kubernetes_namespace="test",
        kubernetes_services={"auth": "nx-auth", "store": "nx-store"},
    )


@pytest.fixture
def api() -> Api:
    api = Api()
    api.set("s1", "nx-store", "10.0.0.1")
    api.set("a1", "nx-auth", "10.0.1.1")
    return api


@pytest.fixture
def server(tmp_path: Path) -> tuple[ApiServer, int]:
    (tmp_path / "token").write_text("first\n")
    port = free_port()
    return ApiServer(f"http://127.0.0.1:{port}", tmp_path / "token"), port


async def test_changes_arrive_as_they_happen(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    async with serving(api, port), EndpointSliceDiscovery(settings, api=where) as discovery:
        followed = Followed(discovery)
        assert followed.known == {"auth": ["10.0.1.1"], "store": ["10.0.0.1"]}
        await until(lambda: api.watches == 1)
        api.set("s2", "nx-store", "10.0.0.2")
        await followed.until("store", "10.0.0.1", "10.0.0.2", deadline=2)
        api.bookmark()
        api.delete("s1")
        await followed.until("store", "10.0.0.2", deadline=2)
        api.set("s2", "nx-store")
        await followed.until("store")
        assert followed.known["auth"] == ["10.0.1.1"]
        assert api.lists == 1


@pytest.mark.parametrize("trouble", ["expire", "drop"])
async def test_a_watch_that_breaks_is_made_again(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int], trouble: str
) -> None:
    where, port = server
    async with serving(api, port), EndpointSliceDiscovery(settings, api=where) as discovery:
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
        getattr(api, trouble)()
        api.set("s2", "nx-store", "10.0.0.2")
        await followed.until("store", "10.0.0.1", "10.0.0.2")
        await until(lambda: api.watches == 1)
        api.set("s3", "nx-store", "10.0.0.3")
        await followed.until("store", "10.0.0.1", "10.0.0.2", "10.0.0.3")


async def test_while_the_api_server_is_away_the_known_endpoints_stay(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    async with serving(api, port):
        discovery = await EndpointSliceDiscovery(settings, api=where).__aenter__()
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
    try:
        api.delete("s1")
        api.set("s2", "nx-store", "10.0.0.2")
        assert followed.known["store"] == ["10.0.0.1"]
        async with serving(api, port):
            await followed.until("store", "10.0.0.2", deadline=20)
    finally:
        await discovery.__aexit__(None, None, None)
    assert followed.known["store"] == ["10.0.0.2"]


async def test_the_token_is_read_anew(settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]) -> None:
    where, port = server
    async with serving(api, port), EndpointSliceDiscovery(settings, api=where) as discovery:
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
        api.token = "second"
        assert where.token_file is not None
        where.token_file.write_text("second")
        api.drop()
        api.set("s2", "nx-store", "10.0.0.2")
        await followed.until("store", "10.0.0.1", "10.0.0.2")


async def test_a_start_does_not_wait_for_ever(
    settings: ServiceSettings, server: tuple[ApiServer, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifyx_common.endpoint_slices.FIRST_SYNC", 0.2)
    async with asyncio.timeout(10), EndpointSliceDiscovery(settings, api=server[0]) as discovery:
        assert Followed(discovery).known == {"auth": [], "store": []}


def test_outside_a_cluster_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match="NOTIFYX_KUBERNETES_NAMESPACE is set, but this is no pod"):
        in_cluster()
