"""``python -m chaos.histories``: run histories, print a line each, keep and shrink those that break the promise."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from chaos.histories.mutations import BY_NAME
from chaos.histories.plan import SECONDS, SECONDS_ON_A_CLUSTER, Bus, Standbys, usual_seconds
from chaos.histories.runner import Options, run
from chaos.histories.targets import FaultKind


def main() -> int:
    """Parse the command line, run; 1 if a history broke the promise."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--histories", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--seed", help="the seed of all of them; else a new one")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--cluster", action="store_true", help="on the chart, installed in the cluster of make cluster")
    parser.add_argument(
        "--seconds", type=float,
        help=f"of work in each (default: {SECONDS:g}, on a cluster {SECONDS_ON_A_CLUSTER:g})",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no more after this time")
    parser.add_argument("--fault", action="append", choices=get_args(FaultKind), help="only this kind; may be repeated")
    parser.add_argument("--target", default="", help="only faults of what has this in its name")
    parser.add_argument(
        "--without", nargs="+", choices=["all", *BY_NAME], metavar="PROTECTION",
        help=f"take these out, one after the other, each until a history is broken: all, {', '.join(BY_NAME)}",
    )  # fmt: skip
    parser.add_argument(
        "--standbys", choices=get_args(Standbys), default="none",
        help="of its PostgreSQL, which then can fail over (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--bus", choices=get_args(Bus), default="postgres", help="what wakes its stores (default: %(default)s)"
    )
    parser.add_argument("--older", type=Path, help="upgrade from this checkout, which has its .venv, in each history")
    parser.add_argument("--replay", type=Path, help="run the plan in this file")
    parser.add_argument("--check", type=Path, help="check the history in this file, and run nothing")
    parser.add_argument("--shrink", type=int, default=0, metavar="TRIES", help="make a failing plan smaller")
    parser.add_argument("--keep", type=Path, default=Path(".cache/chaos"), help="folder for what failed")
    parser.add_argument("--results", type=Path, help="file that figures are added to; what it has is not run again")
    parser.add_argument("--write", action="store_true", help="write the table in docs/reliability.md")
    arguments = vars(parser.parse_args())
    arguments["faults"] = tuple(arguments.pop("fault") or ())
    arguments["seconds"] = arguments["seconds"] or usual_seconds(cluster=arguments["cluster"])
    without = arguments["without"] or []
    arguments["without"] = tuple(BY_NAME if "all" in without else without)
    arguments["seed"] = arguments["seed"] or ("1" if without else str(int(time.time())))
    of_machine = without or arguments["older"] or arguments["standbys"] != "none" or arguments["bus"] != "postgres"
    if arguments["cluster"] and of_machine:
        parser.error("--without, --older, --standbys and --bus are for a platform on this machine, not for a --cluster")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the platform ends with the run
    try:
        return asyncio.run(run(Options(**arguments)))
    except pytest.skip.Exception as reason:  # there is no memcached here, and none can be had
        print(f"not run: {reason}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
