"""PostgreSQL clusters copied from one that is made once a run: initdb and migrations take a second each time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import pickle
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from notifyx_common.database import migrate
from notifyx_local.databases import make_databases
from notifyx_local.ports import free_port
from notifyx_local.postgres import Cluster, prepare
from support.auth import SCHEMA as AUTH
from support.patience import PATIENCE
from support.postgres import forget, start
from support.run_folder import run_folder
from support.store import SCHEMA as STORE

FILES = ("postgres", "postgres-password")


def copy_cluster(folder: Path) -> Cluster:
    """Put a cluster with the databases of auth and store, migrated and empty, where ``notifyx up`` expects its own.

    Return it, with a port of its own.
    """
    template = _template(run_folder())
    # A copy of its files' owners too: the server runs as another account than root.
    subprocess.run(["cp", "-a", *(template.data.parent / name for name in FILES), folder], check=True)
    return replace(template, data=folder / template.data.name, port=free_port())


@contextlib.contextmanager
def running_postgres() -> Iterator[Cluster]:
    """A server on such a cluster, up when the block is entered and gone, data and all, when it is left."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=run_folder()))
    folder.chmod(0o755)
    try:
        cluster = copy_cluster(folder)
        process = start(cluster)
        try:
            yield cluster
        finally:
            forget(cluster)
            process.send_signal(signal.SIGQUIT)  # nobody reads this data again
            process.wait(PATIENCE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _template(run: Path) -> Cluster:
    """Return the cluster of the run in the folder ``run``. The first process that needs it makes it."""
    folder = run / "template"
    folder.mkdir(exist_ok=True)
    made = folder / "cluster.pickle"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with ThreadPoolExecutor(1) as thread:  # this one may run an event loop
                cluster = thread.submit(_make, folder).result()
            made.write_bytes(pickle.dumps(cluster))
    found: Cluster = pickle.loads(made.read_bytes())
    return found


def _make(folder: Path) -> Cluster:
    cluster = prepare(folder, free_port())
    process = start(cluster)
    asyncio.run(_migrate(cluster))
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    return cluster


async def _migrate(cluster: Cluster) -> None:
    schemas = {"auth": AUTH, "store": STORE}
    urls = await make_databases(cluster.dsn(), dict.fromkeys(schemas, "replaced-at-each-start"), own_roles=True)
    for name, url in urls.items():
        await migrate(replace(schemas[name], url=SecretStr(url)))
