"""``make fuzz``: reads many inputs, and writes the shortest form of each that fails to a file."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from fuzz import live
from fuzz.runner import keep, run_share
from fuzz.targets import BY_NAME

FOLDER = Path(".cache/fuzz")


def main() -> int:
    """Run what the command line says; return 1 if an input failed."""
    options = _options()
    if options.live is not None:
        return live.main(options.live, options.seed)
    names = options.target or list(BY_NAME)
    started, failed, total = time.monotonic(), 0, 0
    shares = [(name, options.inputs // len(names), options.seed) for name in names]
    print(f"{'target':16}{'inputs':>10}{'accepted':>10}{'bytes':>8}{'slowest':>11}{'calls/byte':>12}{'memory':>10}")
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name, (outcome, busiest, grown) in zip(names, pool.map(run_share, shares), strict=True):
            target = BY_NAME[name]
            total += outcome.inputs
            print(
                f"{name:16}{outcome.inputs:>10,}{outcome.accepted / outcome.inputs:>10.0%}"
                f"{outcome.size // outcome.inputs:>8,}{outcome.slowest * 1000:>8.0f} ms{busiest:>12.0f}"
                f"{grown / 2**20:>+7.1f} MB",
                flush=True,
            )
            for failure, data in outcome.failures:
                print(f"  {failure}: {keep(FOLDER, target, failure, data)}")
            for seconds, data in sorted(outcome.slow, reverse=True)[:3]:
                FOLDER.mkdir(parents=True, exist_ok=True)
                path = FOLDER / f"{name}-slow-{round(seconds * 1000)}ms"
                path.write_bytes(data)
                print(f"  took {seconds * 1000:.0f} ms: {path}")
            failed += len(outcome.failures)
    print(f"{total:,} inputs in {time.monotonic() - started:.0f} s, seed {options.seed}: {failed} failures")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000, help="shared among the targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=sorted(BY_NAME), help="only this one; may be repeated")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--live", type=float, metavar="SECONDS", help="send to a whole platform for so long instead")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
