"""What the gateway does while something it needs is away, slow, or new."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from notifyx_common.contracts.registry import END_LEASE, LIST_LEASES, NodeKey
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster
from support.forked import ended
from support.gateway import PASSWORD, TOKEN, running_stack
from support.mailers import TOKEN as MAILER_TOKEN
from support.mailers import mailer_process
from support.memcached import running_memcached
from support.patience import PATIENCE, until

DEAD = "http://127.0.0.1:1"


async def test_who_is_signed_in_stays_so_while_auth_is_away(postgres: Cluster) -> None:
    async with running_stack(postgres, gateway={"keys_refresh": 0.5}) as stack:
        ada = await stack.person("ada")
        await stack.ok("POST", "/topics", ada, json={"name": "t"})
        key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k"}))["key"]
        await stack.ok("POST", "/topics/t/notifications", key, json={"title": "1"})
        stack.lease("auth", DEAD)
        stack.gateway.authenticator._verified._items.clear()
        await stack.ok("POST", "/topics/t/notifications", ada, json={"title": "2"})
        await stack.ok("POST", "/topics/t/notifications", key, json={"title": "3"})
        unknown = await stack.call("GET", "/topics/t", "nfx_abc_def")
        assert (unknown.status, unknown.headers["Retry-After"]) == (503, "1")
        signing_in = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        rejected = await stack.call("POST", "/token", data=signing_in)
        assert (rejected.status, rejected.data["error"]) == (503, "temporarily_unavailable")
        await stack.ok("PUT", "/topics/t/subscription", ada)
        assert [one["name"] for one in (await stack.ok("GET", "/topics/t/subscribers", ada))["items"]] == [None]
        stack.lease("auth", stack.auth_url)
        await stack.ok("POST", "/token", data=signing_in)
        assert [one["name"] for one in (await stack.ok("GET", "/topics/t/subscribers", ada))["items"]] == ["Ada"]


async def test_a_service_that_is_gone_altogether_does_not_shut_the_door(postgres: Cluster) -> None:
    async with running_stack(postgres) as stack:
        await stack.ready()
        for service in ("auth", "store"):
            stack.gateway.registry.remove(service, f"{service}-1")
        assert (await stack.call("GET", "/readyz")).data == {"status": "ok", "failed": {}}


async def test_a_token_of_a_key_that_is_not_known_makes_the_keys_be_read_once(postgres: Cluster) -> None:
    async with running_stack(
        postgres, auth={"key_rotation_seconds": 2, "key_publish_seconds": 1, "key_refresh_seconds": 0.1}
    ) as stack:
        ada = await stack.person("ada")
        first = stack.gateway.authenticator.jwks["keys"]
        # The gateway reads the keys every minute; auth signs with one it has never seen after two rotations.
        form = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        known = {key["kid"] for key in first}
        async with asyncio.timeout(PATIENCE):
            while True:
                fresh = (await stack.ok("POST", "/token", data=form))["access_token"]
                head = fresh.split(".")[0]
                if json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"] not in known:
                    break
                await asyncio.sleep(0.2)
        assert (await stack.call("GET", "/me", fresh)).status == 200
        assert (await stack.call("GET", "/me", ada)).status == 200
        forged = fresh.split(".")
        header = base64.urlsafe_b64encode(b'{"alg":"ES256","typ":"at+jwt","kid":"unknown"}').rstrip(b"=").decode()
        before = dict(stack.gateway.authenticator.jwks)
        replies = await asyncio.gather(
            *(stack.call("GET", "/me", f"{header}.{forged[1]}.{forged[2]}") for _ in range(50))
        )
        assert {reply.status for reply in replies} == {401}
        assert stack.gateway.authenticator.jwks == before


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_losing_memcached_under_load_reaches_no_client(postgres: Cluster, how: str) -> None:
    with running_memcached() as server:
        async with running_stack(postgres, gateway={"memcached": server.address}) as stack:
            shared = stack.gateway.shared
            assert shared is not None
            async with asyncio.timeout(PATIENCE):
                while not shared.available:
                    await asyncio.sleep(0.01)
            ada = await stack.person("ada")
            await stack.ok("POST", "/topics", ada, json={"name": "t"})
            key = (await stack.ok("POST", "/api-keys", ada, json={"name": "k"}))["key"]
            items = [{"topic": "t", "title": str(number)} for number in range(40)]
            await stack.ok("POST", "/notifications:batch", key, json={"items": items})
            bad: list[int] = []
            done = 0
            stop = asyncio.Event()

            async def worker(number: int) -> None:
                nonlocal done
                while not stop.is_set():
                    stack.gateway.authenticator._api_keys._memory._items.clear()
                    reply = await stack.call("GET", f"/topics/t/notifications?after={number}&limit=10", key)
                    done += 1
                    if reply.status != 200 or len(reply.data["items"]) != 10:
                        bad.append(reply.status)

            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    group.create_task(worker(number))
                while done < 50:
                    await asyncio.sleep(0.01)
                server.kill() if how == "kill" else server.signal(signal.SIGSTOP)
                mark = done
                while done < mark + 150:
                    await asyncio.sleep(0.01)
                server.start() if how == "kill" else server.signal(signal.SIGCONT)
                async with asyncio.timeout(PATIENCE):
                    while not shared.available:
                        await asyncio.sleep(0.01)
                stop.set()
            assert bad == []


async def test_a_mailer_started_by_hand_joins_stays_and_leaves_with_its_lease(
    postgres: Cluster, tmp_path: Path
) -> None:
    async with running_stack(postgres, gateway={"internal_token": MAILER_TOKEN}) as stack:

        def nodes() -> list[str]:
            return [endpoint.instance for endpoint in stack.gateway.mailer.endpoints]

        registries = json.dumps([stack.url])
        with mailer_process("fourth", tmp_path, None, registry_urls=registries, registry_lease="1.5") as mailer:
            await mailer.ready()
            await until(lambda: nodes() == ["fourth"], "it has joined")
            began = time.monotonic()
            await until(lambda: time.monotonic() - began > 3, "two leases are over")
            await until(lambda: nodes() == ["fourth"], "it renews its lease")
            mailer.signal(signal.SIGKILL)
            await until(lambda: not nodes(), "its lease is over")
        headers = {"Authorization": f"Bearer {MAILER_TOKEN}"}
        async with stack.session.get(f"{stack.url}{LIST_LEASES.path}", headers=headers) as response:
            assert {node["service"] for node in (await response.json())["nodes"]} == {"auth", "store"}
        wrong = {"service": "mailer", "instance": "a", "url": "file:///etc/passwd", "ttl": 3}
        url = f"{stack.url}{END_LEASE.encode(NodeKey('mailer', 'a')).path}"
        for body in (wrong, {**wrong, "url": "http://x", "ttl": 9e9}, {**wrong, "url": "http://x", "instance": "b"}):
            async with stack.session.put(url, headers=headers, json=body) as response:
                assert response.status == 400


async def test_an_address_that_tries_too_often_is_slowed_down(postgres: Cluster) -> None:
    limits = {"sign_up_burst": 2, "sign_up_interval": 3600, "token_burst": 3, "token_interval": 3600,
              "trusted_proxies": ["127.0.0.0/8"]}  # fmt: skip
    async with running_stack(postgres, gateway=limits) as stack:

        async def sign_up(number: int, address: str) -> int:
            body = {"email": f"u{number}@example.com", "password": PASSWORD}
            reply = await stack.call("POST", "/users", json=body, headers={"X-Forwarded-For": address})
            return reply.status

        assert [await sign_up(number, "192.0.2.1") for number in range(3)] == [201, 201, 429]
        assert await sign_up(9, "192.0.2.2") == 201
        assert await sign_up(10, "10.9.9.9, 192.0.2.1") == 429
        form = {"grant_type": "password", "username": "nobody@example.com", "password": PASSWORD}
        replies = [await stack.call("POST", "/token", data=form) for _ in range(4)]
        assert [reply.status for reply in replies] == [400, 400, 400, 429]
        assert replies[-1].code == "rate_limited"


async def test_sign_up_can_be_off(postgres: Cluster) -> None:
    async with running_stack(postgres, gateway={"sign_up": False}) as stack:
        reply = await stack.call("POST", "/users", json={"email": "a@example.com", "password": PASSWORD})
        assert (reply.status, reply.code) == (403, "sign_up_off")


def environment(folder: Path, **settings: str) -> dict[str, str]:
    values = {"internal_token": TOKEN, "port": "0", "metrics_port": "0", "socket_port": "0",
              "ready_file": str(folder / "ready.json"), **settings}  # fmt: skip
    return {"PATH": os.environ["PATH"], **{f"NOTIFYX_{name.upper()}": value for name, value in values.items()}}


async def test_the_process_starts_alone_says_it_is_not_ready_and_stops_on_sigterm(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "notifyx_gateway.app"], env=environment(tmp_path))
    try:
        async with asyncio.timeout(PATIENCE):
            while not (tmp_path / "ready.json").exists():
                assert process.poll() is None
                await asyncio.sleep(0.02)
        ports = json.loads((tmp_path / "ready.json").read_text())
        assert {"port", "metrics_port", "socket_port", "pid"} <= set(ports)
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{ports['port']}"
            async with session.get(f"{base}/healthz") as response:
                assert response.status == 200
            async with session.get(f"{base}/readyz") as response:
                assert response.status == 503
                assert set((await response.json())["failed"]) == {"auth", "store", "keys"}
            async with session.get(f"{base}/") as response:
                assert response.status == 200
            async with session.get(f"http://127.0.0.1:{ports['metrics_port']}/metrics") as response:
                assert "notifyx_http_requests_total" in await response.text()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while process.poll() is None:
                await asyncio.sleep(0.02)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"internal_token": "short"}, "NOTIFYX_INTERNAL_TOKEN"),
        ({"public_url": "notifyx.example.com"}, "NOTIFYX_PUBLIC_URL"),
        ({"allowed_origins": '["https://x/path"]'}, "NOTIFYX_ALLOWED_ORIGINS"),
        ({"trusted_proxies": '["here"]'}, "NOTIFYX_TRUSTED_PROXIES"),
        ({"memcached": "host:port"}, "NOTIFYX_MEMCACHED"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_2(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    code, errors = ended("notifyx_gateway.app", environment(tmp_path, **settings))
    assert code == 2
    assert sentence in errors
    assert "Traceback" not in errors


def test_a_taken_socket_port_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    with socket.socket() as held:
        port = free_port()
        held.bind(("127.0.0.1", port))
        held.listen()
        code, errors = ended("notifyx_gateway.app", environment(tmp_path, socket_port=str(port)))
    assert code == 2
    assert f"{port}" in errors.splitlines()[-1]
    assert "NOTIFYX_SOCKET_PORT" in errors
