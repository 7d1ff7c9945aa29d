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
Round = dict[str, Result]
"""The results of one case, by what was measured."""

REFERENCE, BEFORE, OWN = "C, one send a delivery", "before", "Notifyx"

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


def measure(rounds: int, cases: list[str], before: Path | None) -> dict[str, list[Round]]:
    """The results of each case in each round, taken in turns; with ``before``, of the platform of that checkout too."""
    results: dict[str, list[Round]] = {case: [] for case in cases}
    with contextlib.ExitStack() as stack:
        reference, client = build(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        own = running_platform("--log-level", "WARNING", interpreter=Path(sys.executable))
        platforms = {OWN: stack.enter_context(own)}
        if before is not None:
            older = running_platform("--log-level", "WARNING", interpreter=before / ".venv/bin/python")
            platforms[BEFORE] = stack.enter_context(older)
        for number in range(rounds):
            for case in cases:
                with reference_server(reference) as (bare_port, pid):
                    bare = load(
                        client, bare_port,
                        ["--dialect", "bare", "--path", "/", "--server", str(pid), *CASES[case]],
                    )  # fmt: skip
                found: Round = {REFERENCE: bare}
                for name, platform in platforms.items():
                    topic = f"bench.{case}.{number}"
                    token = asyncio.run(prepare(platform, topic, fresh=case == "idle"))
                    port = int(platform.socket.split(":")[2].split("/")[0])
                    found[name] = load(
                        client, port,
                        ["--topic", topic, "--server", str(platform.pid("gateway")), *CASES[case]], token,
                    )  # fmt: skip
                results[case].append(found)
                print(case, number + 1, *(f"{name}: {json.dumps(one)}" for name, one in found.items()),
                      sep="\n  ", file=sys.stderr)  # fmt: skip
    return results


def table(results: dict[str, list[Round]]) -> str:
    """The results as Markdown: medians over the rounds, the lowest and the highest, and ratios within each round."""
    names = [name for name in (REFERENCE, BEFORE, OWN) if any(name in found for found in next(iter(results.values())))]
    lines = [f"| case | figure | {' | '.join(names)} | ratio |", "|-|-|" + "-|" * len(names) + "-|"]

    def row(case: str, title: str, key: str, digits: int, compared: bool = True) -> None:
        rounds = results.get(case, [])
        if not rounds:
            return
        cells = []
        for name in names:
            values = sorted(float(found[name][key]) for found in rounds)
            spread = f" ({values[0]:,.{digits}f} to {values[-1]:,.{digits}f})" if len(values) > 1 else ""
            shown = compared or name != REFERENCE
            cells.append(f"{statistics.median(values):,.{digits}f}{spread}" if shown else "-")
        ratios = [float(found[OWN][key]) / max(float(found[REFERENCE][key]), 1e-9) for found in rounds]
        cells.append(f"{statistics.median(ratios):,.1f}" if compared else "-")
        lines.append(f"| {case} | {title} | {' | '.join(cells)} |")

    row("flood", "deliveries a second, 1000 x 200", "deliveries_per_second", 0)
    row("flood", "p99 latency, ms", "p99_ms", 0)
    row("steady", "p50 latency, ms, 20 messages/s x 1000", "p50_ms", 1)
    row("steady", "p99 latency, ms", "p99_ms", 1)
    row("joins", "connections joined a second, 64 at a time", "joins_per_second", 0)
    row("idle", "gateway memory a joined connection, kB", "kb_per_connection", 1, compared=False)
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--before", type=Path, help="also measure the platform of this other checkout, in turns")
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    text = table(measure(arguments.rounds, arguments.case or list(CASES), arguments.before))
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
