"""``python -m bench``: measure the platform beside its peers, in turns, and beside itself of another checkout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.cases import CASES
from bench.errors import CannotMeasure
from bench.rounds import estimate, run, say
from bench.table import processor_time, table


def main() -> int:
    """Parse the command line, measure, print; 1 where a figure of this platform is missing."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="measure nothing but the platform")
    parser.add_argument("--before", type=Path, help="also measure the platform of this other checkout, in turns")
    arguments = parser.parse_args()
    cases = [CASES[name] for name in arguments.case or CASES]
    seconds = estimate(cases, arguments.rounds, arguments.before is not None)
    say(f"{len(cases)} cases, {arguments.rounds} rounds: about {seconds / 60:.0f} minutes")
    try:
        results = run(cases, arguments.rounds, arguments.before, with_peers=not arguments.no_peers)
    except CannotMeasure as error:
        print(error, file=sys.stderr)
        return 1
    print(table(cases, results.rounds), "", processor_time(cases, results.rounds), sep="\n")
    for failed in results.failed():
        print(f"not measured: {failed}")
    return 1 if results.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
