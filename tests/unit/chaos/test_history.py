"""Histories that cannot be run as planned."""

from __future__ import annotations

from typing import cast

import aiohttp

from chaos.histories.checker import check
from chaos.histories.history import Stage
from chaos.histories.plan import Plan
from chaos.histories.system import System


class NeverWell:
    """A platform that does not come back."""

    run = ""

    async def healthy(self) -> None:
        raise TimeoutError


async def test_a_platform_that_does_not_come_back_breaks_the_history_that_should_begin() -> None:
    stage = Stage(cast("System", NeverWell()), {}, cast("aiohttp.ClientSession", None))
    plan = Plan(seed="1:1", seconds=8, topics=(), publishers=(), clients=(), readers=(), faults=())
    history = await stage.run(plan, "h1")
    assert [violation.rule for violation in check(history)] == ["did not recover"]
