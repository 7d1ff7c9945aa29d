"""The control of a flood: as much processor time as the flood cost, and no more."""

from __future__ import annotations

import pytest

from bench.kinds.company import more_than


def test_the_control_uses_what_the_flood_cost_more_than_the_quiet_one() -> None:
    alone = {"gateway": 0.1, "store": 0.1, "auth": 0.02}
    beside = {"gateway": 0.8, "store": 0.4, "auth": 0.021, "postgres": 1.5, "client": 0.05}
    assert more_than(alone, beside) == pytest.approx([0.7, 0.3, 1.0, 0.5, 0.05]), "a thread has one processor at most"


def test_what_took_less_time_beside_the_flood_takes_nothing_from_the_control() -> None:
    assert more_than({"gateway": 0.4, "store": 0.1}, {"gateway": 0.3, "store": 0.4}) == pytest.approx([0.3])
