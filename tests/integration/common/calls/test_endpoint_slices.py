"""Following EndpointSlices through every way in which an API server can fail to answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from notifyx_common.background import Background
from notifyx_common.calls.balancer import Endpoint
from notifyx_common.calls.endpoint_slices import DiscoveryTimeouts, EndpointSliceDiscovery
from notifyx_common.calls.kubernetes_api import ApiServer, in_cluster
from notifyx_common.metrics import Metrics
from notifyx_common.settings import ServiceSettings, SettingsError
from notifyx_local.ports import free_port
from support.patience import PATIENCE, until
from support.smtp import make_certificate

GIVEN_UP = 0.2
PATH = "/apis/discovery.k8s.io/v1/namespaces/test/endpointslices"


def discover(settings: ServiceSettings, **options: Any) -> EndpointSliceDiscovery:
    return EndpointSliceDiscovery(settings, background=Background(Metrics()), **options)


class Api:
    """A server that speaks list and watch, and breaks when it is told to."""

    def __init__(self) -> None:
        self.slices: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.token = "first"
        self.lists = 0
        self.gone = False
        self.refused = 0
        self.trouble: Callable[[], web.Response] | None = None
        self.since: list[str] = []
        self.silent = False
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
        if self.trouble is not None:
            self.refused += 1
            return self.trouble()
        if self.gone:
            return web.Response(status=410)
        return await self._watch(request)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        event: dict[str, Any] | None = {}
        self.since.append(request.query["resourceVersion"])
        since = int(request.query["resourceVersion"])
        for one in self.slices.values():
            if int(one["metadata"]["resourceVersion"]) > since:
                queue.put_nowait({"type": "MODIFIED", "object": one})
        self._watches.append(queue)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.silent else int(request.query["timeoutSeconds"])):
                    while (event := await queue.get()) is not None:
                        if self.silent:
                            continue
                        line = json.dumps(event).encode() + b"\n"
                        # In two parts: a line need not come whole.
                        await response.write(line[:10])
                        await response.write(line[10:])
            if queue.empty() and event is not None:
                return response  # its time is over
            assert request.transport is not None
            request.transport.abort()
        finally:
            self._watches.remove(queue)
        return response

    def _tell(self, event: dict[str, Any]) -> None:
        for queue in self._watches:
            queue.put_nowait(event)


@asynccontextmanager
async def serving(api: Api, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get(PATH, api.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield
    finally:
        api.silent = False
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

    async def until(self, part: str, *addresses: str) -> None:
        """Wait until just ``addresses`` are known of ``part``."""
        async with asyncio.timeout(PATIENCE):
            while self.known[part] != list(addresses):
                await self.changed()

    async def changed(self) -> None:
        """Wait for the next change."""
        self._changed.clear()
        await self._changed.wait()


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


async def test_over_tls_the_name_of_the_service_is_verified(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    api.slices["s1"]["ports"].append({"name": "internal", "port": 4443})
    secure = settings.model_copy(update={"internal_tls_ca_file": Path("ca.crt")})
    async with serving(api, port), discover(secure, api=where) as discovery:
        assert discovery.endpoints("store") == [
            Endpoint("10.0.0.1", "https://10.0.0.1:4443", server_name="nx-store.test.svc")
        ]
        assert discovery.endpoints("auth") == [], "it has no port with TLS"


async def test_changes_arrive_as_they_happen(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    async with serving(api, port), discover(settings, api=where) as discovery:
        followed = Followed(discovery)
        assert followed.known == {"auth": ["10.0.1.1"], "store": ["10.0.0.1"]}
        await until(lambda: api.watches == 1)
        api.set("s2", "nx-store", "10.0.0.2")
        await followed.until("store", "10.0.0.1", "10.0.0.2")
        api.bookmark()
        api.delete("s1")
        await followed.until("store", "10.0.0.2")
        api.set("s2", "nx-store")
        await followed.until("store")
        assert followed.known["auth"] == ["10.0.1.1"]
        assert api.lists == 1


@pytest.mark.parametrize("trouble", ["expire", "drop"])
async def test_a_watch_that_breaks_is_made_again(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int], trouble: str
) -> None:
    where, port = server
    async with serving(api, port), discover(settings, api=where) as discovery:
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
        discovery = await discover(settings, api=where).__aenter__()
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
    try:
        api.delete("s1")
        api.set("s2", "nx-store", "10.0.0.2")
        assert followed.known["store"] == ["10.0.0.1"]
        async with serving(api, port):
            await followed.until("store", "10.0.0.2")
    finally:
        await discovery.__aexit__(None, None, None)
    assert followed.known["store"] == ["10.0.0.2"]


async def test_the_token_is_read_anew(settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]) -> None:
    where, port = server
    async with serving(api, port), discover(settings, api=where) as discovery:
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
        api.token = "second"
        assert where.token_file is not None
        where.token_file.write_text("second")
        api.drop()
        api.set("s2", "nx-store", "10.0.0.2")
        await followed.until("store", "10.0.0.1", "10.0.0.2")


async def test_a_watch_that_ends_is_followed_by_the_next_from_where_it_stopped(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    pace = DiscoveryTimeouts(watch=(1, 1), steady=0.5)
    async with serving(api, port), discover(settings, api=where, pace=pace) as discovery:
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
        api.bookmark()
        marked = str(api.version)
        await until(lambda: len(api.since) == 2)
        assert api.since[1] == marked
        api.set("s2", "nx-store", "10.0.0.2")
        await followed.until("store", "10.0.0.1", "10.0.0.2")
        assert api.lists == 1


async def test_a_connection_that_is_silently_dead_is_noticed(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    pace = DiscoveryTimeouts(watch=(1, 1), silence=0.2)
    api.silent = True
    async with serving(api, port), discover(settings, api=where, pace=pace) as discovery:
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
        api.set("s2", "nx-store", "10.0.0.2")
        assert followed.known["store"] == ["10.0.0.1"]
        await followed.until("store", "10.0.0.1", "10.0.0.2")


def _lines(*events: object) -> Callable[[], web.Response]:
    return lambda: web.Response(body=b"".join(json.dumps(event).encode() + b"\n" for event in events))


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        pytest.param(lambda: web.Response(status=403), "may not list and watch endpointslices", id="refused"),
        pytest.param(lambda: web.Response(status=500), "answers 500", id="broken"),
        pytest.param(_lines(), "ends watches as soon as they begin", id="ended"),
        pytest.param(_lines({"type": "ERROR", "object": {"code": 500}}), "ended the watch with 500", id="error"),
        pytest.param(_lines({"type": "ADDED", "object": None}), "cannot be used", id="null"),
        pytest.param(_lines([]), "cannot be used", id="no event"),
        pytest.param(lambda: web.Response(body=b"<html>\n"), "cannot be used", id="no json"),
    ],
)
async def test_what_breaks_each_watch_is_said_once_and_tried_again_ever_more_slowly(
    settings: ServiceSettings,
    api: Api,
    server: tuple[ApiServer, int],
    trouble: Callable[[], web.Response],
    reason: str,
) -> None:
    where, port = server
    metrics = Metrics()
    api.trouble = trouble
    # What lasts long enough is sound: no broken watch does, and then each.
    discovery = discover(settings, api=where, metrics=metrics, pace=DiscoveryTimeouts(steady=10 * PATIENCE))
    with capture_logs() as logs:
        began = time.monotonic()
        async with serving(api, port), discovery:
            followed = Followed(discovery)
            await until(lambda: api.refused >= 4)
            # Three pauses of at least half of 0.2, 0.4 and 0.8 s.
            assert time.monotonic() - began >= 0.7
            assert followed.known["store"] == ["10.0.0.1"]
            assert [entry["log_level"] for entry in logs] == ["warning"]
            assert reason in logs[0]["reason"]
            restarts = metrics.registry.get_sample_value("notifyx_discovery_restarts_total", {"reason": "failed"})
            assert restarts is not None
            assert restarts >= 3
            discovery._pace = DiscoveryTimeouts(steady=0.01)
            api.trouble = None
            api.set("s2", "nx-store", "10.0.0.2")
            await followed.until("store", "10.0.0.1", "10.0.0.2")
            await until(lambda: len(logs) == 2)
    assert logs[1]["event"] == "discovery_recovered"


async def test_a_version_that_is_always_too_old_is_no_hot_loop(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    api.trouble = lambda: web.Response(status=410)
    began = time.monotonic()
    async with serving(api, port), discover(settings, api=where):
        await until(lambda: api.refused >= 4)
    assert time.monotonic() - began >= 0.7


async def test_a_large_slice_is_read(settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]) -> None:
    where, port = server
    addresses = sorted(f"10.1.{number // 250}.{number % 250}" for number in range(5000))
    async with serving(api, port), discover(settings, api=where) as discovery:
        followed = Followed(discovery)
        await until(lambda: api.watches == 1)
        api.set("s2", "nx-store", *addresses)
        assert len(json.dumps(api.slices["s2"])) > 256 * 1024
        api.delete("s1")
        async with asyncio.timeout(PATIENCE):
            while len(followed.known["store"]) != len(addresses):
                await followed.changed()
        assert set(followed.known["store"]) == set(addresses)


async def test_only_the_clusters_own_authority_is_trusted_and_a_new_one_is_picked_up(
    settings: ServiceSettings, api: Api, tmp_path: Path
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    first, second = (make_certificate(folder) for folder in folders)
    (tmp_path / "token").write_text("first")
    port = free_port()
    where = ApiServer(f"https://127.0.0.1:{port}", tmp_path / "token", first.path)
    discovery = discover(settings, api=where, pace=DiscoveryTimeouts(first_sync=0.5))
    with capture_logs() as logs:
        async with serving(api, port, second.server_context()), discovery:
            followed = Followed(discovery)
            await until(lambda: len(logs) == 1)
            assert followed.known["store"] == []
            assert api.lists == 0
            first.path.write_bytes(second.path.read_bytes())
            await followed.until("store", "10.0.0.1")


async def test_an_authority_that_cannot_be_read_yet_is_waited_for(
    settings: ServiceSettings, api: Api, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    (tmp_path / "token").write_text("first")
    port = free_port()
    where = ApiServer(f"https://127.0.0.1:{port}", tmp_path / "token", tmp_path / "ca.crt")
    discovery = discover(settings, api=where, pace=DiscoveryTimeouts(first_sync=0.1))
    async with serving(api, port, certificate.server_context()), discovery:
        followed = Followed(discovery)
        assert followed.known["store"] == []
        certificate.path.rename(tmp_path / "ca.crt")
        await followed.until("store", "10.0.0.1")


async def test_the_last_confirmation_is_measured(
    settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]
) -> None:
    where, port = server
    metrics = Metrics()
    began = time.time()
    async with serving(api, port), discover(settings, api=where, metrics=metrics):
        confirmed = metrics.registry.get_sample_value("notifyx_discovery_confirmed_timestamp_seconds")
        assert confirmed is not None
        assert began - 1 <= confirmed <= time.time() + 1


async def test_its_end_is_a_fault(settings: ServiceSettings, api: Api, server: tuple[ApiServer, int]) -> None:
    where, port = server
    background = Background(Metrics())
    async with serving(api, port), EndpointSliceDiscovery(settings, background=background, api=where):
        task = background.endless["endpoint slices"]
        task.cancel()
        await asyncio.wait([task])
    assert [fault.task for fault in background.faults] == ["endpoint slices"]


async def test_a_start_does_not_wait_for_ever(settings: ServiceSettings, server: tuple[ApiServer, int]) -> None:
    discovery = discover(settings, api=server[0], pace=DiscoveryTimeouts(first_sync=0.2))
    async with asyncio.timeout(PATIENCE), discovery:
        assert Followed(discovery).known == {"auth": [], "store": []}


async def test_a_start_that_is_given_up_leaves_nothing_running(
    settings: ServiceSettings, server: tuple[ApiServer, int]
) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(GIVEN_UP), discover(settings, api=server[0]):
            pytest.fail("it was entered")
    assert asyncio.all_tasks() == before


def test_outside_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="NOTIFYX_KUBERNETES_NAMESPACE is set, but this is no pod"):
        in_cluster({}, tmp_path)
    with pytest.raises(SettingsError, match="mount the token"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, tmp_path)


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_inside_a_cluster_it_finds_the_api_server(tmp_path: Path, host: str, url: str) -> None:
    (tmp_path / "token").write_text("t")
    assert in_cluster({"KUBERNETES_SERVICE_HOST": host}, tmp_path) == ApiServer(
        url, tmp_path / "token", tmp_path / "ca.crt"
    )


def test_a_namespace_without_services_says_what_to_do(settings: ServiceSettings, server: tuple[ApiServer, int]) -> None:
    with pytest.raises(SettingsError, match="NOTIFYX_KUBERNETES_SERVICES names no Service"):
        discover(settings.model_copy(update={"kubernetes_services": {}}), api=server[0])
