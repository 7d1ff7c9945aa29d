"""A real Prometheus that scrapes a running platform."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from notifyx_local.ports import free_port
from support.debian import program
from support.patience import PATIENCE
from support.platform import Platform, eventually


@dataclass(frozen=True)
class Prometheus:
    """Where it answers, and how to ask."""

    url: str
    http: aiohttp.ClientSession

    async def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        async with self.http.get(f"{self.url}/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        found: list[dict[str, Any]] = (await self.get("query", query=expression))["result"]
        return found


def targets(platform: Platform) -> dict[str, str]:
    """Where each service of the platform tells its metrics, by the name of its process."""
    ports = {file.stem: json.loads(file.read_text()) for file in (platform.data / "run").glob("*.json")}
    return {name: f"127.0.0.1:{one['metrics_port']}" for name, one in ports.items() if "metrics_port" in one}


@contextlib.asynccontextmanager
async def running_prometheus(folder: Path, platform: Platform, rules: Path) -> AsyncIterator[Prometheus]:
    """Ready, and with every target scraped; it looks and evaluates every second."""
    groups = yaml.safe_load(rules.read_text())["groups"]
    hurried = [{key: value for key, value in group.items() if key != "interval"} for group in groups]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": hurried}))
    wanted = targets(platform)
    jobs = [{"targets": [address], "labels": {"pod": name}} for name, address in wanted.items()]
    (folder / "prometheus.yaml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": ["rules.yaml"],
                "scrape_configs": [{"job_name": "notifyx", "static_configs": jobs}],
            }
        )
    )
    found, port = program("prometheus", "prometheus"), free_port()
    command = [
        found.path, "--config.file=prometheus.yaml", "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=found.env, stdout=log, stderr=log)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as http:
            running = Prometheus(f"http://127.0.0.1:{port}", http)

            async def scraped() -> bool:
                assert process.poll() is None, (folder / "prometheus.log").read_text()
                try:
                    return len(await running.query("up == 1")) == len(wanted)
                except (aiohttp.ClientError, AssertionError):
                    return False

            await eventually(scraped)
            yield running
    finally:
        process.terminate()
        process.wait(PATIENCE)
