"""The auth process as it is run: started twice over, cut off from its database by ``kill -9``, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from notifyx_common.contracts.auth import JWKS, SIGN_UP, TOKEN
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster, prepare
from support.auth import INTERNAL_TOKEN, PASSWORD
from support.forked import Forked, ended, program
from support.patience import PATIENCE
from support.postgres import create_database, start
from support.run_folder import run_folder

HEADERS = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}
COMMAND = Path(sys.executable).parent / "notifyx-auth"
MODULE = "notifyx_auth.app"


def environment(database_url: str, **more: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "NOTIFYX_DATABASE_URL": database_url,
        "NOTIFYX_INTERNAL_TOKEN": INTERNAL_TOKEN,
        "NOTIFYX_AUTH_SECRET": "a-secret-of-32-characters-or-more",
        "NOTIFYX_ARGON2_TIME": "1",
        "NOTIFYX_ARGON2_MEMORY_KIB": "64",
        "NOTIFYX_LOGIN_BURST": "1000",
        "NOTIFYX_PORT": "0",
        "NOTIFYX_METRICS_PORT": "0",
        **more,
    }


@contextlib.asynccontextmanager
async def auth_process(database_url: str, folder: Path, *, forked: bool = False, **more: str) -> AsyncIterator[str]:
    """A running process; its base URL. It has to stop cleanly on SIGTERM. ``forked``: without the time for imports."""
    ready = folder / "ready.json"
    given = environment(database_url, NOTIFYX_READY_FILE=str(ready), **more)
    process: Forked | subprocess.Popen[bytes]
    process = program(MODULE, given, folder / "log") if forked else subprocess.Popen([COMMAND], env=given)
    try:
        async with asyncio.timeout(PATIENCE):
            while not ready.exists():
                assert process.poll() is None, "auth ended before it was ready"
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{json.loads(ready.read_text())['port']}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0


@pytest.mark.slow
async def test_a_killed_database_is_503_until_it_is_back(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="auth-", dir=run_folder()) as folder:
        Path(folder).chmod(0o755)
        cluster = prepare(Path(folder), free_port())
        server = await asyncio.to_thread(start, cluster)
        try:
            url = await create_database(cluster)
            async with (
                auth_process(url, tmp_path) as base,
                aiohttp.ClientSession(base, headers=HEADERS, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
            ):
                user = {"email": "ada@example.org", "password": PASSWORD, "name": "Ada"}
                async with session.post(SIGN_UP.path, json=user) as response:
                    assert response.status == 201
                assert await _sign_in(session) == 200
                seen: Counter[int] = Counter()
                load = [asyncio.create_task(_keep_signing_in(session, seen)) for _ in range(8)]
                await _until(lambda: seen[200] >= 50)
                server.kill()
                await asyncio.to_thread(server.wait, PATIENCE)
                await _until(lambda: seen[503] >= 50)
                async with session.get("/readyz") as response:
                    assert response.status == 503
                    assert "database" in (await response.json())["failed"]
                async with session.get("/healthz") as response:
                    assert response.status == 200
                async with session.get(JWKS.path) as response:
                    assert response.status == 200
                server = await asyncio.to_thread(start, cluster)
                good = seen[200]
                await _until(lambda: seen[200] >= good + 50)
                for task in load:
                    task.cancel()
                ended = await asyncio.gather(*load, return_exceptions=True)
                assert all(isinstance(result, asyncio.CancelledError) for result in ended), ended
                assert set(seen) == {200, 503}
                async with session.get("/readyz") as response:
                    assert response.status == 200
        finally:
            server.send_signal(signal.SIGINT)
            await asyncio.to_thread(server.wait, PATIENCE)


async def test_replicas_start_at_the_same_instant(postgres: Cluster, tmp_path: Path) -> None:
    database = await create_database(postgres)
    folders = [tmp_path / str(number) for number in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        for folder in folders:
            folder.mkdir()
        admin = {"NOTIFYX_ADMIN_EMAIL": "root@example.org", "NOTIFYX_ADMIN_PASSWORD": PASSWORD}
        starts = [auth_process(database, folder, forked=True, **admin) for folder in folders]
        bases = await asyncio.gather(*(stack.enter_async_context(process) for process in starts))
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=HEADERS))
        sets = []
        for base in bases:
            async with session.get(f"{base}{JWKS.path}") as response:
                sets.append(await response.json(content_type=None))
            async with session.get(f"{base}/readyz") as response:
                assert response.status == 200
        assert sets[0]["keys"]
        assert all(found == sets[0] for found in sets)
        await _speaks_no_http_2(bases[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"NOTIFYX_AUTH_SECRET": "short"}, "NOTIFYX_AUTH_SECRET"),
        ({"NOTIFYX_DATABASE_URL": "mysql://x/y"}, "NOTIFYX_DATABASE_URL"),
        ({"NOTIFYX_ADMIN_EMAIL": "root@example.org"}, "NOTIFYX_ADMIN_PASSWORD"),
        ({"NOTIFYX_KEY_REFRESH_SECONDS": "600", "NOTIFYX_KEY_PUBLISH_SECONDS": "60"}, "NOTIFYX_KEY_REFRESH_SECONDS"),
        (
            {"NOTIFYX_DATABASE_URL": "postgresql://127.0.0.1:1/none", "NOTIFYX_DATABASE_DEADLINE": "0.2"},
            "cannot be used",
        ),
    ],
    ids=str,
)
def test_a_wrong_setting_is_one_sentence_and_exit_2(change: dict[str, str], says: str) -> None:
    code, errors = ended(MODULE, {**environment("postgresql://user:s3cret-of-db@127.0.0.1:1/none"), **change})
    assert code == 2
    assert says in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors
    assert "s3cret-of-db" not in errors


async def _speaks_no_http_2(base: str) -> None:
    """What an import leaves out is not missed by a connection that asks for it."""
    where = urlsplit(base)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    upgrade = (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    for sent, status in ((preface, 505), (upgrade, 200)):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).startswith(b"HTTP/1.1 %d" % status)
        writer.close()


async def _sign_in(session: aiohttp.ClientSession) -> int:
    form = {"grant_type": "password", "username": "ada@example.org", "password": PASSWORD}
    async with session.post(TOKEN.path, json=form) as response:
        data = await response.json(content_type=None)
        if response.status != 200:
            assert response.content_type == "application/problem+json"
            assert data["code"] in ("unavailable", "busy"), data
        return response.status


async def _keep_signing_in(session: aiohttp.ClientSession, seen: Counter[int]) -> None:
    while True:
        seen[await _sign_in(session)] += 1


async def _until(true: Callable[[], bool], deadline: float = PATIENCE) -> None:
    async with asyncio.timeout(deadline):
        while not true():
            await asyncio.sleep(0.02)
