"""Waiting for a database, migrating it once, and how its absence looks to callers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr
from tortoise import fields
from tortoise.exceptions import OperationalError
from tortoise.models import Model

from cluster.namespaces.pki import Authority
from notifyx_common.calls.silence import MAX_STEP
from notifyx_common.database import (
    DRIVER_ERRORS,
    NOT_CONNECTED,
    Database,
    DatabaseConfig,
    DatabaseUnreachable,
    as_unavailable,
    migrate,
    unavailable_when_lost,
    wait_for_database,
)
from notifyx_common.errors import Unavailable
from notifyx_common.metrics import PoolUsage
from notifyx_common.settings import SettingsError
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster
from support.patience import PATIENCE
from support.postgres import create_database

GIVEN_UP = 0.1
"""Seconds after which somebody no longer waits for a statement."""

_FIRST = """
from tortoise import fields, migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    initial = True
    operations = [
        ops.CreateModel(
            name="Thing",
            fields=[
                ("id", fields.IntField(primary_key=True, generated=True, unique=True, db_index=True)),
                ("name", fields.TextField(unique=False)),
            ],
            options={"table": "things", "app": "things", "pk_attr": "id"},
            bases=["Model"],
        ),
    ]
"""
_BROKEN = """
from tortoise import migrations
from tortoise.migrations import operations as ops

class Migration(migrations.Migration):
    dependencies = [("things", "0001_first")]
    operations = [ops.RunSQL("CREATE TABLE half (id int); SELECT nonsense")]
"""


class Thing(Model):
    id = fields.IntField(primary_key=True)
    name = fields.TextField()

    class Meta:
        table = "things"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of migrations, importable as ``things_migrations``."""
    folder = tmp_path / "things_migrations"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "0001_first.py").write_text(_FIRST)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("things_migrations")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def config(url: str, **more: float) -> DatabaseConfig:
    return DatabaseConfig(
        url=SecretStr(url),
        app="things",
        models=(__name__,),
        migrations="things_migrations",
        start_deadline=more.pop("start_deadline", PATIENCE),
        **more,  # type: ignore[arg-type]  # the test's own keywords
    )


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


@pytest.mark.usefixtures("package")
async def test_replicas_migrate_once(database: str) -> None:
    await asyncio.gather(*(asyncio.create_task(migrate(config(database))) for _ in range(6)))
    assert await tables(database) == {"things", "tortoise_migrations"}
    async with Database(config(database)) as entered:
        assert await entered.pool.fetchval("SELECT count(*) FROM tortoise_migrations") == 1


async def test_a_migration_that_fails_leaves_nothing_behind(database: str, package: Path) -> None:
    (package / "0002_broken.py").write_text(_BROKEN)
    with pytest.raises(OperationalError):
        await migrate(config(database))
    assert await tables(database) == set()
    (package / "0002_broken.py").unlink()
    for name in [name for name in sys.modules if name.startswith("things_migrations.")]:
        del sys.modules[name]
    await migrate(config(database))
    assert await tables(database) == {"things", "tortoise_migrations"}


async def test_a_start_applies_what_is_missing(database: str, package: Path) -> None:
    for name, expected in (("0001_first", 1), ("0001_first", 1), ("0002_second", 2)):
        if name == "0002_second":
            (package / f"{name}.py").write_text(_BROKEN.replace("; SELECT nonsense", ""))
        async with Database(config(database)) as entered:
            assert await entered.pool.fetchval("SELECT count(*) FROM tortoise_migrations") == expected
    assert await tables(database) == {"things", "half", "tortoise_migrations"}


@pytest.mark.usefixtures("package")
async def test_a_database_that_is_not_there_is_waited_for_and_then_named(database: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="NOTIFYX_DATABASE_URL"):
        await wait_for_database(SecretStr(f"postgresql://user:s3cret@127.0.0.1:{free_port()}/none"), 0.5)
    wrong = database.replace("notifyx:", "notifyx:wrong", 1)
    with pytest.raises(DatabaseUnreachable, match="password authentication failed") as caught:
        await wait_for_database(SecretStr(wrong), 0.2, connect_timeout=PATIENCE)
    assert "wrong" not in caught.value.reason
    with pytest.raises(DatabaseUnreachable, match="does not exist"):
        await wait_for_database(SecretStr(database.replace("?", "x?")), 0.2, connect_timeout=PATIENCE)


@contextlib.asynccontextmanager
async def encrypted(postgres: Cluster, folder: Path) -> AsyncIterator[int]:
    """The port of a PostgreSQL that wants TLS, with the certificate ``server`` in ``folder``.

    The one of the tests is built without: in front of it is what answers PostgreSQL's SSLRequest and encrypts.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(1 << 16):
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            assert await reader.readexactly(8) == struct.pack("!ii", 8, 80877103)
            writer.write(b"S")
            await writer.start_tls(context)
            server, to_server = await asyncio.open_connection("127.0.0.1", postgres.port)
            await asyncio.gather(carry(reader, to_server), carry(server, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as front:
        yield front.sockets[0].getsockname()[1]


async def test_a_server_with_a_certificate_of_a_private_authority(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variables that the chart sets for ``database.existingCaSecret``; the URL names no sslmode."""
    Authority(tmp_path).issue("server", "postgres", names=("localhost",))
    Authority(tmp_path / "other")
    plain = postgres.dsn().partition("?")[0]

    def trust(file: str) -> None:
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / file))

    async with encrypted(postgres, tmp_path) as port:
        elsewhere = plain.replace(f":{postgres.port}/", f":{port}/")
        named = elsewhere.replace("127.0.0.1", "localhost")
        trust("ca.crt")
        connection = await wait_for_database(SecretStr(named), PATIENCE, connect_timeout=PATIENCE)
        await connection.close()
        refused = [
            (elsewhere, "ca.crt", "certificate verify failed.*127.0.0.1"),
            (named, "other/ca.crt", "certificate verify failed"),
            (plain, "ca.crt", "rejected SSL upgrade"),
        ]
        for url, file, reason in refused:
            trust(file)
            with pytest.raises(DatabaseUnreachable, match=reason):
                await wait_for_database(SecretStr(url), 0.0, connect_timeout=PATIENCE)


@pytest.mark.usefixtures("package")
async def test_a_database_that_goes_away_again_while_it_is_opened_is_waited_for(database: str) -> None:
    """A pod that has just started: the first connection succeeds, the next two do not."""
    target = urlsplit(database)
    assert target.hostname is not None
    taken = 0
    ways: list[asyncio.Task[None]] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        taken += 1
        task = asyncio.current_task()
        assert task is not None
        ways.append(task)
        try:
            if taken not in (2, 3):
                await connect(reader, writer)
        finally:
            await closed(writer)

    async def closed(writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(target.hostname, target.port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            await closed(sink)

        await asyncio.gather(copy(reader, there), copy(there_reader, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    near = target._replace(netloc=f"{target.username}:{target.password}@127.0.0.1:{port}").geturl()
    async with server:
        async with Database(config(near)) as entered:
            assert await entered.pool.fetchval("SELECT count(*) FROM things") == 0
        await asyncio.gather(*ways)
    assert taken > 3


@pytest.mark.parametrize("url", ["", "postgresql://host", "mysql://host/db", "host/db"])
def test_a_wrong_url_is_named_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFYX_DATABASE_URL"):
        config(url)


@pytest.mark.usefixtures("package")
async def test_a_pool_that_is_used_up_fails_by_its_deadline(database: str) -> None:
    async with Database(config(database, pool_max=1, acquire_timeout=0.2)) as entered:
        async with entered.pool.acquire():
            assert entered.usage() == PoolUsage(used=1, limit=1)
            waiting = asyncio.create_task(entered.check())
            await asyncio.sleep(0)
            assert entered.usage() == PoolUsage(used=1, limit=1, waiting=1)
            with pytest.raises(Unavailable):
                await waiting
            with pytest.raises(Unavailable):
                async with entered.guard():
                    await Thing.all().count()
        assert entered.usage() == PoolUsage(used=0, limit=1)
        async with entered.guard():
            assert await Thing.all().count() == 0


@pytest.mark.usefixtures("package")
async def test_a_check_that_gets_no_answer_does_not_wait_for_its_end_too(database: str) -> None:
    async with Database(
        config(database, pool_min=1, pool_max=1, acquire_timeout=2 * PATIENCE, command_timeout=2 * PATIENCE)
    ) as entered:
        session = await entered.pool.fetchval("SELECT pg_backend_pid()")
        os.kill(session, signal.SIGSTOP)
        try:
            waiting = asyncio.create_task(entered.check())
            while entered.usage().used == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            waiting.cancel()
            done, _ = await asyncio.wait([waiting], timeout=PATIENCE / 2)
        finally:
            os.kill(session, signal.SIGCONT)
        assert done, "it waits for the statement to be cancelled"


@pytest.mark.usefixtures("package")
async def test_time_in_which_the_process_did_not_run_is_no_silence_of_the_database(database: str) -> None:
    async with Database(config(database, pool_min=1, pool_max=1, check_timeout=2 * MAX_STEP)) as entered:
        async with entered.pool.acquire() as session:
            waiting = asyncio.create_task(entered.check())
            while not entered.usage().waiting:
                await asyncio.sleep(0)
            time.sleep(3 * MAX_STEP)
            await session.fetchval("SELECT 1")
        await waiting


@pytest.mark.usefixtures("package")
async def test_a_statement_that_does_not_end_fails_by_its_deadline(database: str) -> None:
    async with Database(config(database, command_timeout=0.3)) as entered:
        with pytest.raises(Unavailable):
            async with entered.guard():
                await entered.pool.execute("SELECT pg_sleep(20)")
        await entered.check()


@pytest.mark.usefixtures("package")
async def test_who_gives_a_statement_up_hears_nothing_of_the_connection(database: str) -> None:
    async with Database(config(database)) as entered:
        for number in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(GIVEN_UP), entered.pool.acquire() as connection:
                    await connection.fetchval("SELECT pg_sleep($1)", PATIENCE)
            with pytest.raises(TimeoutError):
                async with entered.pool.acquire() as connection:
                    await connection.fetchval("SELECT pg_sleep($1)", PATIENCE, timeout=GIVEN_UP)
            assert await entered.pool.fetchval("SELECT $1::int", number) == number


@pytest.mark.usefixtures("package")
async def test_connections_that_are_ended_are_replaced(database: str) -> None:
    async with Database(config(database)) as entered:
        for _ in range(3):
            killer = await asyncpg.connect(database)
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await killer.close()
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        async with entered.guard():
                            await Thing.create(name="one")
                        break
                    except Unavailable:
                        continue
        assert await Thing.all().count() == 3


@pytest.mark.usefixtures("package")
async def test_two_databases_in_one_process_are_kept_apart(database: str, postgres: Cluster) -> None:
    other = await create_database(postgres)
    async with Database(config(database)) as one, Database(config(other)) as two:
        async with one.guard():
            await Thing.create(name="one")
        async with two.guard():
            assert await Thing.all().count() == 0
        async with one.guard():
            assert await Thing.all().count() == 1


def test_only_an_absent_database_is_unavailable() -> None:
    assert as_unavailable(asyncpg.CannotConnectNowError("starting up")) is not None
    assert as_unavailable(asyncpg.InterfaceError("connection is closed")) is not None
    assert as_unavailable(ConnectionResetError()) is not None
    assert as_unavailable(asyncpg.InterfaceError("another operation is in progress")) is None
    assert as_unavailable(asyncpg.UniqueViolationError("taken")) is None
    assert as_unavailable(KeyError("x")) is None
    with pytest.raises(asyncpg.InterfaceError), unavailable_when_lost():
        raise asyncpg.InterfaceError("another operation is in progress")


async def test_what_is_asked_before_the_end_of_a_session_has_been_read_fails_as_after_it(postgres: Cluster) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    await connection.fetchval("SELECT 1")

    async def end() -> None:
        admin = await asyncpg.connect(postgres.dsn())
        assert await admin.fetchval("SELECT pg_terminate_backend($1, 60000)", connection.get_server_pid())
        await admin.close()

    # This event loop stands still meanwhile: then it reads the server's last message, and after that the end.
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, end()).result(PATIENCE)
    for _ in range(2):
        await asyncio.sleep(0)
    with pytest.raises(DRIVER_ERRORS) as raised:
        await connection.fetchval("SELECT 1")
    assert isinstance(raised.value, asyncpg.InternalClientError)
    assert isinstance(raised.value, NOT_CONNECTED), "who listens connects again"
    assert as_unavailable(raised.value) is not None
    connection.terminate()


@pytest.mark.usefixtures("package")
async def test_a_reading_of_the_clock_that_is_held_up_does_not_count(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[int] = []
    fetchval = asyncpg.Connection.fetchval

    async def held_up(self: asyncpg.Connection, query: str, *args: Any, **options: Any) -> Any:
        answer = await fetchval(self, query, *args, **options)
        if "clock_timestamp" in query:
            readings.append(1)
            if len(readings) == 1:
                await asyncio.sleep(1)
        return answer

    monkeypatch.setattr(asyncpg.Connection, "fetchval", held_up)
    async with Database(config(database)) as entered:
        error = await entered.pool.fetchval("SELECT clock_timestamp()") - entered.clock.now()
        assert abs(error) < timedelta(seconds=0.4), "half a second by the first reading alone"
