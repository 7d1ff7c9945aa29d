"""Enforces NetworkPolicies on the nodes: a small agent of our own, since the bridge network enforces none.

It looks twice a second and loads one table into each node's network namespace. Like other implementations it lets a
new pod through until it has seen it. It stands in for a network plugin in tests, and is nothing to run elsewhere.
Usage: ``python -m cluster.namespaces.network_policy KUBECONFIG NETNS...``
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from cluster.namespaces.rules import render

PERIOD = 0.5
PATHS = ("/api/v1/pods", "/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies")


async def follow(kubeconfig: Path, namespaces: list[str]) -> None:
    """Keep the nodes' tables what the API server says."""
    config = json.loads(kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]["server"]
    timeout = aiohttp.ClientTimeout(total=5)
    connector = aiohttp.TCPConnector(ssl=_context(config))
    loaded: dict[str, str] = {}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        while True:
            try:
                # From the API server's own cache: twice a second must not cost etcd anything.
                found = [await _items(session, f"{server}{path}?resourceVersion=0") for path in PATHS]
                table = render(*found)
                for namespace in namespaces:
                    if loaded.get(namespace) != table:
                        _load(namespace, table)
                        loaded[namespace] = table
                        print(f"{namespace}: {table.count(' jump ')} directions isolated", flush=True)
            except (aiohttp.ClientError, OSError, ValueError, subprocess.CalledProcessError) as error:
                print(f"{type(error).__name__}: {error}", flush=True)
            await asyncio.sleep(PERIOD)


async def _items(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with session.get(url) as response:
        response.raise_for_status()
        items: list[dict[str, Any]] = (await response.json())["items"]
        return items


def _load(namespace: str, table: str) -> None:
    subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", "nft", "-f", "-"], input=table.encode(), check=True)


def _context(config: dict[str, Any]) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


if __name__ == "__main__":
    asyncio.run(follow(Path(sys.argv[1]), sys.argv[2:]))
