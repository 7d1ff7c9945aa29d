"""Faults of processes, links and the database, each until its end."""

from __future__ import annotations

from collections.abc import Callable

from simulation.database import Database
from simulation.network import Host, Network
from simulation.plan import Step

SLOW = 0.2
"""Longest delay on a slow link, in seconds."""

LOST_BEFORE_CUT = 0.1
"""Seconds before a cut in which what is sent is lost, since its acknowledgement by TCP does not come."""


class Faults:
    """The faults of a history. ``host_of`` finds the host of a process, running or not; ``start`` starts it again."""

    def __init__(
        self, network: Network, database: Database, host_of: Callable[[str], Host], start: Callable[[str], None]
    ) -> None:
        self._network = network
        self._database = database
        self._host_of = host_of
        self._start = start
        self._ends: list[Callable[[], None]] = []

    def begin(self, step: Step) -> None:
        """Begin the fault of ``step``, if it is one."""
        match step.action:
            case "kill":
                self._kill(step)
            case "cut":
                self._cut(step)
            case "stall":
                self._stall(step)
            case "slow":
                self._slow_down(step)
            case "drop_listener":
                self._database.drop_listeners(self._host_of(step.who))
            case "lose_wakeups":
                self._database.lose_wakeups = 0.7
                self._end_after(step.amount, lambda: setattr(self._database, "lose_wakeups", 0.0))
            case "lose_commits":
                self._database.lose_commits = 0.4
                self._end_after(step.amount, lambda: setattr(self._database, "lose_commits", 0.0))

    def end_all(self) -> None:
        """End all faults but those of processes, which are to be started."""
        while self._ends:
            self._ends.pop(0)()

    def _end_after(self, seconds: float, heal: Callable[[], None]) -> None:
        def end() -> None:
            if heal in self._ends:
                self._ends.remove(heal)
                heal()

        self._ends.append(heal)
        self._network.later(seconds, end)

    def _kill(self, step: Step) -> None:
        host = self._host_of(step.who)
        if not host.alive:
            return
        self._network.kill(host)

        def restart() -> None:
            if not self._network.quiet and not self._host_of(step.who).alive:
                self._start(step.who)

        self._network.later(step.amount, restart)

    def _cut(self, step: Step) -> None:
        one, other = step.who.split(" ")
        network = self._network
        network.stall(other, one)
        network.stall(one, other)

        def cut() -> None:
            host = self._host_of(other if one == "clients" else one)
            network.break_connections(host, one if one == "clients" else other)
            network.begin_cut(one, other)
            network.unstall(other, one)
            network.unstall(one, other)
            self._end_after(step.amount, lambda: network.end_cut(one, other))

        self._end_after(LOST_BEFORE_CUT, cut)

    def _stall(self, step: Step) -> None:
        one, other = step.who.split(" ")
        ways = [(other, one)] if step.what == "answers" else [(one, other), (other, one)]
        for way in ways:
            self._network.stall(*way)

        def unstall() -> None:
            for way in ways:
                self._network.unstall(*way)

        self._end_after(step.amount, unstall)

    def _slow_down(self, step: Step) -> None:
        one, other = step.who.split(" ")
        ways = (one, other), (other, one)
        self._network.slow |= dict.fromkeys(ways, SLOW)

        def restore() -> None:
            for way in ways:
                self._network.slow.pop(way, None)

        self._end_after(step.amount, restore)
