"""``python -m bench``: measure the platform beside its peers, in turns, and beside itself of another checkout."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.case import Case
from bench.cases import CASES, QUICK, USUAL, stored
from bench.errors import CannotMeasure, NoPeer
from bench.profiling.profiler import Profiler, profiler
from bench.profiling.table import of_case
from bench.report import this_machine, write
from bench.rounds import Results, estimate, run, say
from bench.table import processor_time, table


def main() -> int:
    """Parse the command line, measure, print; 1 where a figure of this platform is missing."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="measure nothing but the platform")
    parser.add_argument("--before", type=Path, help="also measure the platform of this other checkout, in turns")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="sample the platform, and keep its stacks there")
    parser.add_argument("--native", action="store_true", help="with --profile: sample the code of libraries as well")
    parser.add_argument("--quick", action="store_true", help="one round of the cases that take little time")
    parser.add_argument("--stored", type=int, help="publishes in a row of grow-stored, up to 10,000,000")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its picture")
    arguments = parser.parse_args()
    if arguments.stored is not None and not 10_000 <= arguments.stored <= 10_000_000:
        parser.error("--stored takes 10,000 to 10,000,000")
    if arguments.profile and (arguments.before or arguments.write):
        parser.error("--profile slows what it samples: its figures are neither compared nor written")
    names = arguments.case or (QUICK if arguments.quick else USUAL)
    rounds = 1 if arguments.quick else arguments.rounds
    cases = [stored(arguments.stored) if arguments.stored and name == "grow-stored" else CASES[name] for name in names]
    peers = not arguments.no_peers and not arguments.profile
    seconds = estimate(cases, rounds, before=arguments.before is not None, with_peers=peers)
    say(f"{len(cases)} cases, {rounds} rounds: about {seconds / 60:.0f} minutes")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # platforms and peers end with the run
    machine = this_machine()
    try:
        sampling = profiler(arguments.profile, say, native=arguments.native) if arguments.profile else None
        results = run(cases, rounds, arguments.before, with_peers=peers, profiler=sampling)
    except (CannotMeasure, NoPeer) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.write:
        write(cases, results, machine)
    print(table(cases, results.rounds), "", processor_time(cases, results.rounds), sep="\n")
    if sampling is not None:
        print_profiles(sampling, cases, results)
    for failed in results.failed():
        print(f"not measured: {failed}")
    return 1 if results.failed() else 0


def print_profiles(profiler: Profiler, cases: Sequence[Case], results: Results) -> None:
    """Print where the processor time of each case went."""
    for case in cases:
        shown = of_case(profiler.profiles.get(case.name, {}), results.rounds[case.name])
        print("", f"{case.title}:", "", shown, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
