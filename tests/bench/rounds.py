"""Runs the cases in rounds: every server has its turn in each, so that what the machine does meets all of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import aiohttp

from bench.case import Case, PeerName, Tools
from bench.errors import CannotMeasure, NoPeer
from bench.figures import BEFORE, OWN, Readings
from bench.load import build
from bench.peers.peer import Peer, measure
from bench.peers.registry import PEERS
from bench.profiling.profiler import Profiler
from bench.servers.own import own

BROKEN = (CannotMeasure, AssertionError, OSError, TimeoutError, aiohttp.ClientError, subprocess.SubprocessError)
"""How a turn fails: the others go on, and the result says what is missing and why."""


def say(line: str) -> None:
    """Print what is going on, beside the results."""
    print(line, file=sys.stderr, flush=True)


@dataclass(slots=True)
class Results:
    """What was measured, by case and round, and why the rest is missing."""

    rounds: dict[str, list[dict[str, Readings]]] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)
    """Reason by case and server; the case is empty where a peer cannot be had at all."""

    def failed(self) -> list[str]:
        """Return what could not be measured of this platform."""
        return [f"{case}: {reason}" for (case, name), reason in self.missing.items() if name == OWN]


def estimate(cases: Sequence[Case], rounds: int, *, before: bool, with_peers: bool = True) -> float:
    """Return about how many seconds a run takes, programs and peers being there."""
    turns = [1 + before + with_peers * len(case.peers) + len(case.beside) for case in cases]
    each = sum(case.seconds * count for case, count in zip(cases, turns, strict=True))
    return 20 * (1 + before) + rounds * each


def run(
    cases: Sequence[Case],
    rounds: int,
    before: Path | None,
    *,
    with_peers: bool = True,
    profiler: Profiler | None = None,
) -> Results:
    """Measure all cases, in turns, and return what was found. ``profiler`` samples this platform meanwhile."""
    results = Results({case.name: [] for case in cases})
    wanted = {name: PEERS[name] for case in cases for name in case.peers if with_peers}
    peers = _available(wanted, results)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notifyx-bench-")))
        programs = build(folder)
        platforms = {OWN: stack.enter_context(own(Path(sys.executable)))}
        if before is not None:
            platforms[BEFORE] = stack.enter_context(own(before / ".venv/bin/python"))
        for number in range(rounds):
            for at, case in enumerate(cases):
                tools = Tools(programs, folder, f"b{at}.{number}")
                turns: dict[str, Callable[[], Readings]] = {}
                for peer in case.peers:
                    if peer in peers:
                        turns[peer] = partial(measure, peers[peer], tools, case)
                for name, work in case.beside:
                    turns[name] = partial(work.measure, tools, platforms[OWN], case.cores)
                if before is not None:
                    turns[BEFORE] = partial(case.work.measure, tools, platforms[BEFORE], case.cores)
                observed = replace(tools, observe=profiler.of(case.name)) if profiler else tools
                turns[OWN] = partial(case.work.measure, observed, platforms[OWN], case.cores)
                results.rounds[case.name].append(take_turns(case.name, turns, results))
    return results


def take_turns(case: str, turns: Mapping[str, Callable[[], Readings]], results: Results) -> dict[str, Readings]:
    """Take one turn each."""
    found: dict[str, Readings] = {}
    for name, turn in turns.items():
        try:
            found[name] = turn()
        except BROKEN as error:
            reason = str(error) or type(error).__name__
            results.missing[case, name] = reason
            say(f"  {case}, {name}: {reason}")
        else:
            say(f"  {case}, {name}: {json.dumps({key: round(value, 3) for key, value in found[name].items()})}")
    return found


def _available(peers: Mapping[PeerName, Peer], results: Results) -> dict[PeerName, Peer]:
    found: dict[PeerName, Peer] = {}
    for name, peer in peers.items():
        try:
            peer.fetch(say)
        except NoPeer as error:
            results.missing["", name] = str(error)
            say(f"  {name} is left out: {error}")
        else:
            found[name] = peer
    return found
