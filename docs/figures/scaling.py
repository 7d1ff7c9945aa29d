"""Draws docs/images/scaling.svg: a day of load with a spike and a gap in the metrics, and what the planner does.

``make picture`` runs it, with matplotlib. It uses the simulation of the planner's tests: it tells no other story.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "notifyx"  # the same picture each time

import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen first

from notifyx_operator.scaling.replica_plan import Bounds  # noqa: E402
from support.days import CAPACITY, DAY, cost, daily, simulate  # noqa: E402

TARGET = Path(__file__).parents[1] / "images" / "scaling.svg"
HOUR = 3600.0
SPIKE, GAP = (7.5 * HOUR, 8 * HOUR), (17 * HOUR, 19.5 * HOUR)
DECLARED = 50_000.0


def main() -> None:
    """Simulate and draw."""
    usual = daily()

    def load(at: float) -> float:
        return usual(at) + (150_000 if SPIKE[0] <= at < SPIKE[1] else 0)

    bounds = Bounds(minimum=2, maximum=20, window=300, step=60)
    moments = simulate(load, DAY, bounds, declared=DECLARED, known=lambda at: not GAP[0] <= at < GAP[1])
    hours = [one.at / HOUR for one in moments]
    some = slice(None, None, 8)  # enough for the eye; the file is the smaller

    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    axes.axvspan(GAP[0] / HOUR, GAP[1] / HOUR, color="0.9", label="Prometheus away")
    axes.fill_between(
        hours[some], [one.load / CAPACITY for one in moments[some]], color="#9ec5fe", label="load, in replicas"
    )
    axes.axhline(DECLARED / CAPACITY, color="#8250df", linestyle=":", label="declared demand")
    axes.step(hours, [one.replicas for one in moments], where="post", color="#b02a37", label="replicas")
    axes.set_xlim(0, 24)
    axes.set_ylim(0, 21)
    axes.set_xticks(range(0, 25, 3))
    axes.set_yticks(range(0, 21, 4))
    axes.set_xlabel("hour of the day")
    axes.set_ylabel("replicas")
    axes.set_title(f"Replica-hours: {cost(moments):.2f} times the least possible", fontsize="medium")
    axes.legend(loc="upper left", frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
