"""Measure the real platform (durable, authenticated) beside a C program that does one ``send`` a delivery.

Both are driven by the same load client in the same run, in turns; what counts is the ratio, since machines differ and
are noisy. Prints a Markdown table; ``--write FILE`` also writes it there.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from notifyx_local.ports import free_port

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.platform import Platform, eventually, person, running_platform  # noqa: E402 - after the path is set

Result = dict[str, Any]
CASES: dict[str, list[str]] = {
    "flood": ["--mode", "flood", "--connections", "1000", "--messages", "200"],
    "steady": ["--mode", "steady", "--connections", "1000", "--rate", "20", "--seconds", "10"],
    "idle": ["--mode", "idle", "--connections", "1000"],
    "joins": ["--mode", "idle", "--connections", "2000"],
}


def build(folder: Path) -> tuple[Path, Path]:
    """Compile the reference server and the load client."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("make bench needs a C compiler; on Debian and Ubuntu: apt-get install gcc libc6-dev")
    programs = []
    for name in ("reference", "loadclient"):
        programs.append(folder / name)
        subprocess.run([compiler, "-O2", "-o", programs[-1], HERE / f"{name}.c"], check=True)
    return programs[0], programs[1]


def pinned(core: int) -> list[str]:
    """Keep the load client on a core of its own where that is possible."""
    cores = os.cpu_count() or 1
    return ["taskset", "-c", str(core % cores)] if cores > 1 and shutil.which("taskset") else []


def load(client: Path, port: int, arguments: list[str], token: str | None = None) -> Result:
    """One run of the load client."""
    environment = {**os.environ, **({"NOTIFYX_TOKEN": token} if token else {})}
    command = [*pinned(1), str(client), "--port", str(port), *arguments]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    if output.returncode != 0:
        sys.exit(f"the load client failed: {output.stderr}")
    result: Result = json.loads(output.stdout)
    if result.get("expected", 0) != result.get("deliveries", 0) or result.get("closed") or result.get("errors"):
        sys.exit(f"deliveries are missing, which no figure can excuse: {result} {output.stderr}")
    return result


@contextlib.contextmanager
def reference_server(program: Path) -> Iterator[tuple[int, int]]:
    """The C server; its port and pid."""
    port = free_port()
    process = subprocess.Popen([*pinned(0), program, str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield port, process.pid
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def prepare(platform: Platform, topic: str, *, fresh: bool) -> str:
    """A user who owns ``topic``; the token in the form the phoenix client sends it.

    ``fresh`` starts the gateway anew: memory it has used before would hide what connections cost.
    """
    if fresh:
        old = platform.kill("gateway")
        await eventually(lambda: restarted(platform, old), deadline=30)
    async with person(platform, "bench") as owner:
        await owner.call("POST", "/topics", json={"name": topic})
        return base64.b64encode(owner.token.encode()).decode().rstrip("=")


async def restarted(platform: Platform, old: int) -> bool:
    """Whether another gateway than ``old`` is ready."""
    if platform.running().get("gateway", old) == old:
        return False
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{platform.gateway}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def measure(rounds: int, cases: list[str]) -> dict[str, list[tuple[Result, Result]]]:
    """Pairs of (reference, platform) results for each case, taken in turns."""
    results: dict[str, list[tuple[Result, Result]]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder, running_platform("--log-level", "WARNING") as platform:
        reference, client = build(Path(folder))
        port = int(platform.socket.split(":")[2].split("/")[0])
        for number in range(rounds):
            for case in cases:
                with reference_server(reference) as (bare_port, pid):
                    bare = load(
                        client, bare_port,
                        ["--dialect", "bare", "--path", "/", "--server", str(pid), *CASES[case]],
                    )  # fmt: skip
                topic = f"bench.{case}.{number}"
                token = asyncio.run(prepare(platform, topic, fresh=case == "idle"))
                own = load(
                    client, port,
                    ["--topic", topic, "--server", str(platform.pid("gateway")), *CASES[case]], token,
                )  # fmt: skip
                results[case].append((bare, own))
                print(case, number + 1, json.dumps(bare), json.dumps(own), sep="\n  ", file=sys.stderr)
    return results


def middle(pairs: list[tuple[Result, Result]], side: int, key: str) -> float:
    return statistics.median(float(pair[side][key]) for pair in pairs)


def table(results: dict[str, list[tuple[Result, Result]]]) -> str:
    """The results as Markdown: medians over the rounds, and ratios within each round."""
    lines = ["| case | figure | C, one send a delivery | Notifyx | ratio |", "|-|-|-|-|-|"]

    def row(case: str, title: str, key: str, digits: int) -> None:
        pairs = results[case]
        ratio = statistics.median(float(own[key]) / max(float(bare[key]), 1e-9) for bare, own in pairs)
        bare, own = middle(pairs, 0, key), middle(pairs, 1, key)
        lines.append(f"| {case} | {title} | {bare:,.{digits}f} | {own:,.{digits}f} | {ratio:,.1f} |")

    if "flood" in results:
        row("flood", "deliveries a second, 1000 x 200", "deliveries_per_second", 0)
        row("flood", "p99 latency, ms", "p99_ms", 0)
    if "steady" in results:
        row("steady", "p50 latency, ms, 20 messages/s x 1000", "p50_ms", 1)
        row("steady", "p99 latency, ms", "p99_ms", 1)
    if "joins" in results:
        row("joins", "connections joined a second, 64 at a time", "joins_per_second", 0)
    if "idle" in results:
        memory = middle(results["idle"], 1, "kb_per_connection")
        lines.append(f"| idle | gateway memory a joined connection, kB | - | {memory:,.1f} | - |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    text = table(measure(arguments.rounds, arguments.case or list(CASES)))
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
